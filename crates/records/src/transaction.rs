//! Several changes, of one or several object stores, that happen together or not at all.

use std::{collections::BTreeMap, fmt, ptr, sync::Arc};

use kv_core::{Batch, Change, Commit, KvStore};
use serde::Serialize;

use crate::{
    Error, Fields, ObjectStore, Record, RecordKey, Result, codec,
    encoding::EncodedKey,
    table::{Op, Table},
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
    parts: BTreeMap<usize, Part>,
}

struct Part {
    table: Arc<Table>,
    ops: Vec<Op>,
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
        self.push(store, put_op(record, false)?)
    }

    /// Stores a record that must not be there yet.
    pub fn put_new<R: Record>(&mut self, store: &ObjectStore<R>, record: &R) -> Result<()> {
        self.push(store, put_op(record, true)?)
    }

    /// Removes the record with this key; an absent one is no error.
    pub fn delete<R: Record>(
        &mut self,
        store: &ObjectStore<R>,
        key: impl Into<RecordKey>,
    ) -> Result<()> {
        let primary = EncodedKey::from(key.into().encode());
        let name = codec::name(R::STORE, &primary)?;
        let op = Op { primary, name, change: Change::Remove, keys: None, require_absent: false };
        self.push(store, op)
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
        let Self { kv, mut batch, parts } = self;
        let (tables, ops): (Vec<_>, Vec<_>) =
            parts.into_values().map(|part| (part.table, part.ops)).unzip();
        let store = match tables.as_slice() {
            [table] => table.store,
            _ => "records",
        };
        let mut submitted = Vec::with_capacity(tables.len());
        for (table, ops) in tables.iter().zip(ops) {
            let state = table.lock();
            let mut changes = Vec::with_capacity(ops.len());
            for (primary, op) in table.stage(&state, ops)? {
                if op.require_absent {
                    batch.insert_require_absent(table.ns.clone(), op.name.clone());
                }
                batch.insert(table.ns.clone(), op.name, op.change);
                changes.push((primary, op.keys));
            }
            submitted.push((state, changes));
        }
        // All locks are held here: the order of the indexes is the order of the batches.
        let commit = kv.submit(batch);
        let receipt = commit.receipt();
        if let Some(Err(source)) = receipt.outcome() {
            return Err(Error::Store { store, source });
        }
        for (mut state, changes) in submitted {
            state.submitted(receipt.clone(), changes);
        }
        Ok(commit)
    }

    fn push<R: Record>(&mut self, store: &ObjectStore<R>, op: Op) -> Result<()> {
        let table = store.table();
        self.check_same_store(&table.kv, R::STORE)?;
        let part = self.parts.entry(Arc::as_ptr(table).addr());
        part.or_insert_with(|| Part { table: Arc::clone(table), ops: Vec::new() }).ops.push(op);
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

fn put_op<R: Record>(record: &R, require_absent: bool) -> Result<Op> {
    let primary = EncodedKey::from(record.key().encode());
    let name = codec::name(R::STORE, &primary)?;
    let value = codec::to_value(R::STORE, R::VERSION, record)?;
    // What will be read is what counts: a record that does not come back from its JSON would be
    // lost at the next open, and its indexes would be others.
    let stored = codec::Stored::parse(R::STORE, &name, &value, R::VERSION)?;
    let back: R = stored.record(&name).map_err(|_| Error::NotReadable { store: R::STORE })?;
    if back.key().encode() != *primary {
        return Err(Error::NotReadable { store: R::STORE });
    }
    let keys = Some(index_keys(&back));
    Ok(Op { primary, name, change: Change::Put(value), keys, require_absent })
}

/// The keys of a record in its indexes.
pub(crate) fn index_keys<R: Record>(record: &R) -> Arc<[Option<EncodedKey>]> {
    R::INDEXES.iter().map(|index| index.key(record).map(|key| key.encode().into())).collect()
}

impl fmt::Debug for Transaction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let changes =
            self.parts.values().map(|part| part.ops.len()).sum::<usize>() + self.batch.len();
        f.debug_struct("Transaction").field("changes", &changes).finish_non_exhaustive()
    }
}
