//! The wallet's folder: the only place of this crate that touches files.
//!
//! A folder holds `wallet.json` and the store: `store/`, or `store.sqlite`. It is made elsewhere and
//! renamed into place, so it is complete or not there at all. A wallet can also be one file.

use std::{
    fs::{self, File},
    io::{self, Write},
    path::{Path, PathBuf},
    sync::Arc,
};

use kv_core::KvStore;
use kv_fs::FsStore;
use kv_sqlite::SqliteStore;

use crate::{StoreKind, UnlockError, moved};

const MARKER_NAME: &str = "wallet.json";
const NEWEST_FORMAT: u32 = 1;

/// Opens the store of the wallet at this place: in a folder, or in a file.
pub(crate) fn open(place: &Path) -> Result<Arc<dyn KvStore>, UnlockError> {
    let store = open_even_if_moved(place)?;
    moved::refuse(&*store)?;
    Ok(store)
}

/// As [`open`], though the wallet may have been moved.
pub(crate) fn open_even_if_moved(place: &Path) -> Result<Arc<dyn KvStore>, UnlockError> {
    if place.is_file() {
        let opened = SqliteStore::open_existing(place, kv_sqlite::Settings::default());
        return match opened {
            Err(kv_core::Error::NotFound { .. }) => {
                Err(damaged("this file is neither a wallet nor a wallet's folder"))
            }
            other => Ok(Arc::new(other?)),
        };
    }
    let kind = read_marker(place)?;
    let store = place.join(store_name(kind));
    if !store.exists() {
        return Err(damaged("the store of the folder is missing"));
    }
    open_store(kind, &store)
}

/// Opens a store, or makes it.
fn open_store(kind: StoreKind, path: &Path) -> Result<Arc<dyn KvStore>, UnlockError> {
    Ok(match kind {
        StoreKind::Fs => Arc::new(FsStore::open(path, kv_fs::Settings::default())?),
        StoreKind::Sqlite => Arc::new(SqliteStore::open(path, kv_sqlite::Settings::default())?),
    })
}

const fn store_name(kind: StoreKind) -> &'static str {
    match kind {
        StoreKind::Fs => "store",
        StoreKind::Sqlite => "store.sqlite",
    }
}

/// The only contents `wallet.json` can have in format 1; `wallet-folder-v1` says why.
const fn marker(kind: StoreKind) -> &'static str {
    match kind {
        StoreKind::Fs => "{\"format\":1,\"store\":\"fs\"}\n",
        StoreKind::Sqlite => "{\"format\":1,\"store\":\"sqlite\"}\n",
    }
}

/// Whether there is something at `folder` that a new wallet must not replace.
pub(crate) fn is_taken(folder: &Path) -> Result<bool, UnlockError> {
    match fs::read_dir(folder) {
        Ok(mut entries) => Ok(entries.next().is_some()),
        Err(e) if e.kind() == io::ErrorKind::NotADirectory => Ok(true),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(e) => Err(UnlockError::folder(folder, e)),
    }
}

fn read_marker(folder: &Path) -> Result<StoreKind, UnlockError> {
    let path = folder.join(MARKER_NAME);
    let found = match fs::read(&path) {
        Ok(found) => found,
        Err(e) if e.kind() == io::ErrorKind::NotFound => {
            let any = StoreKind::ALL.iter().any(|kind| folder.join(store_name(*kind)).exists());
            return Err(if any { damaged("wallet.json is missing") } else { UnlockError::Empty });
        }
        Err(e) => return Err(UnlockError::folder(path, e)),
    };
    let known = StoreKind::ALL.into_iter().find(|kind| found == marker(*kind).as_bytes());
    if let Some(kind) = known {
        return Ok(kind);
    }
    // A newer version must write its number in the same place.
    let json: Option<serde_json::Value> = serde_json::from_slice(&found).ok();
    match json.and_then(|json| json.get("format")?.as_u64()) {
        Some(found) if found > u64::from(NEWEST_FORMAT) => Err(UnlockError::TooNew {
            found: u32::try_from(found).unwrap_or(u32::MAX),
            newest: NEWEST_FORMAT,
        }),
        _ => Err(damaged("wallet.json is not what was written")),
    }
}

