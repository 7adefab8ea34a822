//! A typed object store: records of one type, found by their key or by an index.

use std::{fmt, sync::Arc};

use kv_core::{Commit, KvStore};

use crate::{
    Cursor, Error, Found, KeyRange, OpenReport, Query, Record, RecordKey, Records, Result, Skipped,
    Transaction, codec, encoding::decode, open, table::Table, view::View,
};

/// The records of one type. Cloning is cheap and gives the same store.
///
/// Open each record type once per store: records and indexes are in memory and follow only what is
/// written through this handle and its clones. Everything submitted before must be decided.
///
/// Reads and queries see a record once its batch is durable; unique checks and [`Self::put_new`]
/// count what is submitted. Writing returns a [`Commit`]: wait for it, await it, or drop it.
/// Reading never asks the store below, and never waits for it.
pub struct ObjectStore<R> {
    table: Arc<Table<R>>,
    is_lent: bool,
}

impl<R: Record> ObjectStore<R> {
    /// Reads every record of the type and builds the indexes. What cannot be used is in the
    /// report, and no reason to fail.
    pub fn open(kv: Arc<dyn KvStore>) -> Result<(Self, OpenReport)> {
        let (table, report) = open::open(kv)?;
        Ok((Self { table: Arc::new(table), is_lent: false }, report))
    }

    /// The record with this key, as it is durable now; an old version comes upgraded. One that
    /// cannot be used is [`Error::Damaged`], [`Error::TooNew`] or what the store below said of it.
    pub fn get(&self, key: impl Into<RecordKey>) -> Result<Option<Found<R>>> {
        let primary = key.into().encode();
        let state = self.table.lock()?;
        if let Some(row) = state.rows.get(&primary) {
            return Ok(Some(Found(Arc::clone(row))));
        }
        if state.unusable.is_empty() {
            return Ok(None);
        }
        match state.unusable.get(&codec::name(R::STORE, &primary)?) {
            Some(why) => Err(why.clone()),
            None => Ok(None),
        }
    }

    /// Every record, ascending by key. Prefer [`Self::query`] where there may be many.
    pub fn get_all(&self) -> Result<Vec<Found<R>>> {
        Ok(self.query(&Query::all())?.collect())
    }

    /// The records that answer the query, as of now.
    pub fn query(&self, query: &Query) -> Result<Records<R>> {
        Records::new(&self.table, query)
    }

    /// A cursor at the first record that answers the query, as of now.
    pub fn cursor(&self, query: &Query) -> Result<Cursor<R>> {
        Cursor::new(&self.table, query)
    }

    /// The primary keys of the records that answer the query.
    pub fn keys(&self, query: &Query) -> Result<Vec<RecordKey>> {
        Ok(self.query(query)?.filter_map(|found| decode(&found.0.primary)).collect())
    }

    /// How many records answer the query. A record that stands in an index several times is counted
    /// as often. Takes as long for many as for few, unless each key shall count once.
    pub fn count(&self, query: &Query) -> Result<usize> {
        Ok(View::new(&self.table, query)?.count())
    }

    /// How many records were written by an older version and not yet upgraded at rest. One that
    /// [`Self::upgrade`] found not to come back from its JSON is counted no more until the next
    /// opening: it stays as it is, and is upgraded as it is read.
    pub fn old(&self) -> Result<usize> {
        Ok(self.table.lock()?.rows.old().len())
    }

    /// Stores a record, in place of the one with its key if there is one.
    pub fn put(&self, record: &R) -> Result<Commit> {
        self.put_many([record])
    }

    /// Stores records together; of two with the same key the later one.
    pub fn put_many<'a>(&self, records: impl IntoIterator<Item = &'a R>) -> Result<Commit> {
        let mut transaction = self.transaction();
        transaction.put_many(self, records)?;
        transaction.submit()
    }

    /// Stores a record that is not there yet; else [`Error::Exists`]. A damaged one counts as there.
    pub fn put_new(&self, record: &R) -> Result<Commit> {
        let mut transaction = self.transaction();
        transaction.put_new(self, record)?;
        transaction.submit().map_err(exists)
    }

    /// Stores a new record under the next number, see [`Record::NUMBERED`].
    pub fn add(&self, record: R) -> Result<(u64, Commit)> {
        let mut transaction = self.transaction();
        let number = transaction.add(self, record)?;
        Ok((number, transaction.submit().map_err(exists)?))
    }

    /// Removes the record with this key; an absent one is no error.
    pub fn delete(&self, key: impl Into<RecordKey>) -> Result<Commit> {
        let mut transaction = self.transaction();
        transaction.delete(self, key)?;
        transaction.submit()
    }

    /// Removes the records whose primary keys lie in the range, in one batch.
    pub fn delete_range(&self, range: KeyRange) -> Result<Commit> {
        let mut transaction = self.transaction();
        transaction.delete_range(self, range)?;
        transaction.submit()
    }

    /// Removes every record, in one batch; see [`Transaction::clear`].
    pub fn clear(&self) -> Result<Commit> {
        let mut transaction = self.transaction();
        transaction.clear(self)?;
        transaction.submit()
    }

    /// Writes up to `at_most` records of older versions again, in the version of this program;
    /// call it until [`Self::old`] is 0.
    ///
    /// Nobody needs it to read: old records are upgraded as they are read. Where records of several
    /// devices are merged, an upgraded record counts as changed now and wins over what another
    /// device changed before and has not yet sent: poll first.
    pub fn upgrade(&self, at_most: usize) -> Result<Commit> {
        let mut transaction = self.transaction();
        transaction.upgrade(self, at_most)?;
        transaction.submit()
    }

    /// An empty transaction, for changes that belong together.
    pub fn transaction(&self) -> Transaction {
        Transaction::new(Arc::clone(&self.table.kv))
    }

    /// What is stored and cannot be used, as of now: what opening found and following brought, less what
    /// was replaced since. Few, or none: it is a list of its own.
    pub fn unusable(&self) -> Result<Vec<Skipped>> {
        let state = self.table.lock()?;
        let all = state.unusable.iter();
        Ok(all.map(|(name, why)| Skipped { name: name.clone(), why: why.clone() }).collect())
    }

    /// A handle for somebody who shares the store and does not own it: [`Self::close`] does nothing
    /// there and on its clones.
    pub fn lent(&self) -> Self {
        Self { is_lent: true, ..self.clone() }
    }

    /// Forgets all that is in memory. Whatever is called afterwards, on any clone, is
    /// [`Error::Store`] with [`kv_core::Error::Closed`]; what was found before stays with whoever
    /// holds it. Through a handle that was [lent](Self::lent) it does nothing.
    pub fn close(&self) {
        if !self.is_lent {
            self.table.close();
        }
    }

    pub(crate) fn table(&self) -> &Arc<Table<R>> {
        &self.table
    }
}

/// What the store below refused because the record is there.
fn exists(error: Error) -> Error {
    match error {
        Error::Store { store, source: kv_core::Error::Precondition { .. } } => {
            Error::Exists { store }
        }
        other => other,
    }
}

impl<R> Clone for ObjectStore<R> {
    fn clone(&self) -> Self {
        Self { table: Arc::clone(&self.table), is_lent: self.is_lent }
    }
}

impl<R> fmt::Debug for ObjectStore<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ObjectStore").field("store", &self.table.store).finish_non_exhaustive()
    }
}
