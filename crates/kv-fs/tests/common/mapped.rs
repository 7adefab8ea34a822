//! A disk with peculiar names or times.

use std::{io, sync::Arc};

use kv_fs::disk::{DirEntry, Disk, DiskFile};

/// Another disk behind two functions.
#[derive(Debug)]
pub(crate) struct Mapped {
    pub(crate) disk: Arc<dyn Disk>,
    /// What a path is on the other disk.
    pub(crate) path: fn(&str) -> String,
    /// What a time is here, whether set or asked for.
    pub(crate) time: fn(u64) -> u64,
}

impl Disk for Mapped {
    fn lock(&self, path: &str) -> io::Result<bool> {
        self.disk.lock(&(self.path)(path))
    }

    fn unlock(&self) {
        self.disk.unlock();
    }

    fn create_dir(&self, path: &str) -> io::Result<()> {
        self.disk.create_dir(&(self.path)(path))
    }

    fn list(&self, dir: &str) -> io::Result<Vec<DirEntry>> {
        let mut entries = self.disk.list(&(self.path)(dir))?;
        entries.iter_mut().for_each(|entry| entry.modified = (self.time)(entry.modified));
        Ok(entries)
    }

    fn read(&self, path: &str) -> io::Result<Option<Vec<u8>>> {
        self.disk.read(&(self.path)(path))
    }

    fn read_sized(&self, path: &str, len: u64) -> io::Result<Option<Vec<u8>>> {
        self.disk.read_sized(&(self.path)(path), len)
    }

    fn create(&self, path: &str) -> io::Result<Box<dyn DiskFile>> {
        self.disk.create(&(self.path)(path))
    }

    fn open(&self, path: &str) -> io::Result<Box<dyn DiskFile>> {
        self.disk.open(&(self.path)(path))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.disk.rename(&(self.path)(from), &(self.path)(to))
    }

    fn remove(&self, path: &str) -> io::Result<()> {
        self.disk.remove(&(self.path)(path))
    }

    fn sync_dir(&self, dir: &str) -> io::Result<()> {
        self.disk.sync_dir(&(self.path)(dir))
    }

    fn syncs_disk(&self) -> bool {
        self.disk.syncs_disk()
    }

    fn sync_disk(&self) -> io::Result<()> {
        self.disk.sync_disk()
    }

    fn modified(&self, path: &str) -> io::Result<Option<u64>> {
        Ok(self.disk.modified(&(self.path)(path))?.map(self.time))
    }

    fn set_modified(&self, path: &str, nanoseconds: u64) -> io::Result<()> {
        self.disk.set_modified(&(self.path)(path), (self.time)(nanoseconds))
    }
}
