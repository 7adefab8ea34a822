//! Stores that show what a memory alone cannot: changes between two reads, and what is not durable.

use std::{
    collections::VecDeque,
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll},
};

use kv_core::{
    Batch, Capabilities, Commit, Durability, Error, Key, KvStore, Namespace, Pending, Result, Value,
};
use kv_mem::{Medium, MemStore};

/// Calls a hook before each read of a user's key, and after each flush with [`flush`].
pub struct Hooked {
    inner: Arc<dyn KvStore>,
    hook: Hook,
}

/// Filled in once whatever the hook works on exists.
pub type Hook = Arc<Mutex<Option<Arc<dyn Fn(&Namespace, &Key) + Send + Sync>>>>;

impl Hooked {
    pub fn new(inner: Arc<dyn KvStore>, hook: Hook) -> Self {
        Self { inner, hook }
    }

    fn call(&self, ns: &Namespace, key: &Key) {
        let hook = self.hook.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some(hook) = hook {
            hook(ns, key);
        }
    }
}

/// What a hook is called with after a flush.
pub fn flush() -> (Namespace, Key) {
    (Namespace::reserved("~flush", "").unwrap(), Key::number(0))
}

impl fmt::Debug for Hooked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Hooked")
    }
}

impl KvStore for Hooked {
    fn read(&self, ns: &Namespace, key: &Key) -> Result<Option<Value>> {
        if !ns.is_reserved() {
            self.call(ns, key);
        }
        self.inner.read(ns, key)
    }

    fn list(&self, ns: &Namespace, after: Option<&Key>, limit: usize) -> Result<Vec<Key>> {
        self.inner.list(ns, after, limit)
    }

    fn namespaces(&self) -> Result<Vec<Namespace>> {
        self.inner.namespaces()
    }

    fn submit(&self, batch: Batch) -> Commit {
        if !batch.is_empty() {
            return self.inner.submit(batch);
        }
        let flushed = self.inner.submit(batch).wait();
        let (ns, key) = flush();
        self.call(&ns, &key);
        Commit::done(flushed)
    }

    fn capabilities(&self) -> Capabilities<'_> {
        let mut capabilities = self.inner.capabilities();
        // Each read is called for.
        capabilities.read_many = None;
        capabilities
    }

    fn close(&self) -> Result<()> {
        self.inner.close()
    }
}

/// A store whose batches become durable, and visible, when somebody waits; what waits at a crash
/// is gone. It knows no preconditions.
#[derive(Debug, Clone, Default)]
pub struct Slow(Arc<SlowState>);

#[derive(Debug, Default)]
struct SlowState {
    medium: Medium,
    queue: Mutex<Queue>,
}

#[derive(Debug, Default)]
struct Queue {
    /// What is durable; `None` before the first opening.
    store: Option<MemStore>,
    waiting: VecDeque<Batch>,
    submitted: u64,
    landed: u64,
}

impl Slow {
    /// Power cut: what nobody waited for is gone. The handle goes on as a store opened anew.
    pub fn crash(&self) {
        let mut queue = self.queue();
        queue.waiting.clear();
        queue.landed = queue.submitted;
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        let mut queue = self.0.queue.lock().unwrap_or_else(PoisonError::into_inner);
        if queue.store.is_none() {
            queue.store = Some(MemStore::open(self.0.medium.clone()).unwrap());
        }
        queue
    }
}

impl Queue {
    fn store(&self) -> &MemStore {
        self.store.as_ref().unwrap()
    }

    fn land(&mut self) -> Result<()> {
        while let Some(batch) = self.waiting.pop_front() {
            self.landed += 1;
            self.store().submit(batch).wait()?;
        }
        Ok(())
    }
}

#[derive(Debug)]
struct Ticket {
    slow: Slow,
    number: u64,
}

impl Pending for Ticket {
    fn outcome(&self) -> Option<Result<()>> {
        (self.slow.queue().landed >= self.number).then_some(Ok(()))
    }

    fn poll(&self, _: &mut Context<'_>) -> Poll<Result<()>> {
        Poll::Ready(self.wait())
    }

    fn wait(&self) -> Result<()> {
        self.slow.queue().land()
    }
}

impl KvStore for Slow {
    fn read(&self, ns: &Namespace, key: &Key) -> Result<Option<Value>> {
        self.queue().store().read(ns, key)
    }

    fn list(&self, ns: &Namespace, after: Option<&Key>, limit: usize) -> Result<Vec<Key>> {
        self.queue().store().list(ns, after, limit)
    }

    fn namespaces(&self) -> Result<Vec<Namespace>> {
        self.queue().store().namespaces()
    }

    fn submit(&self, batch: Batch) -> Commit {
        if batch.absent_keys().len() > 0 {
            return Commit::done(Err(Error::Precondition { store: "slow" }));
        }
        let durability = batch.durability();
        let mut queue = self.queue();
        queue.waiting.push_back(batch);
        queue.submitted += 1;
        let ticket = Arc::new(Ticket { slow: self.clone(), number: queue.submitted });
        match durability {
            Durability::Synced => Commit::pending(ticket),
            Durability::Lazy => Commit::lazy(ticket),
        }
    }

    fn capabilities(&self) -> Capabilities<'_> {
        Capabilities::default()
    }

    fn close(&self) -> Result<()> {
        self.queue().land()
    }
}
