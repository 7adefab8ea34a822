//! Several changes, of one or several object stores, that happen together or not at all.

use std::{
    any::Any,
    collections::BTreeMap,
    fmt, ptr,
    sync::{Arc, Mutex, PoisonError},
};

use kv_core::{Batch, Change, Commit, Key, KvStore, Receipt};
use serde::Serialize;

use crate::{
    Error, Fields, KeyRange, ObjectStore, Record, RecordKey, Result, codec,
    encoding::{EncodedKey, decode},
    numbers, parallel,
    stage::{Op, Prepared, stage},
    table::Table,
    undecided::RowChange,
};

/// Collects changes and submits them as one batch. Dropping it changes nothing.
///
/// Everything is checked when it is submitted, against all that was submitted before; if a check
/// fails, nothing changes. The indexes follow the batch: queries see its records once the store
/// below has decided it, and never if it failed.
pub struct Transaction {
    kv: Arc<dyn KvStore>,
    /// Changes outside the object stores: fields, and what the caller adds.
    batch: Batch,
    /// By the address of the table: locks are always taken in this order, so that two transactions
    /// over the same object stores cannot wait for each other.
    parts: BTreeMap<usize, Box<dyn AnyPart>>,
}

/// How many records one thread makes ready at a time.
const CHUNK: usize = 128;

/// The changes of one object store, of whatever type.
trait AnyPart: Any + Send + Sync {
    fn order(&self) -> Arc<Mutex<()>>;
    fn store(&self) -> &'static str;
    fn ops(&self) -> usize;
    /// Checks the changes and adds them to the batch.
    fn stage(&mut self, batch: &mut Batch) -> Result<()>;
    /// Remembers them once the store below took the batch.
    fn submitted(&mut self, receipt: &Receipt);
}

struct Part<R> {
    table: Arc<Table<R>>,
    ops: Vec<Op<R>>,
    // Known once it is staged:
    changes: Vec<RowChange<R>>,
    damaged: Vec<Key>,
    count: Option<u64>,
}

impl Transaction {
    /// An empty transaction over this store; the object stores it meets must be open on the same.
    pub fn new(kv: Arc<dyn KvStore>) -> Self {
        Self { kv, batch: Batch::new(), parts: BTreeMap::new() }
    }

    /// The batch that will be submitted: add entries of your own, preconditions, or make it lazy.
    /// Names in `~records` are not for that.
    pub fn batch(&mut self) -> &mut Batch {
        &mut self.batch
    }

    /// Stores a record, in place of the one with its key if there is one.
    pub fn put<R: Record>(&mut self, store: &ObjectStore<R>, record: &R) -> Result<()> {
        self.push(store, Op::Put(Prepared::new(record)?))
    }

