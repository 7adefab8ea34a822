//! The reference store: a sorted map behind a lock.
#![doc = include_str!("../README.md")]

use std::{
    collections::BTreeMap,
    ops::Bound,
    sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard},
};

use kv_core::{
    Batch, Capabilities, Change, Commit, CreationOrder, CreationPage, Cursor, Error, Footprint,
    Key, KvStore, Namespace, Progress, ReadMany, Report, Result, Show, Size, SortKey, Value,
    Verify,
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
pub struct Medium(Arc<RwLock<State>>);

#[derive(Debug, Default)]
struct State {
    entries: BTreeMap<Namespace, BTreeMap<SortKey, Entry>>,
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
        medium.change().owned = true;
        Self { medium, opening: 0 }
    }

    /// Opens `medium`; [`Error::InUse`] while another store has it open.
    pub fn open(medium: Medium) -> Result<Self> {
        let mut state = medium.change();
        if state.owned {
            return Err(Error::InUse { store: STORE });
        }
        state.owned = true;
        state.openings += 1;
        let opening = state.openings;
        drop(state);
        Ok(Self { medium, opening })
    }

    fn state(&self) -> Result<RwLockReadGuard<'_, State>> {
        let state = self.medium.state();
        if state.is_open(self.opening) { Ok(state) } else { Err(Error::Closed { store: STORE }) }
    }

    fn change(&self) -> Result<RwLockWriteGuard<'_, State>> {
        let state = self.medium.change();
        if state.is_open(self.opening) { Ok(state) } else { Err(Error::Closed { store: STORE }) }
    }
}

impl Medium {
    /// Takes the medium from its owner, as a crash of the owner's process would. Nothing is lost:
    /// every batch is durable (here: in the medium) when `submit` returns.
    pub fn crash(&self) {
        self.change().owned = false;
    }

    // A panic while the lock is held cannot leave half a batch: applying one does not panic.

    fn state(&self) -> RwLockReadGuard<'_, State> {
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn change(&self) -> RwLockWriteGuard<'_, State> {
        self.0.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn is_open(&self, opening: u64) -> bool {
        self.owned && self.openings == opening
    }

    fn entry(&self, ns: &Namespace, key: &Key) -> Option<&Entry> {
        self.entries.get(ns)?.get(&SortKey::from(key))
    }

    fn apply(&mut self, batch: Batch) -> Result<()> {
        if batch.absent_keys().any(|(ns, key)| self.entry(ns, key).is_some()) {
            return Err(Error::Precondition { store: STORE });
        }
        let mut changes = batch.into_changes().peekable();
        // They ascend by name, so each namespace is looked up once.
        while let Some(ns) = changes.peek().map(|(ns, ..)| ns.clone()) {
            let keys = self.entries.entry(ns.clone()).or_default();
            while let Some((_, key, change)) = changes.next_if(|(next, ..)| *next == ns) {
                match change {
                    Change::Put(value) => {
                        self.created += 1;
                        let fresh = Entry { value: Value::default(), created: self.created };
                        keys.entry(key.into()).or_insert(fresh).value = value;
                    }
                    Change::Remove => drop(keys.remove(&SortKey::from(key))),
                }
            }
            if keys.is_empty() {
                self.entries.remove(&ns);
            }
        }
        Ok(())
    }
}

impl KvStore for MemStore {
    fn read(&self, ns: &Namespace, key: &Key) -> Result<Option<Value>> {
        Ok(self.state()?.entry(ns, key).map(|entry| entry.value.clone()))
    }

    fn list(&self, ns: &Namespace, after: Option<&Key>, limit: usize) -> Result<Vec<Key>> {
        let state = self.state()?;
        let Some(keys) = state.entries.get(ns) else {
            return Ok(Vec::new());
        };
        let start = after.map_or(Bound::Unbounded, |after| Bound::Excluded(SortKey::from(after)));
        let page = keys.range((start, Bound::Unbounded)).take(limit);
        Ok(page.map(|(sorted, _)| sorted.key().clone()).collect())
    }

    fn namespaces(&self) -> Result<Vec<Namespace>> {
        Ok(self.state()?.entries.keys().cloned().collect())
    }

    // Lazy batches take effect at once too: that is earlier than they promise.
    fn submit(&self, batch: Batch) -> Commit {
        Commit::done(self.change().and_then(|mut state| state.apply(batch)))
    }

    fn capabilities(&self) -> Capabilities<'_> {
        let mut capabilities = Capabilities::default();
        capabilities.creation_order = Some(self);
        capabilities.verify = Some(self);
        capabilities.footprint = Some(self);
        capabilities.read_many = Some(self);
        capabilities
    }

    fn close(&self) -> Result<()> {
        if let Ok(mut state) = self.change() {
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
            .map(|(sorted, e)| (e.created, sorted.key()))
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

impl ReadMany for MemStore {
    fn read_many(
        &self,
        ns: &Namespace,
        keys: &[Key],
        enough: usize,
        show: &mut Show<'_>,
    ) -> Result<usize> {
        let (mut shown, mut bytes) = (0, 0);
        for keys in keys.chunks(AT_ONCE) {
            let state = self.state()?;
            let entries = state.entries.get(ns);
            let value = |key| Some(&*entries?.get(&SortKey::from(key))?.value);
            let values: Vec<Option<&[u8]>> = keys.iter().map(value).collect();
            bring_near(&values);
            for value in values {
                show(shown, value)?;
                shown += 1;
                bytes += value.map_or(0, <[u8]>::len);
                if bytes >= enough {
                    return Ok(shown);
                }
            }
        }
        Ok(shown)
    }

    /// Memory has no order to read in.
    fn places(&self, _ns: &Namespace, keys: &[Key]) -> Result<Vec<u64>> {
        self.state().map(|_| vec![0; keys.len()])
    }
}

/// How many values are shown while the lock is held once.
const AT_ONCE: usize = 64;

/// Looks at these values all over. No such look depends on the one before, so the processor waits for
/// the memory once, and not for each value anew when it is read.
fn bring_near(values: &[Option<&[u8]>]) {
    // The lines of its cache; what comes behind the first few, the processor fetches by itself.
    let lines = values.iter().flatten().flat_map(|value| value.iter().step_by(64).take(16));
    std::hint::black_box(lines.fold(0, |seen, byte| seen ^ byte));
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
        for (sorted, entry) in state.entries.values().flatten() {
            size.keys += 1;
            size.value_bytes += entry.value.len() as u64;
            size.memory_bytes += (sorted.key().as_str().len() + entry.value.len() + 112) as u64;
        }
        Ok(size)
    }
}
