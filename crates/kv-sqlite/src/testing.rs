//! Injected failures and crashes, for tests of this crate and of decorators.
//!
//! What fails is a call to SQLite, as SQLite itself would fail it: undone, or (every second time)
//! done although it answers an error. What the operating system does to SQLite's files is tried
//! with real file systems.

use std::{
    io,
    path::Path,
    sync::{
        Arc, PoisonError, RwLock,
        atomic::{AtomicBool, AtomicU64, Ordering::SeqCst},
    },
};

use kv_core::{Error, Operation, Result};

use crate::{Settings, SqliteStore, fault::STORE, gate::Gate};

/// A switch that fails the changes of all stores opened through it.
#[derive(Debug, Default)]
pub struct Faults {
    /// 0: nothing armed; n: the nth change from now.
    countdown: AtomicU64,
    fired: AtomicBool,
    failures: AtomicU64,
    calls: AtomicU64,
    /// Stores opened before this many crashes are dead. Held while a change is made, so that a
    /// crash falls between two of them.
    crashes: RwLock<u64>,
}

/// What one store carries of its [`Faults`].
#[derive(Debug, Clone)]
pub(crate) struct Pass {
    faults: Arc<Faults>,
    opened_after: u64,
}

impl Faults {
    /// Opens a store whose changes pass here.
    pub fn open(self: &Arc<Self>, path: &Path, settings: Settings) -> Result<SqliteStore> {
        let opened_after = *self.crashes.read().unwrap_or_else(PoisonError::into_inner);
        let pass = Pass { faults: Arc::clone(self), opened_after };
        SqliteStore::open_behind(path, settings, Gate { faults: Some(pass) })
    }

    /// The `nth` change from now fails once (1: the next one); 0 forgets it.
    pub fn fail_nth(&self, nth: u64) {
        self.fired.store(false, SeqCst);
        self.countdown.store(nth, SeqCst);
    }

    /// Whether the failure asked for last has happened.
    pub fn fired(&self) -> bool {
        self.fired.load(SeqCst)
    }

    /// How many changes were made or failed so far.
    pub fn calls(&self) -> u64 {
        self.calls.load(SeqCst)
    }

    /// From now on every store opened so far fails whatever it does. Whatever it was doing is
    /// done before this returns.
    pub fn crash(&self) {
        *self.crashes.write().unwrap_or_else(PoisonError::into_inner) += 1;
    }

    /// Whether this change fails, and if so, whether it is done nevertheless.
    fn fails(&self) -> Option<bool> {
        self.calls.fetch_add(1, SeqCst);
        let counted = self.countdown.fetch_update(SeqCst, SeqCst, |count| count.checked_sub(1));
        if counted != Ok(1) {
            return None;
        }
        self.fired.store(true, SeqCst);
        Some(self.failures.fetch_add(1, SeqCst) % 2 == 1)
    }
}

impl Pass {
    pub(crate) fn through<T>(&self, work: impl FnOnce() -> Result<T>) -> Result<T> {
        let crashes = self.faults.crashes.read().unwrap_or_else(PoisonError::into_inner);
        if *crashes > self.opened_after {
            return Err(broken("the process is dead"));
        }
        match self.faults.fails() {
            None => work(),
            Some(done) => {
                if done {
                    work()?;
                }
                Err(broken("injected fault"))
            }
        }
    }
}

fn broken(what: &'static str) -> Error {
    Error::io(STORE, Operation::Write, io::Error::other(what))
}
