//! A typed object store: records of one type, found by their key or by an index.

use std::{collections::BTreeMap, fmt, marker::PhantomData, sync::Arc};

use kv_core::{Commit, Key, KvStore};

use crate::{
    Error, Found, OpenReport, Query, Record, RecordKey, Result, Skipped, Transaction,
    UniqueConflict, codec,
    encoding::{EncodedKey, decode},
    report,
    rows::IndexKeys,
    schema,
    table::{IndexMeta, Table},
    transaction::index_keys,
};

/// How many names are asked for at a time while opening.
const PAGE: usize = 1024;

/// The records of one type. Cloning is cheap and gives the same store.
///
/// Open each record type once per store: the indexes live in memory and follow only what is
/// written through this handle and its clones. Everything submitted before must be decided.
///
/// Reads and queries see a record once its batch is durable; unique checks and [`Self::put_new`]
/// count what is submitted. Writing returns a [`Commit`]: wait for it, await it, or drop it.
pub struct ObjectStore<R> {
    table: Arc<Table>,
    record: PhantomData<fn() -> R>,
}

impl<R: Record> ObjectStore<R> {
    /// Reads every record of the type and builds the indexes. What cannot be used is in the
    /// report, and no reason to fail.
    pub fn open(kv: Arc<dyn KvStore>) -> Result<(Self, OpenReport)> {
        schema::check::<R>()?;
        let meta =
            |index: &schema::Index<R>| IndexMeta { name: index.name(), unique: index.is_unique() };
        let table = Table::new(kv, R::STORE, R::INDEXES.iter().map(meta).collect())?;
        let mut report = OpenReport::default();
        let mut rows: Vec<(EncodedKey, IndexKeys)> = Vec::new();
        let mut after: Option<Key> = None;
        loop {
            let page = table
                .kv
                .list(&table.ns, after.as_ref(), PAGE)
                .map_err(|source| table.failed(source))?;
            let Some(last) = page.last().cloned() else {
                break;
            };
            for name in page {
                match table.load::<R>(&name) {
                    Ok(Some(loaded)) => {
                        report.old += u64::from(loaded.version < R::VERSION);
                        rows.push((loaded.primary, index_keys(&loaded.record)));
                    }
                    Ok(None) => {}
                    Err(why) if report::concerns_one_record(&why) => {
                        report.skipped.push(Skipped { name, why })
                    }
                    Err(error) => return Err(error),
                }
            }
            after = Some(last);
        }
        report.records = rows.len() as u64;
        let too_new = report.skipped.iter().filter(|skipped| skipped.is_too_new());
        let too_new: BTreeMap<_, _> =
            too_new.map(|skipped| (skipped.name.clone(), skipped.why.clone())).collect();
        for (index, [a, b]) in table.fill(rows, too_new) {
            let names = [codec::name(R::STORE, &a)?, codec::name(R::STORE, &b)?];
            report.conflicts.push(UniqueConflict { index, names });
        }
        Ok((Self { table: Arc::new(table), record: PhantomData }, report))
    }

    /// The record with this key, as it is durable now; an old version comes upgraded.
    pub fn get(&self, key: impl Into<RecordKey>) -> Result<Option<R>> {
        let name = codec::name(R::STORE, &key.into().encode())?;
        Ok(self.table.load(&name)?.map(|loaded| loaded.record))
    }

    /// Every record, ascending by key. Prefer [`Self::query`] where there may be many.
    pub fn get_all(&self) -> Result<Vec<R>> {
        self.query(&Query::all())?.collect()
    }

    /// The records that answer the query. A damaged one is an error in its place, and the next
    /// one follows.
    pub fn query(&self, query: &Query) -> Result<Found<R>> {
        Found::new(&self.table, query)
    }

    /// The primary keys of the records that answer the query; reads no record.
    pub fn keys(&self, query: &Query) -> Result<Vec<RecordKey>> {
        Ok(query.primaries(&self.table)?.iter().filter_map(|key| decode(key)).collect())
    }

    /// How many records answer the query; reads no record.
    pub fn count(&self, query: &Query) -> Result<usize> {
        query.count(&self.table)
    }

    /// Stores a record, in place of the one with its key if there is one.
    pub fn put(&self, record: &R) -> Result<Commit> {
        self.put_many([record])
    }

    /// Stores records together; of two with the same key the later one.
    pub fn put_many<'a>(&self, records: impl IntoIterator<Item = &'a R>) -> Result<Commit> {
        let mut transaction = self.transaction();
        for record in records {
            transaction.put(self, record)?;
        }
        transaction.submit()
    }

    /// Stores a record that is not there yet; else [`Error::Exists`]. A damaged one counts as there.
    pub fn put_new(&self, record: &R) -> Result<Commit> {
        let mut transaction = self.transaction();
        transaction.put_new(self, record)?;
        transaction.submit().map_err(|error| match error {
            Error::Store { store, source: kv_core::Error::Precondition { .. } } => {
                Error::Exists { store }
            }
            other => other,
        })
    }

    /// Removes the record with this key; an absent one is no error.
    pub fn delete(&self, key: impl Into<RecordKey>) -> Result<Commit> {
        let mut transaction = self.transaction();
        transaction.delete(self, key)?;
        transaction.submit()
    }

    /// An empty transaction, for changes that belong together.
    pub fn transaction(&self) -> Transaction {
        Transaction::new(Arc::clone(&self.table.kv))
    }

    pub(crate) fn table(&self) -> &Arc<Table> {
        &self.table
    }
}

impl<R> Clone for ObjectStore<R> {
    fn clone(&self) -> Self {
        Self { table: Arc::clone(&self.table), record: PhantomData }
    }
}

impl<R> fmt::Debug for ObjectStore<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ObjectStore")
            .field("store", &self.table.store)
            .field("records", &self.table.lock().len())
            .finish_non_exhaustive()
    }
}
