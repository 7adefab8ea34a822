//! A decorator that fails when told to, as a store with a bad disk would.

use std::{
    io,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use crate::{
    Batch, Capabilities, Commit, Error, Key, KvStore, Namespace, Operation, Result, Value,
};

const STORE: &str = "faulty";

/// Wraps a store and fails the nth operation (reads, listings and submits all count).
///
/// A failed read is an error and no more. A failed submit poisons: every later one is refused, as
/// law 6 asks. The switch is shared, so a test can arm it while the store is deep in a tower.
#[derive(Debug)]
pub struct FaultyStore {
    inner: Arc<dyn KvStore>,
    fault: Arc<Fault>,
    poisoned: AtomicBool,
}

/// The switch of a [`FaultyStore`]; it outlives the store.
#[derive(Debug, Default)]
pub struct Fault(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    /// 0: nothing armed; n: the nth operation from now.
    countdown: u64,
    landing: Landing,
    fired: bool,
    operations: u64,
}

/// What happens to the batch whose submit fails.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Landing {
    /// The error is true: nothing was written.
    #[default]
    Absent,
    /// The batch was written although an error is answered.
    Landed,
}

impl FaultyStore {
    /// Wraps `inner`; nothing fails until `fault` is armed.
    pub fn new(inner: Arc<dyn KvStore>, fault: Arc<Fault>) -> Self {
        Self { inner, fault, poisoned: AtomicBool::new(false) }
    }

    fn read_fault(&self) -> Result<()> {
        match self.fault.count() {
            Some(_) => Err(broken(Operation::Read)),
            None => Ok(()),
        }
    }
}

impl Fault {
    /// The `nth` operation from now fails (1: the next); 0 disarms. Forgets an earlier firing.
    pub fn fail_nth(&self, nth: u64, landing: Landing) {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *state = State { countdown: nth, landing, fired: false, operations: state.operations };
    }

    /// Whether the armed failure has happened.
    pub fn fired(&self) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).fired
    }

    /// How many operations were counted since the switch was made.
    pub fn operations(&self) -> u64 {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).operations
    }

    fn count(&self) -> Option<Landing> {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        state.operations += 1;
        if state.countdown == 0 {
            return None;
        }
        state.countdown -= 1;
        if state.countdown > 0 {
            return None;
        }
        state.fired = true;
        Some(state.landing)
    }
}

fn broken(during: Operation) -> Error {
    Error::io(STORE, during, io::Error::other("injected fault"))
}

impl KvStore for FaultyStore {
    fn read(&self, ns: &Namespace, key: &Key) -> Result<Option<Value>> {
        self.read_fault()?;
        self.inner.read(ns, key)
    }

    fn list(&self, ns: &Namespace, after: Option<&Key>, limit: usize) -> Result<Vec<Key>> {
        self.read_fault()?;
        self.inner.list(ns, after, limit)
    }

    fn namespaces(&self) -> Result<Vec<Namespace>> {
        self.read_fault()?;
        self.inner.namespaces()
    }

    fn submit(&self, batch: Batch) -> Commit {
        if self.poisoned.load(Ordering::SeqCst) {
            return Commit::done(Err(Error::Poisoned { store: STORE }));
        }
        let Some(landing) = self.fault.count() else {
            return self.inner.submit(batch);
        };
        self.poisoned.store(true, Ordering::SeqCst);
        if landing == Landing::Landed {
            drop(self.inner.submit(batch));
        }
        Commit::done(Err(broken(Operation::Sync)))
    }

    fn capabilities(&self) -> Capabilities<'_> {
        let mut capabilities = self.inner.capabilities();
        // Every read may fail.
        capabilities.read_many = None;
        capabilities
    }

    fn close(&self) -> Result<()> {
        self.inner.close()
    }
}
