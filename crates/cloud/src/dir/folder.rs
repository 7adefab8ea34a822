//! The folder itself: puts under a lock, reads, listings.

use std::{
    collections::HashSet,
    fmt, fs,
    io::ErrorKind,
    path::{Path, PathBuf},
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use backup::ObjectName;
use bytes::Bytes;
use data_encoding::HEXLOWER;

use super::{
    error::{FileError, FileResult},
    files,
};
use crate::{CloudError, ObjectMeta, PutMode, Result, Tag, error::boxed, layout, page::Page};

/// Begins the name of a file that is being written.
const INCOMING: &str = "incoming-";

/// The folder in which all backups lie.
const BACKUPS: &str = "sr1";

/// The file in our own folder that says that backups go here. Not the lock: that is also made where a
/// folder is only tried out, and the place of a medium that is not there must not pass for the medium.
const CHOSEN: &str = "chosen";

/// What is expected where a folder is opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Expected {
    /// It is made, if it is not there; what it lies in is not.
    Nothing,
    /// A folder, for instance a copy of one that was backed up to. Nothing is made before something
    /// is put.
    Folder,
    /// One that was backed up to.
    Ours,
}

/// An open folder.
pub(super) struct Folder {
    root: PathBuf,
    /// By what it is known that this is the folder that was opened, and not the place of a medium
    /// that has gone. `None`: it was only to be looked into.
    sign: Option<PathBuf>,
    /// Whether it has our mark, the lock file.
    marked: AtomicBool,
    /// Holds the lock and what is being written.
    own: PathBuf,
    lock: PathBuf,
    /// The folders whose names this handle has made durable. Its lock is held during a put, because
    /// on network file systems a file lock may not hold between the threads of a process.
    durable: Mutex<HashSet<PathBuf>>,
}

impl Folder {
    pub(super) fn open(path: &Path, expected: Expected) -> Result<Self> {
        let root = std::path::absolute(path)
            .map_err(FileError::on("find", path))
            .map_err(FileError::about_folder)?;
        let own = root.join(layout::OWN);
        let (lock, marked) = (own.join("lock"), AtomicBool::new(false));
        let mut folder = Self { root, sign: None, marked, own, lock, durable: Mutex::default() };
        let is_marked = fs::metadata(&folder.lock).is_ok();
        match expected {
            Expected::Nothing => {
                folder.make_root()?;
            }
            Expected::Folder if is_marked => {}
            Expected::Folder if folder.root.is_dir() => return Ok(folder),
            Expected::Folder => {
                let source = boxed(format!(
                    "there is no folder {}: plug the medium in, or mount it, or check the path",
                    folder.root.display()
                ));
                return Err(CloudError::BadAddress { source });
            }
            Expected::Ours if folder.sign_of_backups().is_some() => {}
            Expected::Ours => return Err(folder.is_away()),
        }
        folder.set_up().map_err(FileError::about_folder)?;
        if expected != Expected::Folder {
            folder.choose().map_err(FileError::about_folder)?;
            folder.sign = folder.sign_of_backups();
        }
        Ok(folder)
    }

    pub(super) fn put(&self, name: &ObjectName, bytes: &Bytes, how: &PutMode) -> Result<Tag> {
        let mut durable = self.durable.lock().unwrap_or_else(PoisonError::into_inner);
        let put = self.try_put(name, bytes, how, &mut durable);
        if put.is_err() {
            // Whoever removed a folder, or whatever sync failed: look anew next time.
            durable.clear();
        }
        match put {
            Ok(Some(tag)) => Ok(tag),
            Ok(None) => Err(CloudError::Conflict { name: name.clone() }),
            Err(e) => Err(e.about(name)),
        }
    }

    pub(super) fn get(&self, name: &ObjectName) -> Result<Option<(Bytes, Tag)>> {
        let get = || match files::read(&layout::path(&self.root, name))? {
            Some(bytes) => {
                let bytes = Bytes::from(bytes);
                Ok(Some((bytes.clone(), Tag::of(bytes))))
            }
            None => self.check_present().map(|()| None),
        };
        get().map_err(|e: FileError| e.about(name))
    }

