//! A store that notes its batches, so that a crash can come after any of them.

#![allow(dead_code, unreachable_pub, clippy::allow_attributes, reason = "each test uses its part")]
#![allow(clippy::unwrap_used, clippy::len_without_is_empty, reason = "a helper of tests panics")]

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicU64, Ordering},
};

use kv_core::{
    Batch, Capabilities, Commit, Durability, Key, KvStore, KvStoreExt, Namespace, Result, Value,
};
use kv_mem::MemStore;

/// Notes each batch, and how many states the peer could punish by then.
#[derive(Debug)]
pub struct Tape {
    inner: Arc<dyn KvStore>,
    revoked: AtomicU64,
    batches: Mutex<Vec<(Batch, u64)>>,
}

impl Tape {
    pub fn new() -> Arc<Self> {
        Self::over(Arc::new(MemStore::new()))
    }

    pub fn over(inner: Arc<dyn KvStore>) -> Arc<Self> {
        let (revoked, batches) = (AtomicU64::new(0), Mutex::default());
        Arc::new(Self { inner, revoked, batches })
    }

    /// How many batches there were.
    pub fn len(&self) -> usize {
        self.batches.lock().unwrap().len()
    }

    /// Whether the newest batch asks to be durable.
    pub fn newest_is_synced(&self) -> bool {
        let batches = self.batches.lock().unwrap();
        batches.last().is_some_and(|(batch, _)| batch.durability() == Durability::Synced)
    }

    /// The key that each batch changes first.
    pub fn keys(&self) -> Vec<String> {
        let batches = self.batches.lock().unwrap();
        let first = batches.iter().filter_map(|(batch, _)| batch.changes().next());
        first.map(|(_, key, _)| key.as_str().to_owned()).collect()
    }

    /// The peer has got the secret of one more state.
    pub fn revoke(&self) {
        self.revoked.fetch_add(1, Ordering::SeqCst);
    }

    /// The store as a crash leaves it that comes after so many batches.
    pub fn after(&self, batches: usize) -> Arc<dyn KvStore> {
        let store = MemStore::new();
        for (batch, _) in self.batches.lock().unwrap().iter().take(batches) {
            store.submit(batch.clone()).wait().unwrap();
        }
        store.flush().unwrap();
        Arc::new(store)
    }

    /// How many states the peer could punish before the next batch was submitted.
    pub fn revoked_before(&self, next: usize) -> u64 {
        let batches = self.batches.lock().unwrap();
        batches.get(next).map_or(self.revoked.load(Ordering::SeqCst), |(_, revoked)| *revoked)
    }
}

impl KvStore for Tape {
    fn read(&self, ns: &Namespace, key: &Key) -> Result<Option<Value>> {
        self.inner.read(ns, key)
    }

    fn list(&self, ns: &Namespace, after: Option<&Key>, limit: usize) -> Result<Vec<Key>> {
        self.inner.list(ns, after, limit)
    }

    fn namespaces(&self) -> Result<Vec<Namespace>> {
        self.inner.namespaces()
    }

    fn submit(&self, batch: Batch) -> Commit {
        let revoked = self.revoked.load(Ordering::SeqCst);
        self.batches.lock().unwrap().push((batch.clone(), revoked));
        self.inner.submit(batch)
    }

    fn capabilities(&self) -> Capabilities<'_> {
        self.inner.capabilities()
    }

    fn close(&self) -> Result<()> {
        self.inner.close()
    }
}
