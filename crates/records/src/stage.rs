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

/// Makes a record of the one that is there; `None`: it stays.
type Make<R> = dyn FnOnce(Option<&R>) -> Option<R> + Send + Sync;

/// Whether a record is as it must be.
type Fits<R> = dyn FnOnce(Option<&R>) -> bool + Send + Sync;

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
    /// A record as it is made of what is there.
    Update(EncodedKey, Box<Make<R>>),
    /// What must be there.
    Require(EncodedKey, Box<Fits<R>>),
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
    /// Records of old versions that cannot be written as they are read.
    pub(crate) not_writable: Vec<EncodedKey>,
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
        let row = Row { primary: primary.as_slice().into(), version: R::VERSION, record };
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
    let mut stage =
        Stage { records: BTreeMap::new(), damaged: Vec::new(), not_writable: Vec::new() };
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
            Op::Update(primary, make) => {
                let latest = stage.latest(state, &primary);
                if let Some(record) = make(latest.map(|row| &row.record)) {
                    let prepared = Prepared::new(&record)?;
                    if prepared.primary() != &*primary {
                        let what = "a record that was changed has another key now";
                        return Err(Error::Schema { store: table.store, what });
                    }
                    stage.put(state, prepared, false)?;
                }
            }
            Op::Require(primary, fits) => {
                let latest = stage.latest(state, &primary);
                if !fits(latest.map(|row| &row.record)) {
                    return Err(Error::Changed { store: table.store });
                }
            }
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
                match Prepared::new(&row.record) {
                    Ok(prepared) => self.put(state, prepared, false)?,
                    Err(Error::NotReadable { .. } | Error::NotJson { .. }) => {
                        self.not_writable.push(Arc::clone(primary));
                    }
                    Err(error) => return Err(error),
                }
            }
        }
        Ok(())
    }

    /// A batch has no states in between: what counts is how it leaves the records.
    ///
    /// A record may always keep a key that it has. It shares it with another one if two devices gave
    /// it, or the index was declared unique later; neither gets worse by being saved.
    fn check_unique(&self, state: &State<R>) -> Result<()> {
        // With whether one of them has not had it before.
        let mut taken: BTreeMap<(usize, &[u8]), bool> = BTreeMap::new();
        for (primary, staged) in &self.records {
            for (position, key) in unique_keys(staged.keyed.as_ref()) {
                let is_new = !state.has_key(primary, position, key);
                let clash = is_new
                    && state.holders(position, key).any(|other| {
                        !self.records.contains_key(other) && state.has_key(other, position, key)
                    });
                let other = taken.insert((position, key), is_new);
                if clash || other.is_some_and(|other_is_new| is_new || other_is_new) {
                    let index = R::INDEXES.get(position).map_or("", Index::name);
                    return Err(Error::NotUnique { store: R::STORE, index });
                }
            }
        }
        Ok(())
    }
}