    /// Stores records, in the places of those with their keys; of two with the same key the later
    /// one. Many are made ready on several threads.
    pub fn put_many<'a, R: Record>(
        &mut self,
        store: &ObjectStore<R>,
        records: impl IntoIterator<Item = &'a R>,
    ) -> Result<()> {
        let records: Vec<&R> = records.into_iter().collect();
        let chunks: Vec<&[&R]> = records.chunks(CHUNK).collect();
        let prepared = parallel::each(chunks.len(), chunks.len() > 1, |at| {
            let chunk = chunks.get(at).copied().unwrap_or_default();
            chunk.iter().map(|record| Prepared::new(*record)).collect::<Result<Vec<_>>>()
        });
        for prepared in prepared.into_iter().collect::<Result<Vec<_>>>()?.into_iter().flatten() {
            self.push(store, Op::Put(prepared))?;
        }
        Ok(())
    }

    /// Stores a record that must not be there yet.
    pub fn put_new<R: Record>(&mut self, store: &ObjectStore<R>, record: &R) -> Result<()> {
        self.push(store, Op::PutNew(Prepared::new(record)?))
    }

    /// Stores what `change` makes of the record with this key, as all that was submitted before
    /// leaves it; `None`: it is absent, or damaged. Where `change` gives `None`, it stays as it is.
    ///
    /// It runs when the transaction is submitted, while nobody else changes the object store: it
    /// must not call that. So of two who change one record at once neither undoes the other.
    pub fn update<R: Record>(
        &mut self,
        store: &ObjectStore<R>,
        key: impl Into<RecordKey>,
        change: impl FnOnce(Option<&R>) -> Option<R> + Send + Sync + 'static,
    ) -> Result<()> {
        self.push(store, Op::Update(key.into().encode().into(), Box::new(change)))
    }

    /// Submits nothing, with [`Error::Changed`], unless the record with this key, as all that was
    /// submitted before leaves it, is as `fits` wants it. `fits` must not call the object store.
    pub fn require<R: Record>(
        &mut self,
        store: &ObjectStore<R>,
        key: impl Into<RecordKey>,
        fits: impl FnOnce(Option<&R>) -> bool + Send + Sync + 'static,
    ) -> Result<()> {
        self.push(store, Op::Require(key.into().encode().into(), Box::new(fits)))
    }

    /// Stores a new record under the next number of a store that numbers its records, and gives
    /// the number. While the store is open no other record gets it, also if this transaction is
    /// dropped or refused; after that, no other one if a later change was submitted.
    pub fn add<R: Record>(&mut self, store: &ObjectStore<R>, mut record: R) -> Result<u64> {
        let wrong = |what| Error::Schema { store: R::STORE, what };
        let set = R::NUMBERED.ok_or_else(|| wrong("it does not number its records"))?;
        let number = store.table().lock()?.numbers.take(R::STORE)?;
        set(&mut record, number);
        let prepared = Prepared::new(&record)?;
        if prepared.primary() != RecordKey::from(number).encode() {
            return Err(wrong("the key of a numbered record is not its number"));
        }
        self.push(store, Op::PutNew(prepared))?;
        Ok(number)
    }

    /// Removes the record with this key; an absent one is no error.
    pub fn delete<R: Record>(
        &mut self,
        store: &ObjectStore<R>,
        key: impl Into<RecordKey>,
    ) -> Result<()> {
        let primary = EncodedKey::from(key.into().encode());
        let name = codec::name(R::STORE, &primary)?;
        self.push(store, Op::Delete(primary, name))
    }

    /// Removes the records whose primary keys lie in the range when the transaction is submitted,
    /// those included that it puts itself before.
    pub fn delete_range<R: Record>(
        &mut self,
        store: &ObjectStore<R>,
        range: KeyRange,
    ) -> Result<()> {
        self.push(store, Op::DeleteRange(range))
    }

    /// Removes every record, also damaged ones. If a newer version of the program has written one
    /// of them, [`Error::TooNew`].
    pub fn clear<R: Record>(&mut self, store: &ObjectStore<R>) -> Result<()> {
        self.push(store, Op::Clear)
    }

    pub(crate) fn upgrade<R: Record>(
        &mut self,
        store: &ObjectStore<R>,
        at_most: usize,
    ) -> Result<()> {
        self.push(store, Op::Upgrade(at_most))
    }

    /// Stores the value of a field.
    pub fn set_field<T: Serialize + ?Sized>(
        &mut self,
        fields: &Fields,
        name: &str,
        value: &T,
    ) -> Result<()> {
        let change = Change::Put(Fields::encode(value)?);
        self.change_field(fields, name, change)
    }

    /// Removes a field; an absent one is no error.
    pub fn clear_field(&mut self, fields: &Fields, name: &str) -> Result<()> {
        self.change_field(fields, name, Change::Remove)
    }

    /// Submits everything as one batch. An error means that nothing was changed, except
    /// [`Error::Store`], whose source says. The commit tells when it is durable.
    pub fn submit(self) -> Result<Commit> {
        let kv = Arc::clone(&self.kv);
        self.submit_by(|batch| kv.submit(batch))
    }

    /// The same, with a submit of the caller's own, which must do what that of the store does, or
    /// refuse.
    pub fn submit_by(self, submit: impl FnOnce(Batch) -> Commit) -> Result<Commit> {
        let Self { mut batch, parts, .. } = self;
        let mut parts: Vec<Box<dyn AnyPart>> = parts.into_values().collect();
        let store = match parts.as_slice() {
            [part] => part.store(),
            _ => "records",
        };
        let orders: Vec<_> = parts.iter().map(|part| part.order()).collect();
        // Held until all is remembered: the order of the indexes is the order of the batches.
        let _orders: Vec<_> = orders
            .iter()
            .map(|order| order.lock().unwrap_or_else(PoisonError::into_inner))
            .collect();
        for part in &mut parts {
            part.stage(&mut batch)?;
        }
        let commit = submit(batch);
        let receipt = commit.receipt();
        if let Some(Err(source)) = receipt.outcome() {
            return Err(Error::Store { store, source });
        }
        for part in &mut parts {
            part.submitted(&receipt);
        }
        Ok(commit)
    }

    fn push<R: Record>(&mut self, store: &ObjectStore<R>, op: Op<R>) -> Result<()> {
        let table = store.table();
        self.check_same_store(&table.kv, R::STORE)?;
        let new = || -> Box<dyn AnyPart> { Box::new(Part::new(table)) };
        let part = self.parts.entry(Arc::as_ptr(table).addr()).or_insert_with(new);
        let part: &mut dyn Any = &mut **part;
        // The part of this address was made for this table.
        if let Some(part) = part.downcast_mut::<Part<R>>() {
            part.ops.push(op);
        }
        Ok(())
    }

    fn change_field(&mut self, fields: &Fields, name: &str, change: Change) -> Result<()> {
        self.check_same_store(fields.store(), Fields::STORE)?;
        let key = Fields::key(name)?;
        self.batch.insert(fields.namespace().clone(), key, change);
        Ok(())
    }

    fn check_same_store(&self, other: &Arc<dyn KvStore>, store: &'static str) -> Result<()> {
        if ptr::addr_eq(Arc::as_ptr(&self.kv), Arc::as_ptr(other)) {
            Ok(())
        } else {
            Err(Error::OtherStore { store })
        }
    }
}

