//! What a device keeps its wallet on: memory with a write cache, or kv-fs on a simulated disk.

use std::{
    sync::{Arc, Mutex, Weak},
    task::{Context, Poll},
};

use kv_core::{
    Batch, Capabilities, Commit, Durability, Key, KvStore, Namespace, Pending, Result, Value,
    testing::{Fault, FaultyStore, Random},
};
use kv_fs::{FsStore, disk::SimDisk};
use kv_mem::MemStore;

/// The medium of one device. It outlives crashes.
#[derive(Debug, Clone)]
pub(crate) struct Medium {
    kind: Kind,
    fault: Arc<Fault>,
    /// The store as it was opened last.
    open: Arc<Mutex<Option<Weak<dyn KvStore>>>>,
}

#[derive(Debug, Clone)]
enum Kind {
    Mem(kv_mem::Medium, Cache),
    Fs(SimDisk),
}

/// Lazy batches that a crash loses.
type Cache = Arc<Mutex<Vec<(Batch, Arc<Ticket>)>>>;

/// Tells when a lazy batch took effect.
#[derive(Debug, Default)]
struct Ticket(Mutex<Option<Result<()>>>);

impl Medium {
    pub(crate) fn mem() -> Self {
        let kind = Kind::Mem(kv_mem::Medium::default(), Cache::default());
        Self { kind, fault: Arc::default(), open: Arc::default() }
    }

    pub(crate) fn fs() -> Self {
        let kind = Kind::Fs(SimDisk::new());
        Self { kind, fault: Arc::default(), open: Arc::default() }
    }

    pub(crate) fn open(&self) -> Result<Arc<dyn KvStore>> {
        let store: Arc<dyn KvStore> = match &self.kind {
            Kind::Mem(medium, cache) => {
                let inner = MemStore::open(medium.clone())?;
                Arc::new(Cached { inner, cache: cache.clone() })
            }
            Kind::Fs(disk) => {
                let mut settings = kv_fs::Settings::default();
                settings.segment_size = 8 << 10;
                settings.checkpoint_after = 24 << 10;
                Arc::new(Waited(FsStore::open_alone(disk.mount(), settings)?))
            }
        };
        *self.open.lock().unwrap() = Some(Arc::downgrade(&store));
        Ok(Arc::new(FaultyStore::new(store, self.fault.clone())))
    }

    /// The store below the wallet that runs on it, where nothing fails and nobody counts.
    pub(crate) fn below(&self) -> Option<Arc<dyn KvStore>> {
        self.open.lock().unwrap().as_ref()?.upgrade()
    }

    /// The power fails: what was not durable is lost, or partly there.
    pub(crate) fn crash(&self, random: &mut Random) {
        self.fault.fail_nth(0, Default::default());
        match &self.kind {
            Kind::Mem(medium, cache) => {
                medium.crash();
                cache.lock().unwrap().clear();
            }
            Kind::Fs(disk) => {
                let mut choices = disk.choices(random.draw());
                let chosen = random.below(choices.len() as u64) as usize;
                disk.crash_keeping(&choices.swap_remove(chosen));
            }
        }
    }

    /// The nth operation from now fails and the store is poisoned; see `FaultyStore`.
    pub(crate) fn fault(&self) -> &Fault {
        &self.fault
    }
}

/// Memory that keeps lazy batches back until the next synced one.
#[derive(Debug)]
struct Cached {
    inner: MemStore,
    cache: Cache,
}

impl Pending for Ticket {
    fn outcome(&self) -> Option<Result<()>> {
        self.0.lock().unwrap().clone()
    }

    fn poll(&self, _: &mut Context<'_>) -> Poll<Result<()>> {
        // Never asked: a lazy commit resolves at once.
        Poll::Ready(Ok(()))
    }

    fn wait(&self) -> Result<()> {
        Ok(())
    }
}

impl Cached {
    fn flush(&self) -> Result<()> {
        for (batch, ticket) in self.cache.lock().unwrap().drain(..) {
            let outcome = self.inner.submit(batch).wait();
            *ticket.0.lock().unwrap() = Some(outcome.clone());
            outcome?;
        }
        Ok(())
    }
}

impl KvStore for Cached {
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
        // A precondition must see what is before it.
        if batch.durability() == Durability::Lazy && batch.absent_keys().next().is_none() {
            if let Err(closed) = self.inner.namespaces() {
                return Commit::done(Err(closed));
            }
            let ticket = Arc::new(Ticket::default());
            self.cache.lock().unwrap().push((batch, ticket.clone()));
            return Commit::lazy(ticket);
        }
        match self.flush() {
            Ok(()) => self.inner.submit(batch),
            Err(error) => Commit::done(Err(error)),
        }
    }

    fn capabilities(&self) -> Capabilities<'_> {
        self.inner.capabilities()
    }

    fn close(&self) -> Result<()> {
        // A handle that a crash has killed must not flush what came after it.
        if self.inner.namespaces().is_ok() {
            self.flush()?;
        }
        self.inner.close()
    }
}

/// A kv-fs without a thread, whose disk is done with each synced batch before anything else happens.
#[derive(Debug)]
struct Waited(FsStore);

impl KvStore for Waited {
    fn read(&self, ns: &Namespace, key: &Key) -> Result<Option<Value>> {
        self.0.read(ns, key)
    }

    fn list(&self, ns: &Namespace, after: Option<&Key>, limit: usize) -> Result<Vec<Key>> {
        self.0.list(ns, after, limit)
    }

    fn namespaces(&self) -> Result<Vec<Namespace>> {
        self.0.namespaces()
    }

    fn submit(&self, batch: Batch) -> Commit {
        let lazy = batch.durability() == Durability::Lazy;
        let commit = self.0.submit(batch);
        if lazy {
            return commit;
        }
        let outcome = commit.wait();
        self.0.do_background();
        Commit::done(outcome)
    }

    fn capabilities(&self) -> Capabilities<'_> {
        self.0.capabilities()
    }

    fn close(&self) -> Result<()> {
        self.0.close()
    }
}
