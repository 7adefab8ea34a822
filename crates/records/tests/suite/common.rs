//! A record type, and a store whose batches are decided by hand.

use std::{
    collections::VecDeque,
    fmt,
    sync::{Arc, Condvar, Mutex},
    task::{Context, Poll, Waker},
};

use kv_core::{
    Batch, Capabilities, Commit, Error, Key, KvStore, Namespace, Pending, ReadMany, Result, Show,
    Value,
};
use kv_mem::MemStore;
use records::{Index, ObjectStore, Record, RecordKey};
use serde::{Deserialize, Serialize};

/// A transfer, as a wallet keeps it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Tx {
    pub(crate) chain: u64,
    pub(crate) hash: String,
    pub(crate) from: String,
    pub(crate) to: Option<String>,
    pub(crate) time: u64,
    pub(crate) block: u64,
    pub(crate) label: Option<String>,
}

impl Record for Tx {
    const STORE: &'static str = "transactions";
    const VERSION: u32 = 1;
    const INDEXES: &'static [Index<Self>] = &[
        Index::new("from", |tx| Some((&tx.from, tx.time, tx.block, &tx.hash).into())),
        Index::new("to", |tx| Some((tx.to.as_ref()?, tx.time, tx.block, &tx.hash).into())),
        Index::unique("label", |tx| Some(tx.label.as_ref()?.into())),
        Index::new("block", |tx| Some(tx.block.into())),
        Index::each("party", |tx| {
            [Some(&tx.from), tx.to.as_ref()].into_iter().flatten().map(RecordKey::from).collect()
        }),
    ];

    fn key(&self) -> RecordKey {
        (self.chain, &self.hash).into()
    }
}

/// A transaction on chain 1 from alice to bob.
pub(crate) fn tx(hash: &str, time: u64) -> Tx {
    Tx {
        chain: 1,
        hash: hash.to_owned(),
        from: "alice".to_owned(),
        to: Some("bob".to_owned()),
        time,
        block: time / 10,
        label: None,
    }
}

/// The same with a label, which is unique.
pub(crate) fn labelled(hash: &str, label: &str) -> Tx {
    Tx { label: Some(label.to_owned()), ..tx(hash, 0) }
}

pub(crate) fn mem() -> Arc<dyn KvStore> {
    Arc::new(MemStore::new())
}

/// Opens a store that must be clean.
pub(crate) fn open<R: Record>(kv: &Arc<dyn KvStore>) -> ObjectStore<R> {
    let (store, report) = ObjectStore::open(Arc::clone(kv)).unwrap();
    assert!(report.is_clean(), "{report:?}");
    store
}

/// The hashes that a query finds, in order.
pub(crate) fn hashes(store: &ObjectStore<Tx>, query: &records::Query) -> Vec<String> {
    store.query(query).unwrap().map(|tx| tx.hash.clone()).collect()
}

/// A store that takes batches at once and decides them when the test says so, in order.
#[derive(Debug)]
pub(crate) struct HeldStore {
    inner: MemStore,
    held: Mutex<VecDeque<(Batch, Arc<Decision>)>>,
}

#[derive(Debug, Default)]
struct Decision(Mutex<(Option<Result<()>>, Option<Waker>)>);

impl HeldStore {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self { inner: MemStore::new(), held: Mutex::default() })
    }

    /// Applies the oldest batch.
    pub(crate) fn land(&self) {
        let (batch, decision) = self.held.lock().unwrap().pop_front().unwrap();
        let outcome = self.inner.submit(batch).wait();
        decision.decide(outcome);
    }

    /// Fails the oldest batch and every one behind it, as law 6 asks.
    pub(crate) fn fail(&self) {
        for (_, decision) in self.held.lock().unwrap().drain(..) {
            decision.decide(Err(Error::Poisoned { store: "held" }));
        }
    }

    pub(crate) fn held(&self) -> usize {
        self.held.lock().unwrap().len()
    }
}

impl Decision {
    fn decide(&self, outcome: Result<()>) {
        let mut state = self.0.lock().unwrap();
        state.0 = Some(outcome);
        if let Some(waker) = state.1.take() {
            waker.wake();
        }
    }
}

impl Pending for Decision {
    fn outcome(&self) -> Option<Result<()>> {
        self.0.lock().unwrap().0.clone()
    }

    fn poll(&self, cx: &mut Context<'_>) -> Poll<Result<()>> {
        let mut state = self.0.lock().unwrap();
        state.1 = Some(cx.waker().clone());
        state.0.clone().map_or(Poll::Pending, Poll::Ready)
    }

    fn wait(&self) -> Result<()> {
        self.outcome().expect("nobody decides while the only thread waits")
    }
}

impl KvStore for HeldStore {
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
        let decision = Arc::new(Decision::default());
        self.held.lock().unwrap().push_back((batch, Arc::clone(&decision)));
        Commit::pending(decision)
    }

    fn capabilities(&self) -> Capabilities<'_> {
        self.inner.capabilities()
    }

    fn close(&self) -> Result<()> {
        self.inner.close()
    }
}

