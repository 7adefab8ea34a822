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
use records::{Below, ObjectStore, OpenReport, Query, Record, Skipped};

use crate::{error::chain, registry::RECORDS};

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
    /// What was merged and a store could not read then.
    owed: BTreeMap<&'static str, Vec<Below>>,
    /// Conflicts that merging brought, or opening found, and nobody was told of yet.
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
    fn unusable(&self) -> records::Result<Vec<Skipped>>;
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

    fn unusable(&self) -> records::Result<Vec<Skipped>> {
        self.unusable()
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
        let open = {
            let mut state = self.state();
            if state.closed {
                return Err(closed(R::STORE));
            }
            let open = state.open.get(R::STORE).cloned();
            if open.is_none() {
                state.meanwhile = Some((R::STORE, Vec::new()));
            }
            open
        };
        if let Some(store) = open {
            self.pay(&*store)?;
            let any: &dyn Any = &*store;
            let what = "another record type has an object store of this name";
            let other = || records::Error::Schema { store: R::STORE, what };
            return any.downcast_ref().cloned().ok_or_else(other);
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
            drop(state);
            for report in reports {
                self.note(R::STORE, report);
            }
            return Ok(store);
        }
    }

    /// Tells the stores what was merged; how many pairs of records have one key in a unique index now.
    /// What one of them cannot read just now holds up no other, and [`Self::catch_up`] tells it again:
    /// the merging is durable, and will not be done twice.
    pub(crate) fn follow(&self, merged: &Merged) -> u64 {
        let mut by_store: BTreeMap<&str, Vec<Below>> = BTreeMap::new();
        for change in merged.changes.iter().filter(|change| change.ns.primary() == RECORDS) {
            let below = Below { name: change.key.clone(), before: change.before.clone() };
            by_store.entry(change.ns.secondary()).or_default().push(below);
        }
        let mut conflicts = 0;
        for (name, changes) in by_store {
            let Some(store) = self.store_or_later(name, &changes) else { continue };
            match self.tell(&*store, changes) {
                Ok(more) => conflicts += more,
                Err(error) => {
                    let error = chain(&error);
                    tracing::warn!(store = name, error, "what was merged could not be read yet");
                }
            }
        }
        conflicts
    }

    /// Tells the stores again what they could not read.
    pub(crate) fn catch_up(&self) -> records::Result<()> {
        let open: Vec<Arc<dyn Store>> = self.state().open.values().cloned().collect();
        open.iter().try_for_each(|store| self.pay(&**store))
    }

    fn pay(&self, store: &dyn Store) -> records::Result<()> {
        if self.state().owed.contains_key(store.name()) {
            self.tell(store, Vec::new())?;
        }
        Ok(())
    }

    /// Tells a store what has changed below it, and what it is owed.
    fn tell(&self, store: &dyn Store, changes: Vec<Below>) -> records::Result<u64> {
        let mut owed = self.state().owed.remove(store.name()).unwrap_or_default();
        owed.extend(changes);
        match store.follow(&owed) {
            Ok(report) => Ok(self.note(store.name(), report)),
            Err(error) => {
                self.state().owed.entry(store.name()).or_default().append(&mut owed);
                Err(error)
            }
        }
    }

    /// Keeps what somebody has to be told; how many pairs of records share a key.
    fn note(&self, store: &'static str, report: OpenReport) -> u64 {
        if !report.is_clean() {
            let (skipped, conflicts) = (report.skipped.len(), report.conflicts.len());
            let what = "records that cannot be used, or share a key";
            tracing::warn!(store, skipped, conflicts, what);
        }
        let count = report.conflicts.len() as u64;
        let mut state = self.state();
        for conflict in report.conflicts {
            let keys = conflict.names.map(|name| name.as_str().to_owned());
            state.conflicts.push(NotUnique { store, index: conflict.index, keys });
        }
        count
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

    /// What is stored in each open store and cannot be used.
    pub(crate) fn unusable(&self) -> records::Result<Vec<(&'static str, Vec<Skipped>)>> {
        self.each(|store| store.unusable())
    }

    /// How many records each open store has.
    pub(crate) fn counts(&self) -> records::Result<BTreeMap<&'static str, usize>> {
        Ok(self.each(|store| store.count())?.into_iter().collect())
    }

    fn each<T>(
        &self,
        ask: impl Fn(&dyn Store) -> records::Result<T>,
    ) -> records::Result<Vec<(&'static str, T)>> {
        let open: Vec<Arc<dyn Store>> = self.state().open.values().cloned().collect();
        open.iter().map(|store| Ok((store.name(), ask(&**store)?))).collect()
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
