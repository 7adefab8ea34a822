//! Importing a folder of LDK's `FilesystemStore`, version 1: `<key>`, `<primary>/<key>` and
//! `<primary>/<secondary>/<key>`. (A folder of version 2 is opened in place.)

use std::path::Path;

use kv_core::{Batch, Error, Key, KvStore, Namespace, Operation, Result, Value};

use crate::{
    disk::{DirEntry, Disk, RealDisk},
    fault::{self, STORE},
    layout,
    ldk_folder::LdkFile,
};

/// Bytes of values in one batch, roughly.
const BATCH: u64 = 4 << 20;

/// What an import has found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Imported {
    /// Values written.
    pub written: u64,
    /// Values that were there already, the same.
    pub present: u64,
    /// Paths that are no values of LDK's, relative to the folder: left out. LDK's own unfinished
    /// `.tmp` and `.trash` files are not listed.
    pub skipped: Vec<String>,
}

/// Writes every value of a `FilesystemStore` folder of version 1 to a store, the oldest first, and
/// leaves the folder as it is. No program may use the folder meanwhile.
///
/// After an error the same call goes on where it stopped: values that are there already are left.
///
/// # Errors
///
/// - [`Error::NotFound`]: there is no such folder.
/// - [`Error::Corrupt`]: this is not a folder of version 1.
/// - [`Error::Precondition`]: a key is there with another value, so the store is in use already.
///   Import into a new store.
/// - Those of [`KvStore::submit`] and [`KvStore::read`].
pub fn import_v1(from: &Path, to: &dyn KvStore) -> Result<Imported> {
    let disk = RealDisk::new(from);
    let io = || fault::io(Operation::Read);
    if disk.modified("").map_err(io())?.is_none() {
        return Err(Error::NotFound { store: STORE });
    }
    let mut imported = Imported::default();
    let files = find(&disk, &mut imported.skipped)?;
    let (mut batch, mut bytes) = (Batch::new(), 0);
    for LdkFile { ns, key, path, .. } in files {
        // Only unfinished removals of LDK's vanish, and nobody else works here.
        let value = disk.read(&path).map_err(io())?.ok_or(Error::NotFound { store: STORE })?;
        match to.read(&ns, &key)? {
            Some(there) if *there == *value => imported.present += 1,
            Some(_) => return Err(Error::Precondition { store: STORE }),
            None => {
                imported.written += 1;
                bytes += value.len() as u64;
                batch = batch.require_absent(&ns, &key).put(&ns, &key, Value::from(value));
            }
        }
        if bytes >= BATCH {
            to.submit(std::mem::take(&mut batch)).wait()?;
            bytes = 0;
        }
    }
    to.submit(batch).wait()?;
    Ok(imported)
}

/// The values of a folder of version 1, the oldest first.
pub(crate) fn find(disk: &dyn Disk, skipped: &mut Vec<String>) -> Result<Vec<LdkFile>> {
    let mut files = Vec::new();
    let mut folders = vec![String::new()];
    while let Some(dir) = folders.pop() {
        for entry in disk.list(&dir).map_err(fault::io(Operation::Read))? {
            if [layout::EMPTY, layout::HOME].contains(&entry.name.as_str()) {
                return Err(fault::corrupt("this is not a `FilesystemStore` folder of version 1"));
            }
            let path =
                if dir.is_empty() { entry.name.clone() } else { format!("{dir}/{}", entry.name) };
            match value(&dir, &entry) {
                _ if entry.is_dir && path.matches('/').count() < 2 => folders.push(path),
                Some((ns, key)) => {
                    files.push(LdkFile { ns, key, path, modified: entry.modified });
                }
                None if is_ldks(&entry) => {}
                None => skipped.push(path),
            }
        }
    }
    skipped.sort();
    files.sort_by(|a, b| (a.modified, &a.ns, &a.key).cmp(&(b.modified, &b.ns, &b.key)));
    Ok(files)
}

/// The name a file stands for.
fn value(dir: &str, entry: &DirEntry) -> Option<(Namespace, Key)> {
    let (primary, secondary) = dir.split_once('/').unwrap_or((dir, ""));
    let ns = Namespace::new(primary, secondary).ok()?;
    let key = Key::new(&entry.name).ok()?;
    (!entry.is_dir).then_some((ns, key))
}

/// What LDK has not finished.
pub(crate) fn is_ldks(entry: &DirEntry) -> bool {
    !entry.is_dir && (entry.name.ends_with(".tmp") || entry.name.ends_with(".trash"))
}
