//! The reference store: a sorted map behind a lock.
#![doc = include_str!("../README.md")]

use std::{
    collections::BTreeMap,
    ops::Bound,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use kv_core::{
    Batch, Capabilities, Change, Commit, CreationOrder, CreationPage, Cursor, Error, Footprint,
    Key, KvStore, Namespace, Progress, Report, Result, Size, Value, Verify,
};

const STORE: &str = "mem";

/// A store in memory. It survives its own closing, but not its process.
#[derive(Debug)]
pub struct MemStore {
    medium: Medium,
    /// Which opening of the medium this store is; a later one makes it a dead handle.
    opening: u64,
}

/// The memory a [`MemStore`] works on; clones share it, so a test can reopen the store.
#[derive(Debug, Clone, Default)]
pub struct Medium(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    entries: BTreeMap<Namespace, BTreeMap<Key, Entry>>,
    created: u64,
    openings: u64,
    owned: bool,
}

#[derive(Debug)]
struct Entry {
    value: Value,
    created: u64,
}

impl Default for MemStore {
    fn default() -> Self {
        Self::new()
    }
}

impl MemStore {
    /// An empty store on a medium of its own.
    pub fn new() -> Self {
        let medium = Medium::default();
        medium.state().owned = true;
        Self { medium, opening: 0 }
    }

    /// Opens `medium`; [`Error::InUse`] while another store has it open.
    pub fn open(medium: Medium) -> Result<Self> {
        let mut state = medium.state();
        if state.owned {
            return Err(Error::InUse { store: STORE });
        }
        state.owned = true;
        state.openings += 1;
        let opening = state.openings;
        drop(state);
        Ok(Self { medium, opening })
    }

    fn state(&self) -> Result<MutexGuard<'_, State>> {
        let state = self.medium.state();
        if state.owned && state.openings == self.opening {
            Ok(state)
        } else {
            Err(Error::Closed { store: STORE })
        }
    }
}

impl Medium {
    /// Takes the medium from its owner, as a crash of the owner's process would. Nothing is lost:
    /// every batch is durable (here: in the medium) when `submit` returns.
    pub fn crash(&self) {
        self.state().owned = false;
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // A panic while the lock is held cannot leave half a batch: applying one does not panic.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn contains(&self, ns: &Namespace, key: &Key) -> bool {
        self.entries.get(ns).is_some_and(|keys| keys.contains_key(key))
    }

    fn apply(&mut self, batch: Batch) -> Result<()> {
        if batch.absent_keys().any(|(ns, key)| self.contains(ns, key)) {
            return Err(Error::Precondition { store: STORE });
        }
        for (ns, key, change) in batch.into_changes() {
            match change {
                Change::Put(value) => {
                    self.created += 1;
                    let fresh = Entry { value: Value::default(), created: self.created };
                    self.entries.entry(ns).or_default().entry(key).or_insert(fresh).value = value;
                }
                Change::Remove => {
                    if let Some(keys) = self.entries.get_mut(&ns) {
                        keys.remove(&key);
                        if keys.is_empty() {
                            self.entries.remove(&ns);
                        }
                    }
                }
            }
        }
        Ok(())
    }
}

impl KvStore for MemStore {
    fn read(&self, ns: &Namespace, key: &Key) -> Result<Option<Value>> {
        let state = self.state()?;
        Ok(state.entries.get(ns).and_then(|keys| keys.get(key)).map(|e| e.value.clone()))
    }

    fn list(&self, ns: &Namespace, after: Option<&Key>, limit: usize) -> Result<Vec<Key>> {
        let state = self.state()?;
        let Some(keys) = state.entries.get(ns) else {
            return Ok(Vec::new());
        };
        let start = after.map_or(Bound::Unbounded, Bound::Excluded);
        let page = keys.range((start, Bound::Unbounded)).take(limit);
        Ok(page.map(|(key, _)| key.clone()).collect())
    }

    fn namespaces(&self) -> Result<Vec<Namespace>> {
        Ok(self.state()?.entries.keys().cloned().collect())
    }

    // Lazy batches take effect at once too: that is earlier than they promise.
    fn submit(&self, batch: Batch) -> Commit {
        Commit::done(self.state().and_then(|mut state| state.apply(batch)))
    }

    fn capabilities(&self) -> Capabilities<'_> {
        let mut capabilities = Capabilities::default();
        capabilities.creation_order = Some(self);
        capabilities.verify = Some(self);
        capabilities.footprint = Some(self);
        capabilities
    }

    fn close(&self) -> Result<()> {
        if let Ok(mut state) = self.state() {
            state.owned = false;
        }
        Ok(())
    }
}

impl Drop for MemStore {
    fn drop(&mut self) {
        // Closing memory cannot fail.
        let _ = self.close();
    }
}

impl CreationOrder for MemStore {
    fn list_newest_first(
        &self,
        ns: &Namespace,
        cursor: Option<&Cursor>,
        limit: usize,
    ) -> Result<CreationPage> {
        let state = self.state()?;
        let before = cursor.map_or(u64::MAX, Cursor::sequence);
        let keys = state.entries.get(ns).into_iter().flatten();
        let mut found: Vec<(u64, &Key)> = keys
            .map(|(key, e)| (e.created, key))
            .filter(|(created, _)| *created < before)
            .collect();
        found.sort_unstable_by(|a, b| b.cmp(a));
        let more = found.len() > limit;
        found.truncate(limit);
        let next =
            found.last().filter(|_| more).map(|(created, _)| Cursor::from_sequence(*created));
        Ok(CreationPage { keys: found.into_iter().map(|(_, key)| key.clone()).collect(), next })
    }
}

impl Verify for MemStore {
    fn verify(&self, progress: &mut dyn FnMut(Progress)) -> Result<Report> {
        let size = self.footprint()?;
        let mut report = Report::default();
        (report.entries, report.bytes) = (size.keys, size.value_bytes);
        progress(Progress { done: size.keys, total: size.keys });
        Ok(report)
    }
}

impl Footprint for MemStore {
    fn footprint(&self) -> Result<Size> {
        let state = self.state()?;
        let mut size = Size::default();
        for (key, entry) in state.entries.values().flatten() {
            size.keys += 1;
            size.value_bytes += entry.value.len() as u64;
            size.memory_bytes += (key.as_str().len() + entry.value.len() + 96) as u64;
        }
        Ok(size)
    }
}
