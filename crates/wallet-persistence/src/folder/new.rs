//! Places under construction: a new wallet folder, or file, beside its final place.

use std::{
    fs::{self, File},
    io::{self, Write},
    path::{Path, PathBuf},
    sync::Arc,
};

use kv_core::KvStore;

use super::{
    MARKER_NAME, beside, is_taken, marker,
    moving::{HERE, MOVING},
    open_store, store_name,
};
use crate::{StoreKind, UnlockError};

/// A wallet folder under construction, beside its final place. Dropped unfinished, it is removed,
/// unless it holds a restore that can go on.
#[derive(Debug)]
pub(crate) struct NewFolder {
    target: PathBuf,
    building: PathBuf,
    kind: StoreKind,
    /// Locked while we live, so that others can tell a left-over from work under way.
    lock: Option<File>,
    finished: bool,
    /// Whether another attempt can go on with what is there.
    resumable: bool,
}

pub(super) const LOCK_NAME: &str = "building.lock";

impl NewFolder {
    /// Begins a wallet folder that will be `target`, which must be absent or empty.
    pub(crate) fn begin(target: &Path, kind: StoreKind) -> Result<Self, UnlockError> {
        let (target, parent) = free_place(target)?;
        let prefix = prefix(&target, "building");
        sweep(&parent, &prefix);
        let mut random = [0; 8];
        getrandom::fill(&mut random)
            .map_err(|e| UnlockError::folder(&parent, io::Error::other(e)))?;
        let building = parent.join(format!("{prefix}{}", data_encoding::HEXLOWER.encode(&random)));
        fs::create_dir(&building).map_err(|e| UnlockError::folder(&building, e))?;
        let mut folder =
            Self { target, building, kind, lock: None, finished: false, resumable: false };
        let lock = File::create(folder.building.join(LOCK_NAME));
        let lock = lock.and_then(|lock| lock.lock().map(|()| lock));
        folder.lock = Some(lock.map_err(|e| UnlockError::folder(&folder.building, e))?);
        Ok(folder)
    }

    /// The same for a restore of the wallet with this tag: it goes on in what an interrupted one has
    /// left, and is left for the next one.
    pub(crate) fn begin_restore(
        target: &Path,
        tag: &[u8],
        kind: StoreKind,
    ) -> Result<Self, UnlockError> {
        let tag = data_encoding::HEXLOWER.encode(tag);
        Self::begin_again(target, "restoring", &tag, kind)
    }

    pub(super) fn begin_move(target: &Path) -> Result<Self, UnlockError> {
        Self::begin_again(target, MOVING, HERE, StoreKind::Fs)
    }

