//! File operations that are durable when they return.

use std::{
    fs::{self, File, OpenOptions, TryLockError},
    io::{ErrorKind, Write},
    path::Path,
};

use super::error::{FileError, FileResult};

/// Writes a new file and syncs it.
pub(super) fn write_new(path: &Path, bytes: &[u8]) -> FileResult<()> {
    let failed = |doing| FileError::on(doing, path);
    let mut file =
        OpenOptions::new().write(true).create_new(true).open(path).map_err(failed("create"))?;
    file.write_all(bytes).map_err(failed("write"))?;
    note("sync", path);
    file.sync_all().map_err(failed("sync"))
}

/// Moves a file over another; [`sync_folder`] makes it durable.
pub(super) fn rename(from: &Path, to: &Path) -> FileResult<()> {
    note("rename to", to);
    fs::rename(from, to).map_err(FileError::on("replace", to))
}

/// Makes what was created, renamed or removed in a folder durable. (Windows does this by itself.)
pub(super) fn sync_folder(path: &Path) -> FileResult<()> {
    note("sync", path);
    if cfg!(unix) {
        let failed = |doing| FileError::on(doing, path);
        let folder = File::open(path).map_err(failed("open"))?;
        folder.sync_all().map_err(failed("sync"))?;
    }
    Ok(())
}

/// Makes a folder, if it is not there, and its name durable.
pub(super) fn make_folder(path: &Path) -> FileResult<()> {
    match fs::create_dir(path) {
        Ok(()) => note("make", path),
        Err(e) if e.kind() == ErrorKind::AlreadyExists => {}
        Err(e) => return Err(FileError::on("make the folder", path)(e)),
    }
    sync_parent(path)
}

/// As [`make_folder`]; that something else has the name is an error.
pub(super) fn make_own_folder(path: &Path) -> FileResult<()> {
    if fs::metadata(path).is_ok_and(|m| m.is_dir()) {
        // It may be new, of a process that died before it could sync. Who may not read the
        // parent has not made the folder either.
        sync_parent(path).unwrap_or_default();
        return Ok(());
    }
    make_folder(path)?;
    if fs::metadata(path).is_ok_and(|m| m.is_dir()) {
        return Ok(());
    }
    Err(FileError::on("make the folder", path)(ErrorKind::NotADirectory.into()))
}

/// Whether there is a file. What cannot be told is an error: whoever took it for "no" would put over
/// it.
pub(super) fn has_file(path: &Path) -> FileResult<bool> {
    let failed = || FileError::on("look at", path);
    match fs::metadata(path) {
        Ok(found) => Ok(found.is_file()),
        // A link to what is not there now, for instance to another medium.
        Err(e) if is_absent(e.kind()) => match fs::symlink_metadata(path) {
            Ok(_) => Err(failed()(e)),
            Err(e) if is_absent(e.kind()) => Ok(false),
            Err(e) => Err(failed()(e)),
        },
        Err(e) => Err(failed()(e)),
    }
}

/// The file's bytes, `None` if there is no such file.
pub(super) fn read(path: &Path) -> FileResult<Option<Vec<u8>>> {
    match fs::read(path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(e) if is_absent(e.kind()) => Ok(None),
        Err(e) => Err(FileError::on("read", path)(e)),
    }
}

/// Removes a file; answers whether it was there.
pub(super) fn remove(path: &Path) -> FileResult<bool> {
    note("remove", path);
    match fs::remove_file(path) {
        Ok(()) => Ok(true),
        Err(e) if is_absent(e.kind()) => Ok(false),
        Err(e) => Err(FileError::on("remove", path)(e)),
    }
}

/// A lock between processes, and between handles in one; held until dropped. The file must exist.
pub(super) fn lock(path: &Path) -> FileResult<File> {
    let file = open_lock(path)?;
    loop {
        match file.lock() {
            Err(e) if e.kind() == ErrorKind::Interrupted => {}
            Err(e) => return Err(FileError::on("lock", path)(e)),
            Ok(()) => return Ok(file),
        }
    }
}

/// The lock, or `None` while somebody else has it.
pub(super) fn try_lock(path: &Path) -> FileResult<Option<File>> {
    let file = open_lock(path)?;
    match file.try_lock() {
        Ok(()) => Ok(Some(file)),
        Err(TryLockError::WouldBlock) => Ok(None),
        Err(TryLockError::Error(e)) => Err(FileError::on("lock", path)(e)),
    }
}

/// No file, or a file where a folder should be, or the other way round.
pub(super) fn is_absent(kind: ErrorKind) -> bool {
    matches!(kind, ErrorKind::NotFound | ErrorKind::NotADirectory | ErrorKind::IsADirectory)
}

fn open_lock(path: &Path) -> FileResult<File> {
    OpenOptions::new().write(true).open(path).map_err(FileError::on("open", path))
}

fn sync_parent(path: &Path) -> FileResult<()> {
    path.parent().map_or(Ok(()), sync_folder)
}

#[cfg(test)]
thread_local! {
    /// What this thread did, so that tests see the order of writes and syncs.
    pub(super) static STEPS: std::cell::RefCell<Vec<String>> = const { std::cell::RefCell::new(Vec::new()) };
}

fn note(what: &str, path: &Path) {
    #[cfg(test)]
    STEPS.with_borrow_mut(|steps| steps.push(format!("{what} {}", path.display())));
    #[cfg(not(test))]
    let _ = (what, path);
}
