//! What each platform needs to make bytes, names and times durable, and where that is written.
//!
//! - **Linux**: `fdatasync` for bytes (fdatasync(2)), `fsync` of a folder for its names (fsync(2)).
//!   `syncfs` does all at once. It reports lost pages since 5.8 (syncfs(2)) and failures of the
//!   file system itself since 5.17 (before, `sync_filesystem` dropped what `->sync_fs` answered),
//!   and only the file systems named here are known to do both; elsewhere files are synced one by one.
//! - **macOS, iOS**: `fsync` leaves data in the drive's cache (fsync(2) of Darwin); `F_FULLFSYNC`
//!   (fcntl(2)) does not, and that is what `File::sync_all` calls. `sync_data` is not used: the
//!   standard library promises nothing about it beyond `fdatasync`.
//! - **Windows**: `FlushFileBuffers`, which `File::sync_all` calls, writes a file's data and
//!   metadata and empties the drive's cache. A folder cannot be flushed. NTFS journals names, and
//!   a flush writes its journal: a renamed file is therefore flushed under its new name. Nothing
//!   relies on removals being durable: what comes back is not in the index.

use std::{fs::File, io, path::Path};

#[cfg(target_vendor = "apple")]
pub(super) fn sync_data(file: &File) -> io::Result<()> {
    file.sync_all()
}

#[cfg(not(target_vendor = "apple"))]
pub(super) fn sync_data(file: &File) -> io::Result<()> {
    file.sync_data()
}

/// Writes all bytes at the offset, where the platform can in one call.
#[cfg(unix)]
pub(super) fn write_at(file: &mut File, offset: u64, bytes: &[u8]) -> io::Result<()> {
    std::os::unix::fs::FileExt::write_all_at(file, bytes, offset)
}

#[cfg(not(unix))]
pub(super) fn write_at(file: &mut File, offset: u64, bytes: &[u8]) -> io::Result<()> {
    use std::io::{Seek, SeekFrom, Write};
    file.seek(SeekFrom::Start(offset))?;
    file.write_all(bytes)
}

#[cfg(unix)]
pub(super) fn sync_dir(dir: &Path) -> io::Result<()> {
    File::open(dir)?.sync_all()
}

#[cfg(not(unix))]
pub(super) fn sync_dir(_dir: &Path) -> io::Result<()> {
    Ok(())
}

/// Makes a rename durable where folders cannot be synced.
#[cfg(unix)]
pub(super) fn sync_renamed(_path: &Path) -> io::Result<()> {
    Ok(())
}

#[cfg(not(unix))]
pub(super) fn sync_renamed(path: &Path) -> io::Result<()> {
    std::fs::OpenOptions::new().write(true).open(path)?.sync_all()
}

/// Opens a file or folder so that its times can be set.
#[cfg(not(windows))]
pub(super) fn open_for_times(path: &Path) -> io::Result<File> {
    File::open(path)
}

/// Here a folder needs `FILE_FLAG_BACKUP_SEMANTICS`, and the times `FILE_WRITE_ATTRIBUTES`.
#[cfg(windows)]
pub(super) fn open_for_times(path: &Path) -> io::Result<File> {
    use std::os::windows::fs::OpenOptionsExt;
    const FILE_WRITE_ATTRIBUTES: u32 = 0x100;
    const FILE_FLAG_BACKUP_SEMANTICS: u32 = 0x0200_0000;
    let mut options = std::fs::OpenOptions::new();
    options.access_mode(FILE_WRITE_ATTRIBUTES).custom_flags(FILE_FLAG_BACKUP_SEMANTICS);
    options.open(path)
}

/// Whether [`sync_disk`] reports every failure on the file system that this file is on.
#[cfg(target_os = "linux")]
pub(super) fn syncs_disk(file: &File) -> bool {
    syncfs_reports_errors() && is_known(file)
}

#[cfg(not(target_os = "linux"))]
pub(super) fn syncs_disk(_file: &File) -> bool {
    false
}

#[cfg(target_os = "linux")]
pub(super) fn sync_disk(file: &File) -> io::Result<()> {
    Ok(rustix::fs::syncfs(file)?)
}

#[cfg(not(target_os = "linux"))]
pub(super) fn sync_disk(_file: &File) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

#[cfg(target_os = "linux")]
fn syncfs_reports_errors() -> bool {
    let uname = rustix::system::uname();
    let release = uname.release().to_string_lossy();
    let mut numbers = release.split(|c: char| !c.is_ascii_digit()).map(|n| n.parse().unwrap_or(0));
    (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0)) >= (5, 17)
}

/// File systems on a device of their own, whose `sync_fs` answers failures: ext4, XFS, Btrfs.
#[cfg(target_os = "linux")]
fn is_known(file: &File) -> bool {
    const KNOWN: [u32; 3] = [0xEF53, 0x5846_5342, 0x9123_683E];
    rustix::fs::fstatfs(file).is_ok_and(|fs| KNOWN.contains(&(fs.f_type as u32)))
}
