//! The wallet's folder: the only place of this crate that touches files.
//!
//! A folder holds `wallet.json` and `store/`. It is made elsewhere and renamed into place, so it is
//! complete or not there at all.

use std::{
    fs::{self, File},
    io::{self, Write},
    path::{Path, PathBuf},
    sync::Arc,
};

use kv_core::KvStore;
use kv_fs::FsStore;

use crate::UnlockError;

/// The only content `wallet.json` can have in format 1; `wallet-folder-v1` says why.
const MARKER: &str = "{\"format\":1,\"store\":\"fs\"}\n";
const MARKER_NAME: &str = "wallet.json";
const STORE_NAME: &str = "store";
const NEWEST_FORMAT: u32 = 1;

/// Opens the store of the wallet in `folder`.
pub(crate) fn open(folder: &Path) -> Result<Arc<dyn KvStore>, UnlockError> {
    check_marker(folder)?;
    let store = folder.join(STORE_NAME);
    if !store.is_dir() {
        return Err(damaged("the folder of the store is missing"));
    }
    Ok(Arc::new(FsStore::open(&store, kv_fs::Settings::default())?))
}

/// Whether there is something at `folder` that a new wallet must not replace.
pub(crate) fn is_taken(folder: &Path) -> Result<bool, UnlockError> {
    match fs::read_dir(folder) {
        Ok(mut entries) => Ok(entries.next().is_some()),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(e) => Err(UnlockError::folder(folder, e)),
    }
}

fn check_marker(folder: &Path) -> Result<(), UnlockError> {
    let path = folder.join(MARKER_NAME);
    let marker = match fs::read(&path) {
        Ok(marker) => marker,
        Err(e) if e.kind() == io::ErrorKind::NotFound => {
            return Err(if folder.join(STORE_NAME).exists() {
                damaged("wallet.json is missing")
            } else {
                UnlockError::Empty
            });
        }
        Err(e) => return Err(UnlockError::folder(path, e)),
    };
    if marker == MARKER.as_bytes() {
        return Ok(());
    }
    // A newer version must write its number in the same place.
    let json: Option<serde_json::Value> = serde_json::from_slice(&marker).ok();
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
    /// Locked while we live, so that others can tell a left-over from work under way.
    lock: Option<File>,
    finished: bool,
    /// Whether another attempt can go on with what is there.
    resumable: bool,
}

const LOCK_NAME: &str = "building.lock";

impl NewFolder {
    /// Begins a wallet folder that will be `target`, which must be absent or empty.
    pub(crate) fn begin(target: &Path) -> Result<Self, UnlockError> {
        let (target, parent) = free_place(target)?;
        let prefix = prefix(&target, "building");
        sweep(&parent, &prefix);
        let mut random = [0; 8];
        getrandom::fill(&mut random)
            .map_err(|e| UnlockError::folder(&parent, io::Error::other(e)))?;
        let building = parent.join(format!("{prefix}{}", data_encoding::HEXLOWER.encode(&random)));
        fs::create_dir(&building).map_err(|e| UnlockError::folder(&building, e))?;
        let mut folder = Self { target, building, lock: None, finished: false, resumable: false };
        let lock = File::create(folder.building.join(LOCK_NAME));
        let lock = lock.and_then(|lock| lock.lock().map(|()| lock));
        folder.lock = Some(lock.map_err(|e| UnlockError::folder(&folder.building, e))?);
        Ok(folder)
    }

    /// The same for a restore of the wallet with this tag: it goes on in what an interrupted one has
    /// left, and is left for the next one.
    pub(crate) fn begin_restore(target: &Path, tag: &[u8]) -> Result<Self, UnlockError> {
        let (target, parent) = free_place(target)?;
        let name =
            format!("{}{}", prefix(&target, "restoring"), data_encoding::HEXLOWER.encode(tag));
        let building = parent.join(name);
        let fail = |e| UnlockError::folder(&building, e);
        fs::create_dir_all(&building).map_err(fail)?;
        let lock = File::create(building.join(LOCK_NAME)).map_err(fail)?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(fs::TryLockError::WouldBlock) => return Err(UnlockError::InUse),
            Err(fs::TryLockError::Error(e)) => return Err(fail(e)),
        }
        Ok(Self { target, building, lock: Some(lock), finished: false, resumable: true })
    }

    /// Removes what an interrupted restore has left: it cannot go on.
    pub(crate) fn discard(&self) -> Result<(), UnlockError> {
        let store = self.building.join(STORE_NAME);
        match fs::remove_dir_all(&store) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => Err(UnlockError::folder(store, e)),
            _ => Ok(()),
        }
    }

    /// A fresh store in it.
    pub(crate) fn store(&self) -> Result<Arc<dyn KvStore>, UnlockError> {
        let store = self.building.join(STORE_NAME);
        Ok(Arc::new(FsStore::open(&store, kv_fs::Settings::default())?))
    }

    /// Puts the finished folder in its place. The store must be closed.
    pub(crate) fn finish(mut self) -> Result<(), UnlockError> {
        let fail = |path: &Path| {
            let path = path.to_owned();
            move |e| UnlockError::folder(path, e)
        };
        let marker = self.building.join(MARKER_NAME);
        let mut file = File::create(&marker).map_err(fail(&marker))?;
        file.write_all(MARKER.as_bytes()).and_then(|()| file.sync_all()).map_err(fail(&marker))?;
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
        let goes_on = self.resumable && self.building.join(STORE_NAME).exists();
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
