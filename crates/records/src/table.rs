//! An object store without its record type: where it lies, its indexes, its lock.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use kv_core::{Change, Key, KvStore, Namespace, Receipt};

use crate::{
    Error, KeyRange, Query, Record, Result, codec,
    encoding::EncodedKey,
    rows::{IndexKeys, Rows},
    undecided::{RowChange, Undecided, key_in},
};

pub(crate) struct Table {
    pub(crate) kv: Arc<dyn KvStore>,
    pub(crate) ns: Namespace,
    pub(crate) store: &'static str,
    indexes: Vec<IndexMeta>,
    state: Mutex<State>,
    /// One [`crate::ObjectStore::follow`] at a time.
    pub(crate) following: Mutex<()>,
}

#[derive(Debug)]
pub(crate) struct IndexMeta {
    pub(crate) name: &'static str,
    pub(crate) unique: bool,
}

/// What is known of the records. Held locked across a `submit`, never across a read.
pub(crate) struct State {
    rows: Rows,
    undecided: Undecided,
    /// Records of a newer version. Writing over one would lose what only that version knows.
    pub(crate) too_new: BTreeMap<Key, Error>,
    /// While changes from below are followed: the records that were submitted here meanwhile.
    pub(crate) touched: Option<BTreeSet<EncodedKey>>,
}

/// One change that a caller asked for.
pub(crate) struct Op {
    pub(crate) primary: EncodedKey,
    pub(crate) name: Key,
    pub(crate) change: Change,
    /// `None`: removed.
    pub(crate) keys: Option<IndexKeys>,
    pub(crate) require_absent: bool,
}

/// A record and what its bytes told beside it.
pub(crate) struct Loaded<R> {
    pub(crate) record: R,
    pub(crate) primary: EncodedKey,
    pub(crate) version: u32,
}

impl Table {
    /// An empty table; [`Table::fill`] it before use.
    pub(crate) fn new(
        kv: Arc<dyn KvStore>,
        store: &'static str,
        indexes: Vec<IndexMeta>,
    ) -> Result<Self> {
        let unique = indexes.iter().enumerate().filter(|(_, index)| index.unique);
        let undecided = Undecided::new(unique.map(|(position, _)| position).collect());
        let rows = Rows::build(indexes.len(), Vec::new());
        let too_new = BTreeMap::new();
        let state = Mutex::new(State { rows, undecided, too_new, touched: None });
        let (ns, following) = (codec::namespace(store)?, Mutex::new(()));
        Ok(Self { kv, ns, store, indexes, state, following })
    }

    /// Takes over what was found at opening; gives (index, primary keys) of each unique conflict.
    pub(crate) fn fill(
        &self,
        found: Vec<(EncodedKey, IndexKeys)>,
        too_new: BTreeMap<Key, Error>,
    ) -> Vec<(&'static str, [EncodedKey; 2])> {
        let rows = Rows::build(self.indexes.len(), found);
        let unique = self.indexes.iter().enumerate().filter(|(_, index)| index.unique);
        let conflicts = unique
            .flat_map(|(position, index)| {
                rows.twins(position).map(|twins| (index.name, twins.map(Arc::clone)))
            })
            .collect();
        let mut state = self.lock();
        state.rows = rows;
        state.too_new = too_new;
        conflicts
    }

