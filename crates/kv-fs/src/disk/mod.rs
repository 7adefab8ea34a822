//! Everything the store asks of a disk: one small trait, the real disk, and a simulated one for tests.
//!
//! Paths are relative to the store's folder, with `/` between names; `""` is the folder itself.

mod platform;
mod real;
#[cfg(feature = "testing")]
mod sim;

use std::{fmt, io};

pub(crate) use real::RealDisk;
#[cfg(feature = "testing")]
pub use sim::{Again, Cause, CrashPoint, DiskCall, Fate, Fault, SimDisk};

/// The file system as the store sees it. Nothing is durable before it is synced: bytes by
/// [`DiskFile::sync`], names (created, renamed, removed) by [`Disk::sync_dir`] of their folder.
pub trait Disk: fmt::Debug + Send + Sync {
    /// Takes the one lock of the store; `false` if someone else has it.
    fn lock(&self, path: &str) -> io::Result<bool>;
    /// Gives the lock back, if this handle has it.
    fn unlock(&self);
    /// Creates a folder; an existing one is no error. `""` creates the store's folder durably,
    /// parents included.
    fn create_dir(&self, path: &str) -> io::Result<()>;
    /// What a folder holds, in any order; an absent folder holds nothing.
    fn list(&self, dir: &str) -> io::Result<Vec<DirEntry>>;
    /// All bytes of a file; `None` if there is none.
    fn read(&self, path: &str) -> io::Result<Option<Vec<u8>>>;
    /// As [`Disk::read`], with less effort if the file has as many bytes as it should.
    fn read_sized(&self, path: &str, len: u64) -> io::Result<Option<Vec<u8>>>;
    /// Creates an empty file for writing, in place of one of that name.
    fn create(&self, path: &str) -> io::Result<Box<dyn DiskFile>>;
    /// Opens an existing file for writing.
    fn open(&self, path: &str) -> io::Result<Box<dyn DiskFile>>;
    /// Gives a file another name, in place of one of that name.
    fn rename(&self, from: &str, to: &str) -> io::Result<()>;
    /// Removes a file; an absent one is no error.
    fn remove(&self, path: &str) -> io::Result<()>;
    /// Makes the names in a folder durable.
    fn sync_dir(&self, dir: &str) -> io::Result<()>;
    /// Whether [`Disk::sync_disk`] works here and reports every failure.
    fn syncs_disk(&self) -> bool;
    /// Makes everything durable at once, names and times included. After an error see
    /// [`DiskFile::sync`].
    fn sync_disk(&self) -> io::Result<()>;
    /// When a file or folder was last changed, in nanoseconds since the Unix epoch; `None` if
    /// there is none.
    fn modified(&self, path: &str) -> io::Result<Option<u64>>;
    /// Sets that time. A file's is durable with its next [`DiskFile::sync_all`].
    fn set_modified(&self, path: &str, nanoseconds: u64) -> io::Result<()>;
}

/// A file open for writing.
pub trait DiskFile: fmt::Debug + Send + Sync {
    /// Bytes of the file as it is now.
    fn size(&self) -> io::Result<u64>;
    /// Writes all bytes at the offset.
    fn write_at(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()>;
    /// Makes what was written durable. After an error nothing is known, and a second try proves
    /// nothing: the bytes must be written again, elsewhere.
    fn sync(&mut self) -> io::Result<()>;
    /// As [`DiskFile::sync`], and the time of the last change, too.
    fn sync_all(&mut self) -> io::Result<()>;
}

/// One name in a folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DirEntry {
    /// The name, without its folder.
    pub name: String,
    /// Whether it is a folder.
    pub is_dir: bool,
    /// Bytes of a file.
    pub len: u64,
    /// As [`Disk::modified`] tells.
    pub modified: u64,
}
