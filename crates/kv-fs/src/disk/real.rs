//! The real disk. With `platform` the only user of `std::fs` in this crate.

use std::{
    fs::{self, File, FileTimes, Metadata, OpenOptions, TryLockError},
    io::{self, IoSliceMut, Read, Seek},
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
    time::{Duration, UNIX_EPOCH},
};

use super::{DirEntry, Disk, DiskFile, platform};

/// A file that should have at most this many bytes is read in one call.
const READ_AT_ONCE: u64 = 1 << 20;

/// A folder of the operating system.
#[derive(Debug)]
pub(crate) struct RealDisk {
    root: PathBuf,
    /// The open lock file. The operating system ends the lock with the process, so a crash leaves none
    /// behind. A failure to write anything since it was opened is reported through it once.
    lock: Mutex<Option<File>>,
}

impl RealDisk {
    pub(crate) fn new(root: &Path) -> Self {
        Self { root: root.to_owned(), lock: Mutex::new(None) }
    }

    fn at(&self, path: &str) -> PathBuf {
        if path.is_empty() { self.root.clone() } else { self.root.join(path) }
    }
}

impl Disk for RealDisk {
    fn lock(&self, path: &str) -> io::Result<bool> {
        let file =
            OpenOptions::new().create(true).truncate(false).write(true).open(self.at(path))?;
        match file.try_lock() {
            Ok(()) => {
                *self.lock.lock().unwrap_or_else(PoisonError::into_inner) = Some(file);
                Ok(true)
            }
            Err(TryLockError::WouldBlock) => Ok(false),
            Err(TryLockError::Error(error)) => Err(error),
        }
    }

    fn unlock(&self) {
        // Closing the file ends the lock.
        self.lock.lock().unwrap_or_else(PoisonError::into_inner).take();
    }

    fn create_dir(&self, path: &str) -> io::Result<()> {
        if path.is_empty() {
            return create_root(&self.root);
        }
        match fs::create_dir(self.at(path)) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
            other => other,
        }
    }

    fn list(&self, dir: &str) -> io::Result<Vec<DirEntry>> {
        let entries = match fs::read_dir(self.at(dir)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            other => other?,
        };
        let mut found = Vec::new();
        for entry in entries {
            let entry = entry?;
            // A name that is not UTF-8 is not ours.
            let Ok(name) = entry.file_name().into_string() else { continue };
            let meta = match entry.metadata() {
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                other => other?,
            };
            let (is_dir, len, modified) = (meta.is_dir(), meta.len(), nanoseconds(&meta)?);
            found.push(DirEntry { name, is_dir, len, modified });
        }
        Ok(found)
    }

    fn read(&self, path: &str) -> io::Result<Option<Vec<u8>>> {
        self.read_sized(path, u64::MAX)
    }

    fn read_sized(&self, path: &str, len: u64) -> io::Result<Option<Vec<u8>>> {
        let mut file = match File::open(self.at(path)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            other => other?,
        };
        let mut bytes = Vec::new();
        if len <= READ_AT_ONCE {
            // One call brings all of it and shows that nothing follows: with open and close three
            // instead of six.
            bytes.resize(len as usize, 0);
            let mut beyond = [0];
            let parts = &mut [IoSliceMut::new(&mut bytes), IoSliceMut::new(&mut beyond)];
            match file.read_vectored(parts) {
                Ok(read) if read as u64 == len => return Ok(Some(bytes)),
                Err(error) if error.kind() != io::ErrorKind::Interrupted => return Err(error),
                _ => {
                    file.rewind()?;
                    bytes.clear();
                }
            }
        }
        file.read_to_end(&mut bytes)?;
        Ok(Some(bytes))
    }

    fn create(&self, path: &str) -> io::Result<Box<dyn DiskFile>> {
        Ok(Box::new(RealFile(File::create(self.at(path))?)))
    }

    fn open(&self, path: &str) -> io::Result<Box<dyn DiskFile>> {
        Ok(Box::new(RealFile(OpenOptions::new().write(true).open(self.at(path))?)))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        fs::rename(self.at(from), self.at(to))?;
        platform::sync_renamed(&self.at(to))
    }

    fn remove(&self, path: &str) -> io::Result<()> {
        match fs::remove_file(self.at(path)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            other => other,
        }
    }

    fn sync_dir(&self, dir: &str) -> io::Result<()> {
        platform::sync_dir(&self.at(dir))
    }

    fn syncs_disk(&self) -> bool {
        let lock = self.lock.lock().unwrap_or_else(PoisonError::into_inner);
        lock.as_ref().is_some_and(platform::syncs_disk)
    }

    fn sync_disk(&self) -> io::Result<()> {
        let lock = self.lock.lock().unwrap_or_else(PoisonError::into_inner);
        platform::sync_disk(lock.as_ref().ok_or(io::ErrorKind::Unsupported)?)
    }

    fn modified(&self, path: &str) -> io::Result<Option<u64>> {
        match fs::metadata(self.at(path)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            other => nanoseconds(&other?).map(Some),
        }
    }

    fn set_modified(&self, path: &str, nanoseconds: u64) -> io::Result<()> {
        let time = UNIX_EPOCH + Duration::from_nanos(nanoseconds);
        let file = platform::open_for_times(&self.at(path))?;
        file.set_times(FileTimes::new().set_modified(time))
    }
}

/// When it was last changed. Times before the epoch count as the epoch, as LDK does.
fn nanoseconds(meta: &Metadata) -> io::Result<u64> {
    let since = meta.modified()?.duration_since(UNIX_EPOCH).unwrap_or_default();
    Ok(u64::try_from(since.as_nanos()).unwrap_or(u64::MAX))
}

#[derive(Debug)]
struct RealFile(File);

impl DiskFile for RealFile {
    fn size(&self) -> io::Result<u64> {
        Ok(self.0.metadata()?.len())
    }

    fn write_at(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        platform::write_at(&mut self.0, offset, bytes)
    }

    fn sync(&mut self) -> io::Result<()> {
        platform::sync_data(&self.0)
    }

    fn sync_all(&mut self) -> io::Result<()> {
        self.0.sync_all()
    }
}

/// Creates the folder and what is missing above it, each made durable in its parent.
fn create_root(root: &Path) -> io::Result<()> {
    if root.is_dir() {
        return Ok(());
    }
    let parent = match root.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    create_root(parent)?;
    match fs::create_dir(root) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
        other => other?,
    }
    platform::sync_dir(parent)
}
