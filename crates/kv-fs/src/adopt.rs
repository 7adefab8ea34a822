//! A folder that is no store yet: empty, or written by LDK's `FilesystemStoreV2`.

use std::collections::BTreeMap;

use kv_core::{Key, Namespace, Operation, Result};

use crate::{
    disk::Disk,
    fault, frame,
    index::{Kept, Loaded},
    layout,
    mtime::NANOSECONDS,
    own::Own,
    rows::Rows,
    segment::{self, Parsed},
    table::Stamp,
};

/// The values in the files of a namespace.
pub(crate) type Files = BTreeMap<Key, File>;

/// One value in a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct File {
    pub(crate) stamp: Stamp,
    /// In milliseconds since the Unix epoch.
    pub(crate) modified: u64,
}

/// A folder without an index: a new store, or files that LDK has written. An index that was lost
/// is told apart by what only a store in use has.
pub(crate) fn adopt(disk: &dyn Disk, own: &Own) -> Result<Loaded> {
    let io = || fault::io(Operation::Open);
    let used = own.segments.values().any(|(parsed, bytes)| match parsed {
        Parsed::Good(header) => {
            let frames = bytes.get(segment::HEADER..).unwrap_or_default();
            frame::decode(frames, &header.salt).is_some()
        }
        _ => true,
    });
    if used || !own.big.is_empty() || !disk.list(layout::RESERVED).map_err(io())?.is_empty() {
        return Err(fault::corrupt("the index is missing"));
    }
    let mut loaded = Loaded::default();
    loaded.mark.next_creation = 1;
    for (ns, _) in namespaces(disk)? {
        number(&mut loaded.rows, &ns, &files(disk, &ns)?, &mut loaded.mark.next_creation);
    }
    Ok(loaded)
}

/// LDK's `FilesystemStore` keeps values where version 2 has folders: half of them would be seen.
/// Looks only where no store is yet, and before anything is created.
pub(crate) fn refuse_version_1(disk: &dyn Disk) -> Result<()> {
    let io = || fault::io(Operation::Open);
    if disk.modified(layout::INDEX).map_err(io())?.is_some() {
        return Ok(());
    }
    let top = disk.list("").map_err(io())?;
    let dirs = top.iter().filter(|entry| entry.is_dir && entry.name != layout::HOME);
    let mut files: Vec<_> = top.iter().filter(|entry| !entry.is_dir).cloned().collect();
    for dir in dirs {
        files.extend(disk.list(&dir.name).map_err(io())?.into_iter().filter(|e| !e.is_dir));
    }
    if files.iter().any(|file| Key::new(&file.name).is_ok()) {
        let what = "a plain file lies where a namespace is expected: a `FilesystemStore` folder of \
                    version 1 has to be imported";
        return Err(fault::corrupt(what));
    }
    Ok(())
}

/// The namespaces of users that have a folder, with its time in nanoseconds.
pub(crate) fn namespaces(disk: &dyn Disk) -> Result<BTreeMap<Namespace, u64>> {
    let io = || fault::io(Operation::Open);
    let mut found = BTreeMap::new();
    for primary in disk.list("").map_err(io())? {
        if !primary.is_dir || primary.name == layout::HOME {
            continue;
        }
        for secondary in disk.list(&primary.name).map_err(io())? {
            let names = (layout::level(&primary.name), layout::level(&secondary.name));
            if secondary.is_dir
                && let Ok(ns) = Namespace::new(names.0, names.1)
            {
                found.insert(ns, secondary.modified);
            }
        }
    }
    Ok(found)
}

/// Reads all values of a namespace from their files. Other files are foreign.
pub(crate) fn files(disk: &dyn Disk, ns: &Namespace) -> Result<Files> {
    let io = || fault::io(Operation::Open);
    let mut found = Files::new();
    for file in disk.list(&layout::dir(ns)).map_err(io())? {
        let Ok(key) = Key::new(&file.name) else { continue };
        if file.is_dir {
            continue;
        }
        if let Some(bytes) = disk.read(&layout::value(ns, &key)).map_err(io())? {
            let modified = file.modified / NANOSECONDS;
            found.insert(key, File { stamp: Stamp::of(&bytes), modified });
        }
    }
    Ok(found)
}

/// Gives creation numbers in LDK's order: by time, then by name.
pub(crate) fn number(rows: &mut Rows, ns: &Namespace, files: &Files, next_creation: &mut u64) {
    let mut order: Vec<_> = files.iter().collect();
    order.sort_by_key(|(key, file)| (file.modified, *key));
    for (key, File { stamp, modified }) in order {
        let kept = Kept { created: *next_creation, modified: *modified, stamp: *stamp };
        rows.insert(ns, key.clone(), kept);
        *next_creation += 1;
    }
}
