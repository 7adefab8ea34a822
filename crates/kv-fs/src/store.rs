//! The store itself: open, read, close.

use std::{
    fmt,
    path::Path,
    sync::{Arc, Mutex, PoisonError},
};

use kv_core::{
    Batch, Capabilities, Commit, Error, Key, KvStore, Namespace, Operation, Result, Value,
};

use crate::{
    Settings, adopt,
    crew::calmly,
    disk::{Disk, RealDisk},
    fault::{self, STORE},
    flusher::CREW,
    layout,
    queue::{self, Shared},
    recover::{self, Recovered},
    submit,
    table::{Entry, Place, Stamp},
};

/// A store in a folder. See the crate's documentation.
pub struct FsStore {
    pub(crate) shared: Arc<Shared>,
    /// Held while closing, so that a second close waits for the first.
    is_open: Mutex<bool>,
}

impl FsStore {
    /// Opens the store in this folder, and creates both where they are absent. A folder that
    /// holds values in the layout of LDK's `FilesystemStoreV2` becomes a store with these values.
    pub fn open(dir: &Path, settings: Settings) -> Result<Self> {
        Self::open_disk(Arc::new(RealDisk::new(dir)), settings)
    }

    /// Opens the store in this folder, or answers [`Error::NotFound`] and creates nothing.
    pub fn open_existing(dir: &Path, settings: Settings) -> Result<Self> {
        if Self::exists(dir)? {
            Self::open(dir, settings)
        } else {
            Err(Error::NotFound { store: STORE })
        }
    }

    /// Whether the folder holds a store, of this or a newer version. Creates nothing.
    pub fn exists(dir: &Path) -> Result<bool> {
        let disk = RealDisk::new(dir);
        let io = || fault::io(Operation::Open);
        let newer = matches!(recover::refuse_newer(&disk), Err(Error::TooNew { .. }));
        Ok(newer || disk.list(layout::OWN).map_err(io())?.iter().any(|e| e.name == "index"))
    }

    pub(crate) fn open_disk(disk: Arc<dyn Disk>, settings: Settings) -> Result<Self> {
        Self::open_with(disk, settings, |shared| {
            let shared = Arc::new(shared);
            let named = |number| _ = shared.number.set(number);
            CREW.join(shared.clone(), named).map_err(fault::io(Operation::Open))?;
            Ok(Self { shared, is_open: Mutex::new(true) })
        })
    }

    /// Opens the store without threads that serve it.
    #[cfg(feature = "testing")]
    pub(crate) fn open_disk_alone(disk: Arc<dyn Disk>, settings: Settings) -> Result<Self> {
        Self::open_with(disk, settings, |mut shared| {
            shared.alone = true;
            Ok(Self { shared: Arc::new(shared), is_open: Mutex::new(true) })
        })
    }

    fn open_with(
        disk: Arc<dyn Disk>,
        settings: Settings,
        start: impl FnOnce(Shared) -> Result<Self>,
    ) -> Result<Self> {
        recover::refuse_newer(&*disk)?;
        adopt::refuse_version_1(&*disk)?;
        create_home(&*disk).map_err(fault::io(Operation::Open))?;
        if !disk.lock(layout::LOCK).map_err(fault::io(Operation::Open))? {
            return Err(Error::InUse { store: STORE });
        }
        let opened = recover::recover(Arc::clone(&disk), &settings).and_then(|recovered| {
            let Recovered { disk, state, checkpointer, notices } = recovered;
            start(Shared::new(disk, settings, state, checkpointer, notices))
        });
        if opened.is_err() {
            disk.unlock();
        }
        opened
    }

    fn close_once(&self) -> Result<()> {
        let mut state = self.shared.lock();
        state.closing = true;
        let last = state.submitted;
        drop(state);
        self.shared.done.notify_all();
        let flushed = self.shared.flush_to(last);

        let mut state = self.shared.lock();
        state.stop_flusher = true;
        // Every batch is decided now. If the store is poisoned nobody else wakes those who await one.
        let wakers = std::mem::take(&mut state.wakers);
        drop(state);
        queue::call(wakers);
        self.shared.done.notify_all();
        if let Some(number) = self.shared.number.get() {
            CREW.leave(*number);
        }
        let mut state = self.shared.lock();
        while state.checkpoint.running {
            state = self.shared.wait(state);
        }
        let dirty = state.table.is_dirty();
        let flushed = flushed.and(state.poison.clone().map_or(Ok(()), Err));
        drop(state);

        let closed = flushed.and_then(|()| {
            let noted = calmly(|| self.shared.note_close(dirty));
            noted.unwrap_or_else(|| Err(fault::panicked(Operation::Close)))
        });
        let mut state = self.shared.lock();
        state.closed = true;
        self.shared.cache.clear();
        state.table = crate::table::Table::default();
        // Closes the files before the lock is released.
        state.writer = None;
        state.room.ready.clear();
        drop(state);
        self.shared.disk.unlock();
        match closed {
            // Everything is durable in the log, and the next open goes on from there.
            Err(Error::Full { .. }) => Ok(()),
            other => other,
        }
    }
}

