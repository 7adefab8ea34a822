//! The object stores of a session: the wallet's own and those of applications, each opened once, and
//! all of them told what merging has changed below them.

use std::{
    any::Any,
    collections::BTreeMap,
    fmt, mem,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use backup::Merged;
use kv_core::KvStore;
use records::{Below, ObjectStore, OpenReport, Query, Record};

use crate::registry::RECORDS;

/// Every object store that is open over one key-value store.
pub(crate) struct Stores {
    kv: Arc<dyn KvStore>,
    state: Mutex<State>,
    /// One opening at a time: it reads every record of its type.
    opening: Mutex<()>,
}

#[derive(Default)]
struct State {
    open: BTreeMap<&'static str, Arc<dyn Store>>,
    /// What is merged while the store of this name is being opened.
    meanwhile: Option<(&'static str, Vec<Below>)>,
    /// What was found while the stores were opened.
    reports: Vec<OpenReport>,
    /// Conflicts that merging brought and nobody was told of yet.
    conflicts: Vec<NotUnique>,
    closed: bool,
}

/// Two records, of two devices, that have one key in a unique index.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct NotUnique {
    pub(crate) store: &'static str,
    pub(crate) index: &'static str,
    /// The names the two are stored under.
    pub(crate) keys: [String; 2],
}

/// An object store, of whatever type.
trait Store: Any + Send + Sync {
    fn name(&self) -> &'static str;
    fn follow(&self, changes: &[Below]) -> records::Result<OpenReport>;
    fn count(&self) -> records::Result<usize>;
    fn close(&self);
}

impl<R: Record> Store for ObjectStore<R> {
    fn name(&self) -> &'static str {
        R::STORE
    }

    fn follow(&self, changes: &[Below]) -> records::Result<OpenReport> {
        self.follow(changes)
    }

    fn count(&self) -> records::Result<usize> {
        self.count(&Query::all())
    }

    fn close(&self) {
        self.close();
    }
}

impl Stores {
    pub(crate) fn new(kv: Arc<dyn KvStore>) -> Self {
        Self { kv, state: Mutex::default(), opening: Mutex::default() }
    }

    /// The object store of a type: reads all its records unless it is open already.
    pub(crate) fn open<R: Record>(&self) -> records::Result<ObjectStore<R>> {
        let _one_at_a_time = self.opening.lock().unwrap_or_else(PoisonError::into_inner);
        {
            let mut state = self.state();
            if state.closed {
                return Err(closed(R::STORE));
            }
            if let Some(store) = state.open.get(R::STORE) {
                let any: &dyn Any = &**store;
                let what = "another record type has an object store of this name";
                let other = || records::Error::Schema { store: R::STORE, what };
                return any.downcast_ref().cloned().ok_or_else(other);
            }
            state.meanwhile = Some((R::STORE, Vec::new()));
        }
        let outcome = self.read();
        self.state().meanwhile = None;
        outcome
    }

    /// Reads the records, and then what was merged while they were read.
    fn read<R: Record>(&self) -> records::Result<ObjectStore<R>> {
        let (store, report) = ObjectStore::open(self.kv.clone())?;
        let mut reports = vec![report];
        loop {
            let mut state = self.state();
            let changes = state.meanwhile.as_mut().map(|(_, changes)| mem::take(changes));
            if let Some(changes) = changes.filter(|changes| !changes.is_empty()) {
                drop(state);
                reports.push(store.follow(&changes)?);
                continue;
            }
            if state.closed {
                store.close();
                return Err(closed(R::STORE));
            }
            // From here on it hears of changes itself.
            state.open.insert(R::STORE, Arc::new(store.clone()));
            state.reports.extend(reports);
            return Ok(store);
        }
    }

    /// Tells the stores what was merged; how many pairs of records have one key in a unique index now.
    pub(crate) fn follow(&self, merged: &Merged) -> records::Result<u64> {
        let mut by_store: BTreeMap<&str, Vec<Below>> = BTreeMap::new();
        for change in merged.changes.iter().filter(|change| change.ns.primary() == RECORDS) {
            let below = Below { name: change.key.clone(), before: change.before.clone() };
            by_store.entry(change.ns.secondary()).or_default().push(below);
        }
        let mut conflicts = 0;
        for (name, changes) in by_store {
            let Some(store) = self.store_or_later(name, &changes) else { continue };
            let report = store.follow(&changes)?;
            if !report.is_clean() {
                let (skipped, conflicts) = (report.skipped.len(), report.conflicts.len());
                let what = "merged records that cannot be used, or share a key";
                tracing::warn!(store = name, skipped, conflicts, what);
            }
            conflicts += report.conflicts.len() as u64;
            let not_unique = report.conflicts.into_iter().map(|conflict| NotUnique {
                store: store.name(),
                index: conflict.index,
                keys: conflict.names.map(|name| name.as_str().to_owned()),
            });
            self.state().conflicts.extend(not_unique);
        }
        Ok(conflicts)
    }

    /// The store of this name; if it is being opened, it follows the changes once it is.
    fn store_or_later(&self, name: &str, changes: &[Below]) -> Option<Arc<dyn Store>> {
        let mut state = self.state();
        if let Some(store) = state.open.get(name) {
            return Some(store.clone());
        }
        if let Some((opening, later)) = &mut state.meanwhile
            && *opening == name
        {
            later.extend_from_slice(changes);
        }
        None
    }

    /// Conflicts that nobody was told of yet.
    pub(crate) fn take_conflicts(&self) -> Vec<NotUnique> {
        mem::take(&mut self.state().conflicts)
    }

    /// What was found while the stores were opened.
    pub(crate) fn reports(&self) -> Vec<OpenReport> {
        self.state().reports.clone()
    }

    /// How many records each open store has.
    pub(crate) fn counts(&self) -> records::Result<BTreeMap<&'static str, usize>> {
        let open: Vec<Arc<dyn Store>> = self.state().open.values().cloned().collect();
        open.iter().map(|store| Ok((store.name(), store.count()?))).collect()
    }

    /// Forgets everything, for good.
    pub(crate) fn close(&self) {
        let mut state = self.state();
        state.closed = true;
        let open: Vec<Arc<dyn Store>> = state.open.values().cloned().collect();
        drop(state);
        open.iter().for_each(|store| store.close());
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn closed(store: &'static str) -> records::Error {
    records::Error::Store { store, source: kv_core::Error::Closed { store: "records" } }
}

impl fmt::Debug for Stores {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stores").field("open", &self.state().open.keys()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