impl<R: Record> Part<R> {
    fn new(table: &Arc<Table<R>>) -> Self {
        let (table, ops) = (Arc::clone(table), Vec::new());
        Self { table, ops, changes: Vec::new(), damaged: Vec::new(), count: None }
    }
}

impl<R: Record> AnyPart for Part<R> {
    fn order(&self) -> Arc<Mutex<()>> {
        Arc::clone(&self.table.order)
    }

    fn store(&self) -> &'static str {
        self.table.store
    }

    fn ops(&self) -> usize {
        self.ops.len()
    }

    fn stage(&mut self, batch: &mut Batch) -> Result<()> {
        let (ns, store) = (&self.table.ns, self.table.store);
        let mut state = self.table.lock()?;
        let staged = stage(&self.table, &state, std::mem::take(&mut self.ops))?;
        let mut counts = false;
        for (primary, staged) in staged.records {
            if R::NUMBERED.is_some()
                && staged.keyed.is_some()
                && let Some(key) = decode(&primary)
            {
                state.numbers.saw(&key);
                counts = true;
            }
            if staged.require_absent {
                batch.insert_require_absent(ns.clone(), staged.name.clone());
            }
            batch.insert(ns.clone(), staged.name, staged.change);
            self.changes.push((primary, staged.keyed));
        }
        for name in staged.damaged {
            batch.insert(ns.clone(), name.clone(), Change::Remove);
            self.damaged.push(name);
        }
        // What is removed may be all that told of its number.
        if R::NUMBERED.is_some()
            && let Some(count) = state.numbers.unsaved()
        {
            let (name, value) = (numbers::name(store)?, numbers::to_value(store, count)?);
            match state.check_not_too_new(&name) {
                Ok(()) => {
                    batch.insert(ns.clone(), name, Change::Put(value));
                    self.count = Some(count);
                }
                Err(error) if counts => return Err(error),
                Err(_) => {}
            }
        }
        staged.not_writable.iter().for_each(|primary| state.not_writable(primary));
        Ok(())
    }

    fn submitted(&mut self, receipt: &Receipt) {
        // Closing waits for the order, so the table is as open as it was when this was staged.
        let Ok(mut state) = self.table.lock() else { return };
        state.submitted(receipt.clone(), std::mem::take(&mut self.changes));
        for name in &self.damaged {
            state.unusable.remove(name);
        }
        if let Some(count) = self.count {
            state.numbers.saved(count);
            if let Ok(name) = numbers::name(self.table.store) {
                state.unusable.remove(&name);
            }
        }
    }
}

impl fmt::Debug for Transaction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let changes = self.parts.values().map(|part| part.ops()).sum::<usize>() + self.batch.len();
        f.debug_struct("Transaction").field("changes", &changes).finish_non_exhaustive()
    }
}
