//! The store itself: open, read, close.

use std::{
    fmt,
    path::Path,
    sync::{Arc, Mutex, PoisonError},
    thread::{self, JoinHandle},
};

use kv_core::{
    Batch, Capabilities, Commit, Error, Key, KvStore, Namespace, Operation, Result, Value,
};

use crate::{
    Settings,
    fault::{self, STORE},
    files::{Files, Owner},
    flusher,
    gate::Gate,
    open,
    queue::Shared,
    submit,
};

/// A store in one SQLite file. See the crate's documentation.
pub struct SqliteStore {
    pub(crate) shared: Arc<Shared>,
    /// Until closed. Held while closing, so that a second close waits for the first.
    open: Mutex<Option<Open>>,
}

/// What ends with a close.
struct Open {
    flusher: JoinHandle<()>,
    owner: Owner,
}

impl SqliteStore {
    /// Opens the store in this file, and creates it and its folder where they are absent. Beside
    /// it lie its log (`-wal`), SQLite's index of the log (`-shm`) and its lock (`-owner`).
    pub fn open(file: &Path, settings: Settings) -> Result<Self> {
        Self::open_behind(file, settings, Gate::default())
    }

    /// Opens the store in this file, or answers [`Error::NotFound`] and creates nothing.
    pub fn open_existing(file: &Path, settings: Settings) -> Result<Self> {
        if Self::exists(file)? {
            Self::open(file, settings)
        } else {
            Err(Error::NotFound { store: STORE })
        }
    }

    /// Whether this file is a store, of this or a newer version, damaged or not. Not while it is
    /// open in this process by other means. Creates nothing.
    pub fn exists(file: &Path) -> Result<bool> {
        open::exists(&Files::new(file))
    }

    /// Makes a store of a copy that SQLite's own tools (`VACUUM INTO`, `.backup`) have made of a
    /// store that was open: such a copy says that its log is missing, and only who made it knows
    /// that it is whole. A copy of a closed store needs nothing.
    ///
    /// The same holds where, after a crash, another program was the last to have the file open: SQLite
    /// has moved the log into the file and removed it. Nothing is lost then; but a file whose log
    /// was lost looks the same. [`Error::Corrupt`] if anything in the file does not check, or if its log
    /// is there.
    pub fn accept_copy(file: &Path) -> Result<()> {
        open::accept_copy(&Files::new(file))
    }

    pub(crate) fn open_behind(file: &Path, settings: Settings, gate: Gate) -> Result<Self> {
        let (shared, owner) = open::open(Files::new(file), settings, gate)?;
        let shared = Arc::new(shared);
        let flusher = flusher::spawn(&shared).map_err(fault::io(Operation::Open))?;
        Ok(Self { shared, open: Mutex::new(Some(Open { flusher, owner })) })
    }

    fn close_with(&self, open: Open) -> Result<()> {
        let mut state = self.shared.lock();
        state.closing = true;
        let last = state.submitted;
        drop(state);
        self.shared.done.notify_all();
        let flushed = self.shared.flush_to(last);
        let poison = self.shared.lock().poison.clone();
        let flushed = flushed.and(poison.map_or(Ok(()), Err));

        self.shared.lock().stop_flusher = true;
        self.shared.work.notify_one();
        // Where the store was dropped by a task that the flusher has woken, it ends after this.
        let by_itself = open.flusher.thread().id() == thread::current().id();
        if !by_itself && open.flusher.join().is_err() {
            tracing::error!("the flusher thread has panicked");
        }
        let mut state = self.shared.lock();
        // Reads that are under way end first; later ones find the store closed.
        state.closed = true;
        while state.writer.is_none() || state.reading > 0 {
            state = self.shared.wait(state);
        }
        let writer = state.writer.take();
        state.table = crate::table::Table::default();
        drop(state);
        self.shared.readers.close();

        let closed = flushed.and_then(|()| match &writer {
            Some(writer) if writer.note_clean(true, "TRUNCATE")? => writer.give_up_log(),
            // Another program reads the file: the log stays, and the next open goes on from there.
            _ => Ok(()),
        });
        // Closes the files before the lock is released.
        drop(writer);
        drop(open.owner);
        match closed {
            // Everything is durable in the log, and the next open goes on from there.
            Err(Error::Full { .. }) => Ok(()),
            other => other,
        }
    }
}

impl KvStore for SqliteStore {
    fn read(&self, ns: &Namespace, key: &Key) -> Result<Option<Value>> {
        self.shared.read(ns, key)
    }

    fn list(&self, ns: &Namespace, after: Option<&Key>, limit: usize) -> Result<Vec<Key>> {
        Ok(self.shared.open_state()?.table.list(ns, after, limit))
    }

    fn namespaces(&self) -> Result<Vec<Namespace>> {
        Ok(self.shared.open_state()?.table.namespaces())
    }

    fn submit(&self, batch: Batch) -> Commit {
        submit::submit(&self.shared, batch)
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
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        match open.take() {
            Some(open) => self.close_with(open),
            None => Ok(()),
        }
    }
}

impl Shared {
    fn read(&self, ns: &Namespace, key: &Key) -> Result<Option<Value>> {
        let Some(created) = self.open_state()?.table.get(ns, key) else { return Ok(None) };
        self.reading(|| self.read_created(ns, key, created))
    }

    /// Does what reads from the database; a close waits for it.
    pub(crate) fn reading<T>(&self, work: impl FnOnce() -> Result<T>) -> Result<T> {
        self.open_state()?.reading += 1;
        let outcome = work();
        let mut state = self.lock();
        state.reading -= 1;
        if state.closing {
            self.done.notify_all();
        }
        outcome
    }

    /// The value of a key that the table had with this creation number.
    pub(crate) fn read_created(
        &self,
        ns: &Namespace,
        key: &Key,
        mut created: u64,
    ) -> Result<Option<Value>> {
        loop {
            let found = self.readers.read(ns, key, created)?;
            let mut state = self.lock();
            // The database is ahead of the table for a moment: nothing is shown in parts.
            let is_ahead = |state: &crate::queue::State| match &found {
                Some(found) => found.changed > state.durable,
                None => state.table.get(ns, key) == Some(created) && state.flushing,
            };
            while is_ahead(&state) {
                if let Some(poison) = &state.poison {
                    return Err(poison.clone());
                }
                state = self.wait(state);
            }
            if let Some(found) = found {
                return Ok(Some(found.value));
            }
            match state.table.get(ns, key) {
                None => return Ok(None),
                Some(now) if now == created => {
                    let poison = state.poison.clone();
                    return Err(poison.unwrap_or_else(|| fault::corrupt("a value is missing")));
                }
                Some(now) => created = now,
            }
        }
    }
}

impl Drop for SqliteStore {
    fn drop(&mut self) {
        if let Err(error) = self.close() {
            tracing::warn!(%error, "a dropped store could not be closed cleanly");
        }
    }
}

impl fmt::Debug for SqliteStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SqliteStore").finish_non_exhaustive()
    }
}
