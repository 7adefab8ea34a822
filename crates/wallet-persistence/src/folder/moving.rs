//! A place under construction that a wallet is moved to, beside its final place.

use std::{
    fs::{self, File},
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use kv_core::KvStore;
use kv_sqlite::SqliteStore;

use super::{
    beside,
    new::{LOCK_NAME, NewFolder, free_place, prefix, remove_sqlite, sync_dir},
    open_store, store_name,
};
use crate::{MoveTarget, StoreKind, UnlockError};

/// How the names of a wallet that is moved here begin and end.
pub(super) const MOVING: &str = "moving";
pub(super) const HERE: &str = "here";

/// Where a wallet is made that is moved to `target`.
fn moving_place(target: &Path) -> PathBuf {
    target.with_file_name(format!("{}{HERE}", prefix(target, MOVING)))
}

/// What a move to `target` that has not ended has left.
pub(crate) fn moving_there(target: &Path) -> Option<StoreKind> {
    let building = moving_place(target);
    if building.is_file() {
        Some(StoreKind::Sqlite)
    } else {
        building.join(store_name(StoreKind::Fs)).is_dir().then_some(StoreKind::Fs)
    }
}

/// Removes what a move to `target` that will not end has left, unless somebody is at it.
pub(crate) fn remove_moving(target: &Path) -> Result<(), UnlockError> {
    let building = moving_place(target);
    let removed = if building.is_file() {
        match SqliteStore::open_existing(&building, kv_sqlite::Settings::default()) {
            Ok(store) => store.close()?,
            Err(kv_core::Error::InUse { .. }) => return Err(UnlockError::InUse),
            Err(_) => {}
        }
        remove_sqlite(&building)
    } else if building.is_dir() {
        let lock = File::open(building.join(LOCK_NAME));
        if lock.is_ok_and(|lock| matches!(lock.try_lock(), Err(fs::TryLockError::WouldBlock))) {
            return Err(UnlockError::InUse);
        }
        fs::remove_dir_all(&building)
    } else {
        Ok(())
    };
    removed.map_err(|e| UnlockError::folder(building, e))
}

/// A wallet that is moved here, under construction beside its final place. What is left goes on at
/// the next attempt.
#[derive(Debug)]
pub(crate) enum Moving {
    Folder(NewFolder),
    File(NewFile),
}

impl Moving {
    /// Begins, or goes on. What an attempt with another kind of store has left goes.
    pub(crate) fn begin(target: &MoveTarget) -> Result<Self, UnlockError> {
        let (path, kind) = match target {
            MoveTarget::Fs(path) => (path, StoreKind::Fs),
            MoveTarget::Sqlite(path) => (path, StoreKind::Sqlite),
        };
        if moving_there(path).is_some_and(|found| found != kind) {
            remove_moving(path)?;
        }
        Ok(match kind {
            StoreKind::Fs => Self::Folder(NewFolder::begin_move(path)?),
            StoreKind::Sqlite => Self::File(NewFile::begin_move(path)?),
        })
    }

    /// The store in it.
    pub(crate) fn store(&self) -> Result<Arc<dyn KvStore>, UnlockError> {
        match self {
            Self::Folder(folder) => folder.store(),
            Self::File(file) => open_store(StoreKind::Sqlite, &file.building),
        }
    }

    /// Removes what is in it: it cannot go on. The store must be closed.
    pub(crate) fn discard(&self) -> Result<(), UnlockError> {
        match self {
            Self::Folder(folder) => folder.discard(),
            Self::File(file) => file.discard(),
        }
    }

    /// Everything that can fail, but for the name. The store must be closed.
    pub(crate) fn prepare(&self) -> Result<(), UnlockError> {
        match self {
            Self::Folder(folder) => folder.prepare(),
            Self::File(file) => file.prepare(),
        }
    }

    /// Gives it its name.
    pub(crate) fn put_in_place(self) -> Result<(), UnlockError> {
        match self {
            Self::Folder(folder) => folder.put_in_place(),
            Self::File(file) => file.put_in_place(),
        }
    }
}

/// A wallet in one file.
#[derive(Debug)]
pub(crate) struct NewFile {
    target: PathBuf,
    building: PathBuf,
}

impl NewFile {
    /// Begins a file that will be `target`, which must be absent, or goes on with one.
    fn begin_move(target: &Path) -> Result<Self, UnlockError> {
        if target.exists() {
            return Err(UnlockError::NotEmpty);
        }
        let (target, _) = free_place(target)?;
        let building = moving_place(&target);
        Ok(Self { target, building })
    }

    fn discard(&self) -> Result<(), UnlockError> {
        remove_sqlite(&self.building).map_err(|e| UnlockError::folder(&self.building, e))
    }

    fn prepare(&self) -> Result<(), UnlockError> {
        if beside(&self.building, "-wal").exists() {
            let what = "another program reads the new file; close it, then try again";
            return Err(UnlockError::folder(&self.building, io::Error::other(what)));
        }
        if self.target.exists() { Err(UnlockError::NotEmpty) } else { Ok(()) }
    }

    fn put_in_place(&self) -> Result<(), UnlockError> {
        let fail = |e| UnlockError::folder(&self.target, e);
        // A rename would replace it.
        if self.target.exists() {
            return Err(UnlockError::NotEmpty);
        }
        fs::rename(&self.building, &self.target).map_err(fail)?;
        remove_sqlite(&self.building).map_err(fail)?;
        sync_dir(self.target.parent().unwrap_or(Path::new("/"))).map_err(fail)
    }
}