    fn begin_again(
        target: &Path,
        what: &str,
        which: &str,
        kind: StoreKind,
    ) -> Result<Self, UnlockError> {
        let (target, parent) = free_place(target)?;
        let building = parent.join(format!("{}{which}", prefix(&target, what)));
        let fail = |e| UnlockError::folder(&building, e);
        fs::create_dir_all(&building).map_err(fail)?;
        let lock = File::create(building.join(LOCK_NAME)).map_err(fail)?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(fs::TryLockError::WouldBlock) => return Err(UnlockError::InUse),
            Err(fs::TryLockError::Error(e)) => return Err(fail(e)),
        }
        // Who had the lock before may have ended meanwhile.
        if is_taken(&target)? {
            return Err(UnlockError::NotEmpty);
        }
        let folder =
            Self { target, building, kind, lock: Some(lock), finished: false, resumable: true };
        // What an attempt with another kind of store has left cannot go on.
        for other in StoreKind::ALL.into_iter().filter(|other| *other != kind) {
            folder.remove_store(other)?;
        }
        Ok(folder)
    }

    /// Removes what an interrupted restore has left: it cannot go on.
    pub(crate) fn discard(&self) -> Result<(), UnlockError> {
        self.remove_store(self.kind)
    }

    fn remove_store(&self, kind: StoreKind) -> Result<(), UnlockError> {
        let store = self.building.join(store_name(kind));
        let removed = match kind {
            StoreKind::Fs => fs::remove_dir_all(&store),
            StoreKind::Sqlite => remove_sqlite(&store),
        };
        match removed {
            Err(e) if e.kind() != io::ErrorKind::NotFound => Err(UnlockError::folder(store, e)),
            _ => Ok(()),
        }
    }

    /// A fresh store in it.
    pub(crate) fn store(&self) -> Result<Arc<dyn KvStore>, UnlockError> {
        open_store(self.kind, &self.building.join(store_name(self.kind)))
    }

    /// Puts the finished folder in its place. The store must be closed.
    pub(crate) fn finish(self) -> Result<(), UnlockError> {
        self.prepare()?;
        self.put_in_place()
    }

    /// All but the name.
    pub(super) fn prepare(&self) -> Result<(), UnlockError> {
        let path = self.building.join(MARKER_NAME);
        File::create(&path)
            .and_then(|mut file| {
                file.write_all(marker(self.kind).as_bytes())?;
                file.sync_all()
            })
            .map_err(|e| UnlockError::folder(&path, e))?;
        sync_dir(&self.building).map_err(|e| UnlockError::folder(&self.building, e))
    }

    pub(super) fn put_in_place(mut self) -> Result<(), UnlockError> {
        // Until it has its name nobody else may begin here. Elsewhere than on Unix a folder with an
        // open file cannot be renamed.
        if cfg!(not(unix)) {
            let _ = fs::remove_file(self.building.join(LOCK_NAME));
        }
        // Where an empty folder stands at the target, rename replaces it; a folder that has got
        // something in the meantime stays as it is.
        fs::rename(&self.building, &self.target).map_err(|e| match e.kind() {
            io::ErrorKind::DirectoryNotEmpty | io::ErrorKind::AlreadyExists => {
                UnlockError::NotEmpty
            }
            _ => UnlockError::folder(&self.target, e),
        })?;
        self.finished = true;
        let _ = fs::remove_file(self.target.join(LOCK_NAME));
        sync_dir(&self.target).map_err(|e| UnlockError::folder(&self.target, e))?;
        let parent = self.target.parent().unwrap_or(Path::new("/"));
        sync_dir(parent).map_err(|e| UnlockError::folder(parent, e))
    }
}

impl Drop for NewFolder {
    fn drop(&mut self) {
        let goes_on = self.resumable && self.building.join(store_name(self.kind)).exists();
        if !self.finished && !goes_on {
            // It holds nothing that anybody was promised.
            let _ = fs::remove_dir_all(&self.building);
        }
    }
}

/// A place for a new folder, which must be absent or empty, and the folder it will stand in.
pub(super) fn free_place(target: &Path) -> Result<(PathBuf, PathBuf), UnlockError> {
    if is_taken(target)? {
        return Err(UnlockError::NotEmpty);
    }
    let target = std::path::absolute(target).map_err(|e| UnlockError::folder(target, e))?;
    let parent = target.parent().unwrap_or(Path::new("/")).to_owned();
    create_folders(&parent).map_err(|e| UnlockError::folder(&parent, e))?;
    Ok((target, parent))
}

/// Makes a folder and those above it, durably: what will be in it is promised to stay.
fn create_folders(folder: &Path) -> io::Result<()> {
    let Some(parent) = folder.parent().filter(|_| !folder.is_dir()) else { return Ok(()) };
    create_folders(parent)?;
    match fs::create_dir(folder) {
        Err(e) if e.kind() != io::ErrorKind::AlreadyExists => Err(e),
        _ => sync_dir(parent),
    }
}

/// How the names of folders under construction begin.
pub(super) fn prefix(target: &Path, what: &str) -> String {
    let name = target.file_name().unwrap_or_default().to_string_lossy();
    format!(".{name}.{what}-")
}

/// Removes a closed store of one file, with what lies beside it.
pub(super) fn remove_sqlite(file: &Path) -> io::Result<()> {
    for suffix in ["", "-wal", "-shm", "-owner"] {
        match fs::remove_file(beside(file, suffix)) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
            _ => {}
        }
    }
    Ok(())
}

/// Removes what crashed attempts left behind: folders under construction that nobody holds.
fn sweep(parent: &Path, prefix: &str) {
    let Ok(entries) = fs::read_dir(parent) else { return };
    for entry in entries.flatten() {
        let left_over = entry.file_name().to_string_lossy().starts_with(prefix)
            && File::open(entry.path().join(LOCK_NAME)).is_ok_and(|lock| lock.try_lock().is_ok());
        if left_over {
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}

/// Makes the names in a folder durable.
pub(super) fn sync_dir(path: &Path) -> io::Result<()> {
    if cfg!(unix) { File::open(path)?.sync_all() } else { Ok(()) }
}