impl Shared {
    /// Everything is durable in the log: moves it to files, and notes that this was a clean close.
    fn note_close(&self, dirty: bool) -> Result<()> {
        if dirty {
            self.checkpoint()?;
        }
        if let Err(error) = self.note_folders() {
            // What a failed sync has left in the index must not be built upon: without a note of a
            // clean close the next open writes it anew.
            tracing::warn!(%error, "the folders were not noted, so the close is not clean");
            return Ok(());
        }
        self.retire_unused();
        let mut state = self.lock();
        state.writer.as_mut().map_or(Ok(()), |writer| writer.close())
    }

    /// Makes spare files of the segments that were never written to: the next open needs one, and
    /// the disk may be full by then. No link names them, so a failure does no harm.
    fn retire_unused(&self) {
        let unused = std::mem::take(&mut self.lock().room.ready);
        for segment in &unused {
            let number = segment.header.number;
            self.disk.rename(&layout::log(number), &layout::spare(number)).ok();
        }
        if !unused.is_empty() {
            self.disk.sync_dir(layout::OWN).ok();
        }
    }
}

/// Creates the folder of our own files, durably.
fn create_home(disk: &dyn Disk) -> std::io::Result<()> {
    if disk.list(layout::OWN)?.iter().any(|entry| entry.name == "index") {
        return Ok(());
    }
    disk.create_dir("")?;
    disk.create_dir(layout::HOME)?;
    disk.sync_dir("")?;
    disk.create_dir(layout::OWN)?;
    disk.sync_dir(layout::HOME)
}

impl KvStore for FsStore {
    fn read(&self, ns: &Namespace, key: &Key) -> Result<Option<Value>> {
        let missed = match self.shared.cache.get(ns, key) {
            Ok(value) => return Ok(Some(value)),
            Err(missed) => missed,
        };
        let value = self.shared.look_up(ns, key)?;
        Ok(value.map(|value| self.shared.cache.fill(missed, ns, key, value)))
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
        capabilities
    }

    fn close(&self) -> Result<()> {
        let mut is_open = self.is_open.lock().unwrap_or_else(PoisonError::into_inner);
        if std::mem::take(&mut *is_open) { self.close_once() } else { Ok(()) }
    }
}

impl Shared {
    pub(crate) fn open_state(&self) -> Result<std::sync::MutexGuard<'_, crate::queue::State>> {
        let state = self.lock();
        if state.closed { Err(fault::closed()) } else { Ok(state) }
    }

    fn entry(&self, ns: &Namespace, key: &Key) -> Result<Option<Entry>> {
        Ok(self.open_state()?.table.get(ns, key))
    }

    /// The value as table, log and files have it.
    fn look_up(&self, ns: &Namespace, key: &Key) -> Result<Option<Value>> {
        let Some(mut entry) = self.entry(ns, key)? else { return Ok(None) };
        loop {
            match self.load(ns, key, &entry)? {
                // A copy of its own: a batch may have cut its values out of something larger.
                Some(value) if matches!(entry.place, Place::Memory(_)) => {
                    return Ok(Some(Value::from(&*value)));
                }
                Some(value) => return Ok(Some(value)),
                // The file may just have been replaced or moved: then the table has changed, too.
                None => match self.entry(ns, key)? {
                    None => return Ok(None),
                    Some(now) if now == entry => {
                        return Err(fault::corrupt("a value is missing or damaged"));
                    }
                    Some(now) => entry = now,
                },
            }
        }
    }

    /// The value of an entry; `None` if no file has it.
    pub(crate) fn load(&self, ns: &Namespace, key: &Key, entry: &Entry) -> Result<Option<Value>> {
        let read = |path: String, stamp: &Stamp| {
            let bytes = self.disk.read_sized(&path, stamp.size);
            let bytes = bytes.map_err(fault::io(Operation::Read))?;
            Ok::<_, Error>(bytes.filter(|bytes| Stamp::of(bytes) == *stamp).map(Value::from))
        };
        match &entry.place {
            Place::Memory(value) => Ok(Some(value.clone())),
            Place::File(stamp) => read(layout::value(ns, key), stamp),
            // A checkpoint may have moved it this moment.
            Place::Big(id, stamp) => match read(layout::big(*id), stamp)? {
                Some(value) => Ok(Some(value)),
                None => read(layout::value(ns, key), stamp),
            },
        }
    }
}

impl Drop for FsStore {
    fn drop(&mut self) {
        if let Err(error) = self.close() {
            tracing::warn!(%error, "a dropped store could not be closed cleanly");
        }
    }
}

impl fmt::Debug for FsStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FsStore").finish_non_exhaustive()
    }
}
