//! The changes of a transaction in one object store: checked against everything submitted before.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use kv_core::{Change, Key, Value};

use crate::{
    Error, Index, KeyRange, Record, Result, codec,
    encoding::EncodedKey,
    report,
    row::{Keyed, Row},
    table::{State, Table},
    undecided::unique_keys,
};

/// A record as it will be stored, and read.
pub(crate) struct Prepared<R> {
    name: Key,
    value: Value,
    keyed: Keyed<R>,
}

/// One change that a caller asked for.
pub(crate) enum Op<R> {
    Put(Prepared<R>),
    /// A record that must not be there.
    PutNew(Prepared<R>),
    Delete(EncodedKey, Key),
    DeleteRange(KeyRange),
    /// Everything, also what is damaged.
    Clear,
    /// So many records of old versions.
    Upgrade(usize),
}

/// What one batch does to one record.
pub(crate) struct Staged<R> {
    pub(crate) name: Key,
    pub(crate) change: Change,
    /// `None`: removed.
    pub(crate) keyed: Option<Keyed<R>>,
    pub(crate) require_absent: bool,
}

/// What one batch does to one object store: the last change of each record.
pub(crate) struct Stage<R> {
    pub(crate) records: BTreeMap<EncodedKey, Staged<R>>,
    /// The names of damaged records that go with all the others.
    pub(crate) damaged: Vec<Key>,
}

impl<R: Record> Prepared<R> {
    pub(crate) fn new(record: &R) -> Result<Self> {
        let primary = record.key().encode();
        let name = codec::name(R::STORE, &primary)?;
        let value = codec::to_value(R::STORE, R::VERSION, record)?;
        // What will be read is what counts: a record that does not come back from its JSON would be
        // lost at the next open, and its indexes would be others.
        let (record, _): (R, _) =
            codec::record(&name, &value).map_err(|_| Error::NotReadable { store: R::STORE })?;
        if record.key().encode() != primary {
            return Err(Error::NotReadable { store: R::STORE });
        }
        let row = Row { primary: primary.into(), version: R::VERSION, record };
        Ok(Self { name, value, keyed: Keyed::new(row) })
    }

    /// The encoded primary key.
    pub(crate) fn primary(&self) -> &[u8] {
        &self.keyed.row.primary
    }
}

/// Checks `ops` against everything submitted so far.
pub(crate) fn stage<R: Record>(
    table: &Table<R>,
    state: &State<R>,
    ops: Vec<Op<R>>,
) -> Result<Stage<R>> {
    let mut stage = Stage { records: BTreeMap::new(), damaged: Vec::new() };
    for op in ops {
        match op {
            Op::Put(prepared) => stage.put(state, prepared, false)?,
            Op::PutNew(prepared) => {
                if stage.latest(state, prepared.primary()).is_some() {
                    return Err(Error::Exists { store: table.store });
                }
                stage.put(state, prepared, true)?;
            }
            Op::Delete(primary, name) => {
                state.check_not_too_new(&name)?;
                stage.delete(primary, name);
            }
            Op::DeleteRange(range) => stage.delete_range(state, &range)?,
            Op::Clear => {
                if let Some(why) = state.unusable.values().find(|why| report::is_too_new(why)) {
                    return Err(why.clone());
                }
                stage.delete_range(state, &KeyRange::all())?;
                stage.damaged.extend(state.unusable.keys().cloned());
            }
            Op::Upgrade(at_most) => stage.upgrade(state, at_most)?,
        }
    }
    stage.check_unique(state)?;
    Ok(stage)
}

impl<R: Record> Stage<R> {
    /// The record as this batch leaves it so far.
    fn latest<'a>(&'a self, state: &'a State<R>, primary: &[u8]) -> Option<&'a Arc<Row<R>>> {
        match self.records.get(primary) {
            Some(staged) => staged.keyed.as_ref().map(|keyed| &keyed.row),
            None => state.latest(primary),
        }
    }

    fn put(&mut self, state: &State<R>, prepared: Prepared<R>, new: bool) -> Result<()> {
        let Prepared { name, value, keyed } = prepared;
        state.check_not_too_new(&name)?;
        let primary = EncodedKey::from(&*keyed.row.primary);
        // The store below looks at what was there before the whole batch.
        let earlier = self.records.get(&primary);
        let require_absent = earlier.map_or(new, |earlier| earlier.require_absent);
        let (change, keyed) = (Change::Put(value), Some(keyed));
        self.records.insert(primary, Staged { name, change, keyed, require_absent });
        Ok(())
    }

    fn delete(&mut self, primary: EncodedKey, name: Key) {
        let require_absent = self.records.get(&primary).is_some_and(|staged| staged.require_absent);
        let staged = Staged { name, change: Change::Remove, keyed: None, require_absent };
        self.records.insert(primary, staged);
    }

    fn delete_range(&mut self, state: &State<R>, range: &KeyRange) -> Result<()> {
        let mut primaries: BTreeSet<EncodedKey> = state.rows.primaries(range).collect();
        let others = state.undecided.primaries().chain(self.records.keys());
        primaries.extend(others.filter(|primary| range.contains_encoded(primary)).cloned());
        primaries.retain(|primary| self.latest(state, primary).is_some());
        for primary in primaries {
            let name = codec::name(R::STORE, &primary)?;
            self.delete(primary, name);
        }
        Ok(())
    }

    /// Whoever changes a record writes the new version anyway, so what is in flight is left out.
    fn upgrade(&mut self, state: &State<R>, at_most: usize) -> Result<()> {
        let old = state.rows.old().iter();
        let old = old.filter(|primary| !state.is_undecided(primary)).take(at_most);
        for primary in old {
            if let Some(row) = state.rows.get(primary)
                && !self.records.contains_key(primary)
            {
                self.put(state, Prepared::new(&row.record)?, false)?;
            }
        }
        Ok(())
    }

    /// A batch has no states in between: what counts is how it leaves the records.
    fn check_unique(&self, state: &State<R>) -> Result<()> {
        let mut taken = BTreeSet::new();
        for (primary, staged) in &self.records {
            for (position, key) in unique_keys(staged.keyed.as_ref()) {
                // Two devices may have given one key twice. On each of them the least primary key
                // owns it, and may be saved as it is; the others must give theirs up.
                let holds = state.has_key(primary, position, key);
                let clash = state.holders(position, key).any(|other| {
                    !self.records.contains_key(other)
                        && state.has_key(other, position, key)
                        && !(holds && **primary < *other)
                });
                if clash || !taken.insert((position, key)) {
                    let index = R::INDEXES.get(position).map_or("", Index::name);
                    return Err(Error::NotUnique { store: R::STORE, index });
                }
            }
        }
        Ok(())
    }
}
