//! The only user of `std::fs`: the store's lock, the header of its file, and its log while SQLite is not at it.
//!
//! SQLite takes record locks on the database file, which the system drops when *any* handle of the
//! process to that file is closed. So the database file is only touched here before SQLite opens
//! it or after, and by one thread at a time; the log and the lock file have no such locks.

use std::{
    ffi::OsString,
    fs::{self, File, OpenOptions, TryLockError},
    io::{self, Read, Seek, SeekFrom, Write},
    path::{Path, PathBuf},
    sync::{Mutex, MutexGuard, PoisonError},
};

use crate::schema::{HEADER, MAGIC};

/// The files of one store.
#[derive(Debug, Clone)]
pub(crate) struct Files {
    database: PathBuf,
}

/// Holds the lock of a store. Dropped, or when the process ends, it is free.
#[derive(Debug)]
pub(crate) struct Owner(#[expect(dead_code, reason = "the handle is the lock")] File);

/// What the lock file of a store says.
#[derive(Debug)]
pub(crate) enum Lock {
    /// There is none: nobody has opened a store here.
    Absent,
    /// Someone has the store open.
    Held,
    Free(Owner),
}

/// While this is held no other thread of the process opens a store or looks at a database, so that
/// one that is not open stays so. Held for a look at the header; the store's own lock does the rest.
pub(crate) fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Files {
    pub(crate) fn new(database: &Path) -> Self {
        Self { database: database.to_owned() }
    }

    pub(crate) fn database(&self) -> &Path {
        &self.database
    }

    /// Where a new database is made before it gets its name.
    pub(crate) fn unfinished(&self) -> PathBuf {
        self.beside("-new")
    }

    fn log(&self) -> PathBuf {
        self.beside("-wal")
    }

    fn beside(&self, suffix: &str) -> PathBuf {
        let mut name = OsString::from(self.database.as_os_str());
        name.push(suffix);
        name.into()
    }

    fn folder(&self) -> &Path {
        match self.database.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent,
            _ => Path::new("."),
        }
    }

    /// Makes the folder of the store, durably.
    pub(crate) fn create_folder(&self) -> io::Result<()> {
        let mut missing = Vec::new();
        let mut folder = self.folder();
        while !folder.exists() {
            missing.push(folder);
            folder = match folder.parent() {
                Some(parent) if !parent.as_os_str().is_empty() => parent,
                _ => Path::new("."),
            };
        }
        for new in missing.into_iter().rev() {
            match fs::create_dir(new) {
                Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
                _ => sync_dir(folder)?,
            }
            folder = new;
        }
        Ok(())
    }

    /// Takes the one lock of the store; `None` if someone else has it.
    pub(crate) fn own(&self) -> io::Result<Option<Owner>> {
        let path = self.beside("-owner");
        let file = OpenOptions::new().create(true).truncate(false).write(true).open(path)?;
        match file.try_lock() {
            Ok(()) => Ok(Some(Owner(file))),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) => Err(error),
        }
    }

    /// Takes the one lock of the store where there is a lock file. Changes nothing.
    pub(crate) fn own_if_there(&self) -> io::Result<Lock> {
        let file = match File::open(self.beside("-owner")) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Lock::Absent),
            Err(error) => return Err(error),
        };
        match file.try_lock() {
            Ok(()) => Ok(Lock::Free(Owner(file))),
            Err(TryLockError::WouldBlock) => Ok(Lock::Held),
            Err(TryLockError::Error(error)) => Err(error),
        }
    }

    /// Whether there is no database, or an empty one. Does not open it.
    pub(crate) fn is_empty(&self) -> io::Result<bool> {
        length(&self.database).map(|length| length.unwrap_or(0) == 0)
    }

    /// What shows, where the database is missing or empty, that it was more. `locked`: whether there
    /// was a lock file before. Creating a store leaves none of it: it gets its name when complete.
    pub(crate) fn loss(&self, locked: bool) -> io::Result<Option<&'static str>> {
        if length(&self.log())?.unwrap_or(0) > 0 {
            return Ok(Some(
                "the database is missing or empty, and its write-ahead log (-wal) is still there",
            ));
        }
        let empty = locked && length(&self.database)?.is_some();
        Ok(empty.then_some(
            "the database is empty, and a store was here (it has a file -owner); remove both if that \
             was none",
        ))
    }

    /// The first bytes of the database; none if there is none. Not while SQLite has it open, so only
    /// by who is [`alone`], and not if the store's lock is held.
    pub(crate) fn header(&self) -> io::Result<Vec<u8>> {
        let mut header = Vec::new();
        match File::open(&self.database) {
            Ok(file) => file.take(HEADER as u64).read_to_end(&mut header)?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => 0,
            Err(error) => return Err(error),
        };
        Ok(header)
    }

    /// Removes what an attempt to make a database has left.
    pub(crate) fn sweep_unfinished(&self) -> io::Result<()> {
        for suffix in ["-new", "-new-journal", "-new-wal", "-new-shm", "-wal-new"] {
            match fs::remove_file(self.beside(suffix)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        Ok(())
    }

    /// Gives a finished database its name. A log or index beside it belongs to none, and goes.
    pub(crate) fn finish(&self) -> io::Result<()> {
        for suffix in ["-wal", "-shm"] {
            match fs::remove_file(self.beside(suffix)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        File::open(self.unfinished())?.sync_all()?;
        fs::rename(self.unfinished(), &self.database)?;
        sync_dir(self.folder())
    }

    /// The bytes of the log; `None` if there is none, or an empty one, which SQLite makes.
    pub(crate) fn read_log(&self) -> io::Result<Option<Vec<u8>>> {
        match fs::read(self.log()) {
            Ok(bytes) => Ok(Some(bytes).filter(|bytes| !bytes.is_empty())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Writes the log anew, durably: these bytes, then zeros up to `len`. Anew, because after a failed sync the
    /// system may show bytes that never reached the disk, and another sync would not bring them there.
    pub(crate) fn renew_log(&self, bytes: &[u8], len: u64) -> io::Result<()> {
        let new = self.beside("-wal-new");
        let mut file = File::create(&new)?;
        let written = file.write_all(bytes).and_then(|()| fill(&mut file, len));
        if let Err(error) = written.and_then(|()| file.sync_all()) {
            drop(file);
            // A full disk should not stay fuller for the attempt.
            fs::remove_file(&new).ok();
            return Err(error);
        }
        drop(file);
        fs::rename(new, self.log())?;
        sync_dir(self.folder())
    }

    /// Fills the log up with zeros while nobody writes to it.
    pub(crate) fn extend_log(&self, len: u64) -> io::Result<()> {
        let mut file =
            OpenOptions::new().create(true).truncate(false).write(true).open(self.log())?;
        file.seek(SeekFrom::End(0))?;
        fill(&mut file, len)?;
        file.sync_all()?;
        sync_dir(self.folder())
    }

    /// Bytes of all files of the store.
    pub(crate) fn size(&self) -> io::Result<u64> {
        let mut size = fs::metadata(&self.database)?.len();
        for suffix in ["-wal", "-shm"] {
            size += fs::metadata(self.beside(suffix)).map_or(0, |data| data.len());
        }
        Ok(size)
    }

    /// Bytes of the disk that are free for us; `None` where that is not known.
    #[cfg(target_os = "linux")]
    pub(crate) fn free(&self) -> Option<u64> {
        let disk = rustix::fs::statvfs(self.folder()).ok()?;
        Some(disk.f_bavail.saturating_mul(disk.f_frsize))
    }

    /// Bytes of the disk that are free for us; `None` where that is not known.
    #[cfg(not(target_os = "linux"))]
    pub(crate) fn free(&self) -> Option<u64> {
        None
    }
}

/// The length of a file; `None` if there is none.
fn length(path: &Path) -> io::Result<Option<u64>> {
    match fs::metadata(path) {
        Ok(data) => Ok(Some(data.len())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// What the name of a file gets that was sealed.
const SEALED: &str = ".moved-to-strongroom";

/// Files of others that are moved into a store.
impl Files {
    /// The same file under the name it has when sealed.
    pub(crate) fn sealed(&self) -> Self {
        Self { database: self.beside(SEALED) }
    }

    /// What the note in the place of a sealed file says. `None` if the file is not sealed, or that has
    /// not ended.
    pub(crate) fn note(&self) -> io::Result<Option<String>> {
        if self.sealed().is_empty()? || self.is_empty()? {
            return Ok(None);
        }
        let mut start = Vec::new();
        File::open(&self.database)?.take(2000).read_to_end(&mut start)?;
        // A new node where a sealed one was.
        if start.starts_with(MAGIC) {
            return Ok(None);
        }
        let text = String::from_utf8_lossy(&start);
        Ok(Some(text.lines().next().unwrap_or_default().chars().take(500).collect()))
    }

    /// Gives the file another name, with what SQLite may have left beside it, and puts a note in its
    /// place, which SQLite refuses to open. A connection that is still open cannot write any more:
    /// SQLite notices that the file was moved.
    pub(crate) fn seal(&self, note: &str) -> io::Result<()> {
        let sealed = self.sealed();
        if sealed.is_empty()? {
            for suffix in ["", "-journal", "-wal"] {
                match fs::rename(self.beside(suffix), sealed.beside(suffix)) {
                    Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                    _ => {}
                }
            }
            sync_dir(self.folder())?;
        } else if !self.is_empty()? {
            return Err(io::Error::other("another sealed file is in the way"));
        }
        // Beside its place first: whoever reads it reads all of it.
        let new = sealed.beside(".note");
        let mut file = File::create(&new)?;
        file.write_all(format!("{note}\n").as_bytes())?;
        file.sync_all()?;
        drop(file);
        fs::rename(new, &self.database)?;
        sync_dir(self.folder())
    }
}

/// Appends zeros until a file, at whose end we are, has `len` bytes.
fn fill(file: &mut File, len: u64) -> io::Result<()> {
    let zeros = [0; 1 << 16];
    let mut missing = len.saturating_sub(file.stream_position()?);
    while missing > 0 {
        let now = missing.min(zeros.len() as u64) as usize;
        file.write_all(zeros.get(..now).unwrap_or_default())?;
        missing -= now as u64;
    }
    Ok(())
}

/// Makes the names in a folder durable.
fn sync_dir(path: &Path) -> io::Result<()> {
    if cfg!(unix) { File::open(path)?.sync_all() } else { Ok(()) }
}
