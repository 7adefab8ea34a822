//! For tests: a store on any disk, with or without its thread, and the decoders as a fuzzer meets them.

use std::sync::Arc;

use kv_core::Result;

use crate::{FsStore, Settings, disk::Disk};

impl FsStore {
    /// As [`FsStore::open`], on any disk.
    pub fn open_on(disk: Arc<dyn Disk>, settings: Settings) -> Result<Self> {
        Self::open_disk(disk, settings)
    }

    /// As [`FsStore::open_on`], without a thread: what is due in the background is done by whoever
    /// would wait for it, and by [`FsStore::do_background`]. The same calls to the store make the
    /// same calls to the disk. For one thread only; nothing happens by itself after a time.
    pub fn open_alone(disk: Arc<dyn Disk>, settings: Settings) -> Result<Self> {
        Self::open_disk_alone(disk, settings)
    }

    /// Does what is due in the background of a store without a thread.
    pub fn do_background(&self) {
        while self.shared.do_due_task() {}
    }

    /// Moves everything durable from the log to files, on this thread.
    ///
    /// # Errors
    /// What the disk answered. The log is kept, and nothing is lost.
    pub fn checkpoint_now(&self) -> Result<()> {
        self.shared.checkpoint()
    }
}