type Hook = Box<dyn FnOnce() + Send>;

/// A store that lets something happen right after the next read.
pub(crate) struct HookStore {
    inner: Arc<dyn KvStore>,
    after_read: Mutex<Option<Hook>>,
}

impl HookStore {
    pub(crate) fn new(inner: Arc<dyn KvStore>) -> Self {
        Self { inner, after_read: Mutex::default() }
    }

    pub(crate) fn after_read(&self, hook: impl FnOnce() + Send + 'static) {
        *self.after_read.lock().unwrap() = Some(Box::new(hook));
    }
}

impl fmt::Debug for HookStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HookStore").finish_non_exhaustive()
    }
}

impl KvStore for HookStore {
    fn read(&self, ns: &Namespace, key: &Key) -> Result<Option<Value>> {
        let value = self.inner.read(ns, key);
        let hook = self.after_read.lock().unwrap().take();
        hook.into_iter().for_each(|hook| hook());
        value
    }

    fn list(&self, ns: &Namespace, after: Option<&Key>, limit: usize) -> Result<Vec<Key>> {
        self.inner.list(ns, after, limit)
    }

    fn namespaces(&self) -> Result<Vec<Namespace>> {
        self.inner.namespaces()
    }

    fn submit(&self, batch: Batch) -> Commit {
        self.inner.submit(batch)
    }

    fn capabilities(&self) -> Capabilities<'_> {
        self.inner.capabilities()
    }

    fn close(&self) -> Result<()> {
        self.inner.close()
    }
}

/// A store that can hold up whoever writes.
#[derive(Debug)]
pub(crate) struct GateStore {
    inner: Arc<dyn KvStore>,
    gate: Mutex<Gate>,
    moved: Condvar,
}

#[derive(Debug, Default)]
struct Gate {
    shut: bool,
    waiting: bool,
}

impl GateStore {
    pub(crate) fn new(inner: Arc<dyn KvStore>) -> Self {
        Self { inner, gate: Mutex::default(), moved: Condvar::new() }
    }

    pub(crate) fn shut(&self) {
        self.gate.lock().unwrap().shut = true;
    }

    pub(crate) fn open(&self) {
        self.gate.lock().unwrap().shut = false;
        self.moved.notify_all();
    }

    /// Until somebody stands before the gate.
    pub(crate) fn wait_for_writer(&self) {
        let gate = self.gate.lock().unwrap();
        drop(self.moved.wait_while(gate, |gate| !gate.waiting).unwrap());
    }
}

impl KvStore for GateStore {
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
        let mut gate = self.gate.lock().unwrap();
        gate.waiting = gate.shut;
        self.moved.notify_all();
        drop(self.moved.wait_while(gate, |gate| gate.shut).unwrap());
        self.inner.submit(batch)
    }

    fn capabilities(&self) -> Capabilities<'_> {
        self.inner.capabilities()
    }

    fn close(&self) -> Result<()> {
        self.inner.close()
    }
}

/// A store that answers an error for one key.
#[derive(Debug)]
pub(crate) struct SpoiltStore {
    pub(crate) inner: Arc<dyn KvStore>,
    pub(crate) name: Key,
    pub(crate) why: Error,
}

impl KvStore for SpoiltStore {
    fn read(&self, ns: &Namespace, key: &Key) -> Result<Option<Value>> {
        if *key == self.name { Err(self.why.clone()) } else { self.inner.read(ns, key) }
    }

    fn list(&self, ns: &Namespace, after: Option<&Key>, limit: usize) -> Result<Vec<Key>> {
        self.inner.list(ns, after, limit)
    }

    fn namespaces(&self) -> Result<Vec<Namespace>> {
        self.inner.namespaces()
    }

    fn submit(&self, batch: Batch) -> Commit {
        self.inner.submit(batch)
    }

    fn capabilities(&self) -> Capabilities<'_> {
        let mut capabilities = self.inner.capabilities();
        capabilities.read_many = capabilities.read_many.and(Some(self));
        capabilities
    }

    fn close(&self) -> Result<()> {
        self.inner.close()
    }
}

impl ReadMany for SpoiltStore {
    fn read_many(
        &self,
        ns: &Namespace,
        keys: &[Key],
        enough: usize,
        show: &mut Show<'_>,
    ) -> Result<usize> {
        let below = self.inner.capabilities().read_many.unwrap();
        if keys.contains(&self.name) {
            // Some have been shown by then.
            below.read_many(ns, &keys[..1], enough, show)?;
            return Err(self.why.clone());
        }
        below.read_many(ns, keys, enough, show)
    }

    fn places(&self, ns: &Namespace, keys: &[Key]) -> Result<Vec<u64>> {
        self.inner.capabilities().read_many.unwrap().places(ns, keys)
    }
}
