//! File systems in files, mounted through loop devices.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
};

use crate::run::Step;

/// One kind of file system.
#[derive(Debug, Clone, Copy)]
pub(super) struct System {
    pub(super) name: &'static str,
    pub(super) mkfs: &'static str,
    flags: &'static [&'static str],
    /// The smallest that its mkfs takes, and some more.
    mib: u64,
    /// No timer may commit what the store has not synced.
    options: &'static str,
}

pub(super) const EXT4: System = System {
    name: "ext4",
    mkfs: "mkfs.ext4",
    flags: &["-q", "-F", "-I", "256"],
    mib: 64,
    options: "loop,commit=300",
};

pub(super) const SYSTEMS: [System; 3] = [
    EXT4,
    System { name: "xfs", mkfs: "mkfs.xfs", flags: &["-f"], mib: 320, options: "loop" },
    System {
        name: "btrfs",
        mkfs: "mkfs.btrfs",
        flags: &["-f"],
        mib: 160,
        options: "loop,commit=300",
    },
];

/// An image file, gone when dropped.
#[derive(Debug)]
pub(super) struct Image {
    file: PathBuf,
    options: &'static str,
}

impl Image {
    pub(super) fn new(file: PathBuf, system: System, mib: Option<u64>) -> Result<Self, String> {
        let image = Self { file, options: system.options };
        let made = File::create(&image.file)
            .and_then(|file| file.set_len(mib.unwrap_or(system.mib) << 20));
        made.map_err(|e| format!("{}: {e}", image.file.display()))?;
        let path = super::shown(&image.file)?;
        Step::new(system.mkfs, &[system.flags, &[&path]].concat()).output()?;
        Ok(image)
    }

    /// What a power cut now would leave on the device: whatever the kernel has written to it.
    pub(super) fn copy(&self, file: PathBuf) -> Result<Self, String> {
        let (from, to) = (super::shown(&self.file)?, super::shown(&file)?);
        Step::new("cp", &["--sparse=always", "--reflink=auto", &from, &to]).quiet().run()?;
        Ok(Self { file, options: self.options })
    }

    pub(super) fn mount(&self, at: PathBuf) -> Result<Mount, String> {
        fs::create_dir_all(&at).map_err(|e| format!("{}: {e}", at.display()))?;
        let (image, dir) = (super::shown(&self.file)?, super::shown(&at)?);
        Step::new("mount", &["-o", self.options, &image, &dir]).quiet().run()?;
        Ok(Mount(at))
    }
}

impl Drop for Image {
    fn drop(&mut self) {
        fs::remove_file(&self.file).ok();
    }
}

/// A mounted image, unmounted when dropped; that frees its loop device, too.
#[derive(Debug)]
pub(super) struct Mount(PathBuf);

impl Mount {
    pub(super) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        let Ok(dir) = super::shown(&self.0) else { return };
        if !Step::new("umount", &[&dir]).succeeds() {
            // Someone is still in it.
            Step::new("umount", &["--lazy", &dir]).succeeds();
        }
    }
}