fn damaged(what: &'static str) -> UnlockError {
    UnlockError::Damaged { source: kv_core::Error::corrupt("folder", what) }
}

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

const LOCK_NAME: &str = "building.lock";

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

    /// The same for a wallet that is moved here.
    pub(crate) fn begin_move(target: &Path) -> Result<Self, UnlockError> {
        Self::begin_again(target, "moving", "here", StoreKind::Fs)
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
    pub(crate) fn finish(mut self) -> Result<(), UnlockError> {
        let fail = |path: &Path| {
            let path = path.to_owned();
            move |e| UnlockError::folder(path, e)
        };
        let path = self.building.join(MARKER_NAME);
        let mut file = File::create(&path).map_err(fail(&path))?;
        file.write_all(marker(self.kind).as_bytes())
            .and_then(|()| file.sync_all())
            .map_err(fail(&path))?;
        let _ = fs::remove_file(self.building.join(LOCK_NAME));
        sync_dir(&self.building).map_err(fail(&self.building))?;
        // Where an empty folder stands at the target, rename replaces it; a folder that has got
        // something in the meantime stays as it is.
        fs::rename(&self.building, &self.target).map_err(|e| match e.kind() {
            io::ErrorKind::DirectoryNotEmpty | io::ErrorKind::AlreadyExists => {
                UnlockError::NotEmpty
            }
            _ => UnlockError::folder(&self.target, e),
        })?;
        self.finished = true;
        let parent = self.target.parent().unwrap_or(Path::new("/"));
        sync_dir(parent).map_err(fail(parent))
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
fn free_place(target: &Path) -> Result<(PathBuf, PathBuf), UnlockError> {
    if is_taken(target)? {
        return Err(UnlockError::NotEmpty);
    }
    let target = std::path::absolute(target).map_err(|e| UnlockError::folder(target, e))?;
    let parent = target.parent().unwrap_or(Path::new("/")).to_owned();
    fs::create_dir_all(&parent).map_err(|e| UnlockError::folder(&parent, e))?;
    Ok((target, parent))
}

/// How the names of folders under construction begin.
fn prefix(target: &Path, what: &str) -> String {
    let name = target.file_name().unwrap_or_default().to_string_lossy();
    format!(".{name}.{what}-")
}

/// A wallet in one file under construction, beside its final place. What is left goes on at the
/// next attempt.
#[derive(Debug)]
pub(crate) struct NewFile {
    target: PathBuf,
    building: PathBuf,
}

impl NewFile {
    /// Begins a file that will be `target`, which must be absent, or goes on with one.
    pub(crate) fn begin_move(target: &Path) -> Result<Self, UnlockError> {
        if target.exists() {
            return Err(UnlockError::NotEmpty);
        }
        let (target, parent) = free_place(target)?;
        let building = parent.join(format!("{}here", prefix(&target, "moving")));
        Ok(Self { target, building })
    }

    /// The store in it.
    pub(crate) fn store(&self) -> Result<Arc<dyn KvStore>, UnlockError> {
        open_store(StoreKind::Sqlite, &self.building)
    }

    /// Puts the file in its place. The store must be closed, and its log with it.
    pub(crate) fn finish(&self) -> Result<(), UnlockError> {
        let fail = |e| UnlockError::folder(&self.target, e);
        if log_of(&self.building).exists() {
            let e =
                io::Error::other("another program reads the new file; close it, then try again");
            return Err(fail(e));
        }
        if self.target.exists() {
            return Err(UnlockError::NotEmpty);
        }
        fs::rename(&self.building, &self.target).map_err(fail)?;
        remove_sqlite(&self.building).map_err(fail)?;
        sync_dir(self.target.parent().unwrap_or(Path::new("/"))).map_err(fail)
    }
}

fn log_of(file: &Path) -> PathBuf {
    beside(file, "-wal")
}

fn beside(file: &Path, suffix: &str) -> PathBuf {
    let mut name = file.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

/// Removes a closed store of one file, with what lies beside it.
fn remove_sqlite(file: &Path) -> io::Result<()> {
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
fn sync_dir(path: &Path) -> io::Result<()> {
    if cfg!(unix) { File::open(path)?.sync_all() } else { Ok(()) }
}