    pub(super) fn list(
        &self,
        prefix: &ObjectName,
        after: Option<&ObjectName>,
        limit: usize,
    ) -> Result<Vec<ObjectMeta>> {
        let mut page = Page::new(after, limit);
        let path = layout::path(&self.root, prefix);
        walk(&mut page, &path, prefix.as_str())
            .and_then(|()| self.check_present())
            .map_err(|e| e.about(prefix))?;
        Ok(page.into_objects())
    }

    pub(super) fn delete(&self, name: &ObjectName) -> Result<()> {
        let _turn = self.durable.lock().unwrap_or_else(PoisonError::into_inner);
        let path = layout::path(&self.root, name);
        let delete = || {
            let _locked = self.lock()?;
            match path.parent() {
                Some(parent) if files::remove(&path)? => files::sync_folder(parent),
                _ => Ok(()),
            }
        };
        delete().map_err(|e: FileError| e.about(name))
    }

    /// What is said where backups were and are no more. Nothing is made there: below the place of a
    /// medium lies the device's own disk.
    fn is_away(&self) -> CloudError {
        CloudError::unavailable(format!(
            "there are no backups in {}: plug the medium in, or mount it; if they are gone for good, \
             remove this cloud and add it anew",
            self.root.display()
        ))
    }

    /// Makes the folder itself, never what it lies in: where that is missing, a medium may be.
    fn make_root(&self) -> Result<()> {
        let parent = self.root.parent();
        if let Some(parent) = parent.filter(|parent| !self.root.is_dir() && !parent.exists()) {
            return Err(CloudError::unavailable(format!(
                "there is no folder {} in which {} could be made: plug the medium in, or mount it, \
                 or make that folder",
                parent.display(),
                self.root.display()
            )));
        }
        files::make_own_folder(&self.root).map_err(FileError::about_folder)
    }

    /// What says that backups go here, or are here.
    fn sign_of_backups(&self) -> Option<PathBuf> {
        let chosen = self.own.join(CHOSEN);
        if chosen.is_file() {
            return Some(chosen);
        }
        // What a file manager copied may lack our own folder.
        Some(self.root.join(BACKUPS)).filter(|backups| backups.is_dir())
    }

    /// Says that backups go here.
    fn choose(&self) -> FileResult<()> {
        if self.sign_of_backups().is_some() {
            return Ok(());
        }
        match files::write_new(&self.own.join(CHOSEN), b"") {
            // A medium that cannot be written to can still be restored from.
            Err(e) if e.is_about_permission() => return Ok(()),
            Err(e) if e.kind() == ErrorKind::AlreadyExists => {}
            other => other?,
        }
        files::sync_folder(&self.own)
    }

    /// Makes the lock file, and removes what crashed puts have left.
    fn set_up(&self) -> FileResult<()> {
        self.mark()?;
        match self.sweep() {
            // A medium that cannot be written to can still be restored from.
            Err(e) if e.is_about_permission() => Ok(()),
            other => other,
        }
    }

    /// Makes the lock file.
    fn mark(&self) -> FileResult<()> {
        if fs::metadata(&self.lock).is_err() {
            files::make_folder(&self.own)?;
            match files::write_new(&self.lock, b"") {
                Err(e) if e.kind() == ErrorKind::AlreadyExists => {}
                other => other?,
            }
            files::sync_folder(&self.own)?;
        }
        self.marked.store(true, Ordering::Relaxed);
        Ok(())
    }

    /// The lock, with which the folder is ours.
    fn lock(&self) -> FileResult<fs::File> {
        self.check_present()?;
        if !self.marked.load(Ordering::Relaxed) {
            self.mark()?;
        }
        files::lock(&self.lock)
    }

    fn sweep(&self) -> FileResult<()> {
        // Who holds the lock may be writing; there is another opening to sweep at.
        let Some(_locked) = files::try_lock(&self.lock)? else {
            return Ok(());
        };
        let failed = || FileError::on("list", &self.own);
        for entry in fs::read_dir(&self.own).map_err(failed())? {
            let file = entry.map_err(failed())?.file_name();
            if file.to_string_lossy().starts_with(INCOMING) {
                files::remove(&self.own.join(file))?;
            }
        }
        Ok(())
    }