    /// The state, with everything that has been decided by now.
    pub(crate) fn lock(&self) -> MutexGuard<'_, State> {
        let mut guard = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let state = &mut *guard;
        state.undecided.settle(&mut state.rows);
        guard
    }

    /// Reads a record and checks that it is the one its name says.
    pub(crate) fn load<R: Record>(&self, name: &Key) -> Result<Option<Loaded<R>>> {
        let Some(bytes) = self.kv.read(&self.ns, name).map_err(|source| self.failed(source))?
        else {
            return Ok(None);
        };
        let stored = codec::Stored::parse(self.store, name, &bytes, R::VERSION)?;
        let record: R = stored.record(name)?;
        let primary = EncodedKey::from(record.key().encode());
        if codec::name(self.store, &primary)? != *name {
            let what = "the record belongs under another name";
            return Err(codec::damaged(self.store, name, Arc::from(Box::from(what))));
        }
        Ok(Some(Loaded { record, primary, version: stored.version }))
    }

    /// The position of the index a query names; `None`: the primary key.
    pub(crate) fn position(&self, query: &Query) -> Result<Option<usize>> {
        let Some(name) = query.index_name() else {
            return Ok(None);
        };
        let position = self.indexes.iter().position(|index| index.name == name);
        let unknown = || Error::NoIndex { store: self.store, index: name.to_owned() };
        position.ok_or_else(unknown).map(Some)
    }

    /// The unique indexes: position and name.
    pub(crate) fn unique(&self) -> impl Iterator<Item = (usize, &'static str)> {
        let unique = self.indexes.iter().enumerate().filter(|(_, index)| index.unique);
        unique.map(|(position, index)| (position, index.name))
    }

    pub(crate) fn failed(&self, source: kv_core::Error) -> Error {
        Error::Store { store: self.store, source }
    }

    /// Checks `ops` against everything submitted so far; gives the last one per record.
    pub(crate) fn stage(&self, state: &State, ops: Vec<Op>) -> Result<BTreeMap<EncodedKey, Op>> {
        let mut staged: BTreeMap<EncodedKey, Op> = BTreeMap::new();
        for mut op in ops {
            if let Some(error) = state.too_new.get(&op.name) {
                return Err(error.clone());
            }
            let earlier = staged.get(&op.primary);
            let keys =
                earlier.map_or_else(|| state.latest(&op.primary), |earlier| earlier.keys.as_ref());
            if op.require_absent && keys.is_some() {
                return Err(Error::Exists { store: self.store });
            }
            // The store below looks at what was there before the whole batch.
            op.require_absent = earlier.map_or(op.require_absent, |earlier| earlier.require_absent);
            staged.insert(Arc::clone(&op.primary), op);
        }
        self.check_unique(state, &staged)?;
        Ok(staged)
    }

    /// A batch has no states in between: what counts is how it leaves the records.
    fn check_unique(&self, state: &State, staged: &BTreeMap<EncodedKey, Op>) -> Result<()> {
        for (position, index) in self.indexes.iter().enumerate().filter(|(_, index)| index.unique) {
            let mut taken = BTreeMap::new();
            for op in staged.values() {
                let Some(key) = op.keys.as_ref().and_then(|keys| key_in(keys, position)) else {
                    continue;
                };
                // Two devices may have given one key twice. On each of them the least primary key
                // owns it, and may be saved as it is; the others must give theirs up.
                let holds =
                    state.latest(&op.primary).and_then(|keys| key_in(keys, position)) == Some(key);
                let owners = state.rows.owners(position, key);
                let mut others = owners.chain(state.undecided.claimants(position, key));
                let clash = others.any(|other| {
                    !staged.contains_key(other)
                        && state.latest(other).and_then(|keys| key_in(keys, position)) == Some(key)
                        && !(holds && op.primary < *other)
                });
                if clash || taken.insert(key, ()).is_some() {
                    return Err(Error::NotUnique { store: self.store, index: index.name });
                }
            }
        }
        Ok(())
    }
}

impl State {
    /// How many records are decided to be there.
    pub(crate) fn len(&self) -> usize {
        self.rows.len()
    }

    /// The decided primary keys of a range; see [`Rows::range`].
    pub(crate) fn range(
        &self,
        index: Option<usize>,
        range: &KeyRange,
    ) -> Box<dyn DoubleEndedIterator<Item = &EncodedKey> + '_> {
        self.rows.range(index, range)
    }

    /// Remembers changes that the store below took.
    pub(crate) fn submitted(&mut self, receipt: Receipt, changes: Vec<RowChange>) {
        if let Some(touched) = &mut self.touched {
            touched.extend(changes.iter().map(|(primary, _)| Arc::clone(primary)));
        }
        self.undecided.push(receipt, changes);
    }

    /// Whether something of the record was submitted and is not decided.
    pub(crate) fn is_undecided(&self, primary: &[u8]) -> bool {
        self.undecided.latest(primary).is_some()
    }

    /// Puts or removes (`None`) a record that is decided.
    pub(crate) fn set(&mut self, primary: EncodedKey, keys: Option<IndexKeys>) {
        self.rows.set(primary, keys);
    }

    /// The decided records with this very key in the index.
    pub(crate) fn owners(
        &self,
        index: usize,
        key: &EncodedKey,
    ) -> impl Iterator<Item = &EncodedKey> {
        self.rows.owners(index, key)
    }

    /// The record as the last submitted batch leaves it.
    fn latest(&self, primary: &[u8]) -> Option<&IndexKeys> {
        self.undecided.latest(primary).unwrap_or_else(|| self.rows.get(primary))
    }
}

impl fmt::Debug for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Table")
            .field("store", &self.store)
            .field("indexes", &self.indexes)
            .finish_non_exhaustive()
    }
}
