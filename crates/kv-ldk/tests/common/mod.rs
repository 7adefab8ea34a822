//! Stores of each kind under LDK's traits.

#![allow(dead_code, unreachable_pub, unused_imports, reason = "each test uses its part")]
#![allow(clippy::allow_attributes, reason = "it is not the same for each test")]
#![allow(clippy::unwrap_used, reason = "a helper of tests panics")]

pub mod later;
pub mod ldk_0_2;
pub mod paged;

pub use self::ldk_0_2::small;

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use backup::{Recorder, RecorderSettings, Rules};
use kv_core::{
    Batch, Capabilities, Commit, Key, KvStore, KvStoreExt, Namespace, Result, Value,
    testing::ManualClock,
};
use kv_fs::{FsStore, Settings};
use kv_mem::MemStore;
use tempfile::TempDir;
use vault::{RootSecret, SealedStore};

/// A store, and the folder it needs.
pub struct Made {
    pub name: &'static str,
    pub store: Arc<dyn KvStore>,
    _folder: Option<TempDir>,
}

/// In memory, in files, sealed, recorded.
pub fn stores() -> Vec<Made> {
    let folder = TempDir::new().unwrap();
    let files: Arc<dyn KvStore> =
        Arc::new(FsStore::open(folder.path(), Settings::default()).unwrap());
    let made = |name, store| Made { name, store, _folder: None };
    vec![
        made("memory", Arc::new(MemStore::new())),
        Made { name: "files", store: files, _folder: Some(folder) },
        made("sealed", sealed(Arc::new(MemStore::new()))),
        made("recorded", recorder(sealed(Arc::new(MemStore::new())))),
    ]
}

pub fn sealed(below: Arc<dyn KvStore>) -> Arc<dyn KvStore> {
    SealedStore::create(below, &RootSecret::from_bytes([7; 32])).unwrap()
}

pub fn recorder(below: Arc<dyn KvStore>) -> Arc<Recorder> {
    let (rules, clock) = (Rules::new([]), Arc::new(ManualClock::default()));
    Recorder::open(below, rules, clock, RecorderSettings::default()).unwrap()
}

/// The cloud has everything that was submitted.
pub fn cloud_takes_everything(recorder: &Recorder) {
    if let Some(cut) = recorder.cut(0).unwrap() {
        let mut state = recorder.state();
        state.backed_up = cut.to;
        recorder.acknowledge(state).unwrap();
        recorder.fence_passed(cut.to);
    }
}

/// The cloud has everything up to this sequence number and nothing behind it.
pub fn cloud_takes(recorder: &Recorder, to: u64) {
    recorder.flush().unwrap();
    let mut state = recorder.state();
    state.backed_up = to;
    recorder.acknowledge(state).unwrap();
    recorder.fence_passed(to);
}

/// Counts the batches.
#[derive(Debug)]
pub struct Counting {
    pub inner: Arc<dyn KvStore>,
    batches: AtomicU64,
}

impl Counting {
    pub fn new(inner: Arc<dyn KvStore>) -> Self {
        Self { inner, batches: AtomicU64::new(0) }
    }

    pub fn batches(&self) -> u64 {
        self.batches.load(Ordering::SeqCst)
    }
}

impl KvStore for Counting {
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
        self.batches.fetch_add(1, Ordering::SeqCst);
        self.inner.submit(batch)
    }

    fn capabilities(&self) -> Capabilities<'_> {
        self.inner.capabilities()
    }

    fn close(&self) -> Result<()> {
        self.inner.close()
    }
}
