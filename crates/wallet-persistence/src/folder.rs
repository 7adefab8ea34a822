//! The wallet's folder: the only place of this crate that touches files.
//!
//! A folder holds `wallet.json` and the store: `store/`, or `store.sqlite`. It is made elsewhere and
//! renamed into place, so it is complete or not there at all. A wallet can also be one file.

mod moving;
mod new;

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::Arc,
};

use kv_core::KvStore;
use kv_fs::FsStore;
use kv_sqlite::SqliteStore;

pub(crate) use self::{
    moving::{Moving, moving_there, remove_moving},
    new::NewFolder,
};
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

/// Takes a wallet in SQLite whose log is missing as it is.
pub(crate) fn accept_copy(place: &Path) -> Result<(), UnlockError> {
    let file = match place.is_file() {
        true => place.to_owned(),
        false if read_marker(place)? == StoreKind::Sqlite => {
            place.join(store_name(StoreKind::Sqlite))
        }
        false => {
            let what = io::Error::new(io::ErrorKind::InvalidInput, "this wallet is no SQLite file");
            return Err(UnlockError::folder(place, what));
        }
    };
    match SqliteStore::accept_copy(&file) {
        Err(kv_core::Error::NotFound { .. }) => Err(damaged("the store of the folder is missing")),
        accepted => Ok(accepted?),
    }
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

fn beside(file: &Path, suffix: &str) -> PathBuf {
    let mut name = file.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

/// Refuses a place within the wallet's own folder.
pub(crate) fn refuse_inside(wallet: &Path, target: &Path) -> Result<(), UnlockError> {
    let (wallet, inside) = (real(wallet), real(target));
    if inside == wallet || !inside.starts_with(wallet) {
        return Ok(());
    }
    let what = "this place lies within the wallet that is to be moved";
    Err(UnlockError::folder(target, io::Error::new(io::ErrorKind::InvalidInput, what)))
}

/// A path without links, as far as it exists.
fn real(path: &Path) -> PathBuf {
    let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let found = path.ancestors().find_map(|ancestor| {
        let rest = path.strip_prefix(ancestor).ok()?;
        Some(fs::canonicalize(ancestor).ok()?.join(rest))
    });
    found.unwrap_or(path)
}
