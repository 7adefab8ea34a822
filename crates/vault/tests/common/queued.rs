//! A store whose batches become durable only when the test says so.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll},
    thread,
};

use kv_core::{
    Batch, Capabilities, Commit, Durability, Error, Key, KvStore, Namespace, Operation, Pending,
    Result, Value,
};
use kv_mem::MemStore;

/// `durable` is what reads see; `submitted` decides preconditions; `queue` is between the two.
#[derive(Debug, Default)]
pub struct Queued(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    durable: Arc<MemStore>,
    submitted: MemStore,
    queue: Mutex<Queue>,
}

#[derive(Debug, Default)]
struct Queue {
    waiting: VecDeque<Batch>,
    landed: u64,
    submits: u64,
    broken: bool,
}

#[derive(Debug)]
struct Ticket {
    shared: Arc<Shared>,
    number: u64,
}

impl Queued {
    /// Makes up to `count` more batches durable; tells how many are left.
    pub fn land(&self, count: usize) -> usize {
        self.0.land(count)
    }

    /// What survives a crash now.
    pub fn durable(&self) -> Arc<MemStore> {
        self.0.durable.clone()
    }

    /// From now on everything that waits has failed.
    pub fn break_down(&self) {
        self.0.queue().broken = true;
    }
}

impl Shared {
    fn queue(&self) -> std::sync::MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn land(&self, count: usize) -> usize {
        let mut queue = self.queue();
        for _ in 0..count {
            if queue.broken {
                break;
            }
            let Some(batch) = queue.waiting.pop_front() else {
                break;
            };
            // Outcome and effects change under one lock, as the contract of receipts asks.
            self.durable.submit(batch).wait().unwrap();
            queue.landed += 1;
        }
        queue.waiting.len()
    }
}

impl Pending for Ticket {
    fn outcome(&self) -> Option<Result<()>> {
        let queue = self.shared.queue();
        if queue.landed >= self.number {
            return Some(Ok(()));
        }
        let failed = std::io::Error::other("broken");
        queue.broken.then(|| Err(Error::io("queued", Operation::Sync, failed)))
    }

    fn poll(&self, cx: &mut Context<'_>) -> Poll<Result<()>> {
        match self.outcome() {
            Some(outcome) => Poll::Ready(outcome),
            None => {
                cx.waker().wake_by_ref();
                Poll::Pending
            }
        }
    }

    fn wait(&self) -> Result<()> {
        self.shared.land(usize::MAX);
        self.outcome().unwrap()
    }
}

impl KvStore for Queued {
    fn read(&self, ns: &Namespace, key: &Key) -> Result<Option<Value>> {
        let _one_moment = self.0.queue();
        self.0.durable.read(ns, key)
    }

    fn list(&self, ns: &Namespace, after: Option<&Key>, limit: usize) -> Result<Vec<Key>> {
        let _one_moment = self.0.queue();
        self.0.durable.list(ns, after, limit)
    }

    fn namespaces(&self) -> Result<Vec<Namespace>> {
        let _one_moment = self.0.queue();
        self.0.durable.namespaces()
    }

    fn submit(&self, batch: Batch) -> Commit {
        let durability = batch.durability();
        let mut queue = self.0.queue();
        if queue.broken {
            return Commit::done(Err(Error::Poisoned { store: "queued" }));
        }
        if let Err(refused) = self.0.submitted.submit(batch.clone()).wait() {
            return Commit::done(Err(refused));
        }
        queue.waiting.push_back(batch);
        queue.submits += 1;
        let number = queue.submits;
        drop(queue);
        // Others may land the batch, and read, before the submit has returned.
        thread::yield_now();
        let shared = self.0.clone();
        let ticket = Arc::new(Ticket { shared, number });
        match durability {
            Durability::Synced => Commit::pending(ticket),
            Durability::Lazy => Commit::lazy(ticket),
        }
    }

    fn capabilities(&self) -> Capabilities<'_> {
        Capabilities::default()
    }

    fn close(&self) -> Result<()> {
        self.0.land(usize::MAX);
        self.0.durable.close()
    }
}
