//! An object store behind its handles: where it lies, what is in memory, its locks.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use kv_core::{Key, KvStore, Namespace, Receipt};

use crate::{
    Error, Query, Record, Result, codec,
    encoding::EncodedKey,
    numbers::Numbers,
    report,
    row::{Keyed, Row},
    rows::Rows,
    undecided::{RowChange, Undecided},
};

pub(crate) struct Table<R> {
    pub(crate) kv: Arc<dyn KvStore>,
    pub(crate) ns: Namespace,
    pub(crate) store: &'static str,
    /// Held from the checks of a change until it is remembered, so across the `submit` of the store
    /// below, which may make a writer wait. Taken before `state`, which nobody waits for long.
    pub(crate) order: Arc<Mutex<()>>,
    state: Mutex<State<R>>,
    /// One [`crate::ObjectStore::follow`] at a time.
    pub(crate) following: Mutex<()>,
}

/// What is known of the records. Never held locked across a call of the store below.
pub(crate) struct State<R> {
    pub(crate) rows: Rows<R>,
    pub(crate) undecided: Undecided<R>,
    /// Records that cannot be used, and why. Writing over one of a newer version would lose what
    /// only that version knows; a damaged one is replaced.
    pub(crate) unusable: BTreeMap<Key, Error>,
    pub(crate) numbers: Numbers,
    /// While changes from below are followed: the records that were in flight when that began, or
    /// were submitted here meanwhile.
    pub(crate) touched: Option<BTreeSet<EncodedKey>>,
    closed: bool,
}

impl<R: Record> Table<R> {
    /// A table of what was found at opening.
    pub(crate) fn new(
        kv: Arc<dyn KvStore>,
        ns: Namespace,
        rows: Rows<R>,
        unusable: BTreeMap<Key, Error>,
        numbers: Numbers,
    ) -> Self {
        let undecided = Undecided::default();
        let state = State { rows, undecided, unusable, numbers, touched: None, closed: false };
        Self {
            kv,
            ns,
            store: R::STORE,
            order: Arc::default(),
            state: Mutex::new(state),
            following: Mutex::default(),
        }
    }

    /// The state, with everything that has been decided by now.
    pub(crate) fn lock(&self) -> Result<MutexGuard<'_, State<R>>> {
        let mut guard = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if guard.closed {
            return Err(self.failed(kv_core::Error::Closed { store: "records" }));
        }
        guard.settle();
        Ok(guard)
    }

    /// Forgets everything that is in memory, for good.
    pub(crate) fn close(&self) {
        let _order = self.order.lock().unwrap_or_else(PoisonError::into_inner);
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.closed = true;
        state.rows = Rows::build(Vec::new()).0;
        state.undecided = Undecided::default();
        state.unusable = BTreeMap::new();
    }

    /// The position of the index a query names; `None`: the primary key.
    pub(crate) fn position(&self, query: &Query) -> Result<Option<usize>> {
        let Some(name) = query.index_name() else {
            return Ok(None);
        };
        let position = R::INDEXES.iter().position(|index| index.name() == name);
        let unknown = || Error::NoIndex { store: self.store, index: name.to_owned() };
        position.ok_or_else(unknown).map(Some)
    }

    pub(crate) fn failed(&self, source: kv_core::Error) -> Error {
        Error::Store { store: self.store, source }
    }
}

impl<R: Record> State<R> {
    fn settle(&mut self) {
        let Self { rows, undecided, unusable, .. } = self;
        undecided.settle(|changes| {
            for (primary, _) in &changes {
                if !unusable.is_empty()
                    && let Ok(name) = codec::name(R::STORE, primary)
                    && unusable.get(&name).is_some_and(|why| !report::is_too_new(why))
                {
                    unusable.remove(&name); // what was damaged has been replaced or removed
                }
            }
            rows.set_all(changes);
        });
    }

    /// Remembers changes that the store below took.
    pub(crate) fn submitted(&mut self, receipt: Receipt, changes: Vec<RowChange<R>>) {
        if let Some(touched) = &mut self.touched {
            touched.extend(changes.iter().map(|(primary, _)| Arc::clone(primary)));
        }
        self.undecided.push(receipt, changes);
    }

    /// Whether something of the record was submitted and is not decided.
    pub(crate) fn is_undecided(&self, primary: &[u8]) -> bool {
        self.undecided.latest(primary).is_some()
    }

    /// Takes over a record that is decided.
    pub(crate) fn set(&mut self, primary: &[u8], keyed: Option<Keyed<R>>) {
        self.rows.set(primary, keyed);
    }

    /// The record as the last submitted batch leaves it.
    pub(crate) fn latest(&self, primary: &[u8]) -> Option<&Arc<Row<R>>> {
        self.undecided.latest(primary).unwrap_or_else(|| self.rows.get(primary))
    }

    /// A record of an old version that cannot be written as it is read: it stays as it is.
    pub(crate) fn not_writable(&mut self, primary: &[u8]) {
        self.rows.never_upgrade(primary);
    }

    /// [`Error::TooNew`] if the record of this name is one that only a newer version can read.
    pub(crate) fn check_not_too_new(&self, name: &Key) -> Result<()> {
        match self.unusable.get(name) {
            Some(why) if report::is_too_new(why) => Err(why.clone()),
            _ => Ok(()),
        }
    }

    /// The records that have this key in the index, in a decided or an undecided state.
    pub(crate) fn holders(&self, index: usize, key: &[u8]) -> impl Iterator<Item = &[u8]> {
        let decided = self.rows.owners(index, key).map(|row| &*row.primary);
        decided.chain(self.undecided.claimants(index, key).map(|primary| &**primary))
    }

    /// Whether the record, as the last submitted batch leaves it, has this key in the index.
    pub(crate) fn has_key(&self, primary: &[u8], index: usize, key: &[u8]) -> bool {
        let row = self.latest(primary).zip(R::INDEXES.get(index));
        row.is_some_and(|(row, index)| index.encoded(&row.record).any(|(_, other)| other == key))
    }
}

impl<R> fmt::Debug for Table<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Table").field("store", &self.store).finish_non_exhaustive()
    }
}
