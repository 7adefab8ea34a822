//! What another program has changed while the store was closed. A clean close notes the time of
//! each namespace's folder; where it is another one at the next open, the folder is read.

use std::collections::BTreeMap;

use kv_core::{Error, Namespace, Operation, Report, Result};

use crate::{
    adopt::{self, Files},
    checkpoint::Checkpointer,
    disk::Disk,
    fault::{self, STORE},
    index::{Folders, Loaded},
    layout,
    mtime::NANOSECONDS,
    own::notice,
    queue::Shared,
    rows::Rows,
    settings::OutsideChanges,
};

/// A folder's time is set back by this much and to a whole number of it before it is noted, so
/// that any later change gives it another one, also where times are as coarse as on FAT.
const COARSEST: u64 = 2_000_000_000;

/// Compares files and index where a folder is not as the last clean close has left it. Answers
/// whether the index has taken something over.
pub(crate) fn check(
    disk: &dyn Disk,
    loaded: &mut Loaded,
    how: OutsideChanges,
    notices: &mut Report,
) -> Result<bool> {
    let noted = loaded.folders.clone().unwrap_or_default();
    let mut suspects = adopt::namespaces(disk)?;
    let folders = suspects.clone();
    suspects.retain(|ns, modified| noted.get(ns) != Some(modified));
    // A folder may be gone with all its files.
    for ns in loaded.rows.namespaces().filter(|ns| !ns.is_reserved()) {
        if !folders.contains_key(ns) && !suspects.contains_key(ns) {
            suspects.insert(ns.clone(), 0);
        }
    }
    let (mut adopted, mut set_again) = (false, false);
    for ns in suspects.keys() {
        let files = adopt::files(disk, ns)?;
        let kept: BTreeMap<_, _> = loaded.rows.of(ns).map(|(k, v)| (k.clone(), *v)).collect();
        let changed = kept.keys().chain(files.keys()).find(|key| {
            kept.get(*key).map(|kept| kept.stamp) != files.get(*key).map(|file| file.stamp)
        });
        let moved = files
            .iter()
            .any(|(key, file)| kept.get(key).is_some_and(|kept| kept.modified != file.modified));
        match (changed, how) {
            (Some(key), OutsideChanges::Refuse) => {
                return Err(Error::ChangedOutside { store: STORE, file: layout::value(ns, key) });
            }
            (None, OutsideChanges::Adopt) if !moved => {}
            (_, OutsideChanges::Adopt) => {
                let Loaded { rows, mark, .. } = loaded;
                rows.remove_all(ns);
                adopt::number(rows, ns, &files, &mut mark.next_creation);
                adopted = true;
            }
            (None, OutsideChanges::Refuse) if moved => {
                set_times(disk, ns, &loaded.rows, &files).map_err(fault::io(Operation::Open))?;
                set_again = true;
            }
            (None, OutsideChanges::Refuse) => {}
        }
    }
    if set_again {
        notice(notices, "the times of files were not those of the index and were set again");
    }
    if adopted {
        notice(notices, "files that another program has changed were taken over");
    }
    Ok(adopted)
}

/// Gives files their times back, say after a copy that did not keep them.
fn set_times(disk: &dyn Disk, ns: &Namespace, rows: &Rows, files: &Files) -> std::io::Result<()> {
    for (key, kept) in rows.of(ns) {
        if files.get(key).is_some_and(|file| file.modified != kept.modified) {
            disk.set_modified(&layout::value(ns, key), kept.modified.saturating_mul(NANOSECONDS))?;
        }
    }
    Ok(())
}

impl Shared {
    /// Notes the time of each folder in the index. Without the note the next open reads them all.
    pub(crate) fn note_folders(&self) -> std::io::Result<()> {
        let mut checkpointer =
            self.checkpointer.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let Checkpointer { index, mark, noted, noted_last, .. } = &mut *checkpointer;
        let mut folders = Folders::new();
        let namespaces = self.lock().table.namespaces();
        for ns in namespaces.into_iter().filter(|ns| !ns.is_reserved()) {
            let dir = layout::dir(&ns);
            let Some(modified) = self.disk.modified(&dir)? else { continue };
            if noted.get(&ns) == Some(&modified) {
                folders.insert(ns, modified);
                continue;
            }
            let before = modified.saturating_sub(COARSEST);
            self.disk.set_modified(&dir, before - before % COARSEST)?;
            if let Some(modified) = self.disk.modified(&dir)? {
                folders.insert(ns, modified);
            }
        }
        if *noted_last && folders == *noted {
            return Ok(());
        }
        let mut file = index.take().ok_or_else(|| {
            std::io::Error::other("the end of the index is not known since an append has failed")
        })?;
        file.append_folders(&*self.disk, *mark, &folders)?;
        *index = Some(file);
        (*noted, *noted_last) = (folders, true);
        Ok(())
    }
}