    /// `None` is a conflict.
    fn try_put(
        &self,
        name: &ObjectName,
        bytes: &Bytes,
        how: &PutMode,
        durable: &mut HashSet<PathBuf>,
    ) -> FileResult<Option<Tag>> {
        let path = layout::path(&self.root, name);
        let _locked = self.lock()?;
        let allowed = match how {
            PutMode::Overwrite => true,
            PutMode::CreateOnly => !files::has_file(&path)?,
            PutMode::Replace(expected) => {
                files::read(&path)?.is_some_and(|old| Tag::of(old.into()) == *expected)
            }
        };
        if !allowed {
            // What is there may be our own, of a put that died before it could sync: whoever reads
            // it back takes it as stored.
            if files::has_file(&path)? {
                self.make_durable(&path, durable)?;
            }
            return Ok(None);
        }
        let incoming = self.own.join(format!("{INCOMING}{}", random_name()));
        let landed = files::write_new(&incoming, bytes)
            .and_then(|()| self.make_folders(&path, durable))
            .and_then(|()| files::rename(&incoming, &path));
        if let Err(e) = landed {
            // A full disk needs the room back; if this fails too, the next opening sweeps.
            files::remove(&incoming).unwrap_or_default();
            return Err(e);
        }
        self.make_durable(&path, durable)?;
        Ok(Some(Tag::of(bytes.clone())))
    }

    /// Makes the folders of a file, each durable in its parent.
    fn make_folders(&self, file: &Path, durable: &mut HashSet<PathBuf>) -> FileResult<()> {
        let below_root = |folder: &&Path| *folder != self.root;
        let mut folders: Vec<&Path> = file
            .ancestors()
            .skip(1)
            .take_while(below_root)
            .filter(|folder| !durable.contains(*folder))
            .collect();
        folders.reverse();
        for folder in folders {
            files::make_folder(folder)?;
            durable.insert(folder.to_owned());
        }
        Ok(())
    }

    /// Makes the name of a file durable, that of its folders included.
    fn make_durable(&self, file: &Path, durable: &mut HashSet<PathBuf>) -> FileResult<()> {
        self.make_folders(file, durable)?;
        file.parent().map_or(Ok(()), files::sync_folder)
    }

    /// An error if the folder has gone: nothing found is not the same as nothing there.
    fn check_present(&self) -> FileResult<()> {
        let sign = match (&self.sign, self.marked.load(Ordering::Relaxed)) {
            (Some(sign), _) => sign,
            (None, true) => &self.lock,
            (None, false) => &self.root,
        };
        fs::metadata(sign).map(drop).map_err(FileError::on("find", sign))
    }
}

impl fmt::Debug for Folder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Folder({})", self.root.display())
    }
}

fn walk(page: &mut Page, folder: &Path, name: &str) -> FileResult<()> {
    let failed = || FileError::on("list", folder);
    let entries = match fs::read_dir(folder) {
        Err(e) if files::is_absent(e.kind()) => return Ok(()),
        other => other.map_err(failed())?,
    };
    for entry in entries {
        let entry = entry.map_err(failed())?;
        let file_name = entry.file_name();
        let Some(part) = file_name.to_str().and_then(layout::part) else {
            continue;
        };
        let Ok(name) = ObjectName::new(&format!("{name}/{part}")) else {
            continue;
        };
        // A link or a device is not ours.
        let kind = entry.file_type().map_err(failed())?;
        if kind.is_dir() {
            if page.wants_folder(&name) {
                walk(page, &entry.path(), name.as_str())?;
            }
        } else if kind.is_file() && page.wants(&name) {
            match entry.metadata() {
                // Deleted meanwhile.
                Err(e) if files::is_absent(e.kind()) => {}
                other => page.add(name, other.map_err(failed())?.len()),
            }
        }
    }
    Ok(())
}

/// No two puts write to the same file, even where the lock of a strange file system fails.
fn random_name() -> String {
    let mut bytes = [0; 8];
    // Without randomness the name is fixed, and the lock alone keeps puts apart.
    getrandom::fill(&mut bytes).unwrap_or_default();
    HEXLOWER.encode(&bytes)
}

#[cfg(test)]
mod tests;
