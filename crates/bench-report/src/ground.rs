//! The folder of a run, on the disk in question.

use std::{
    fs, io,
    path::{Path, PathBuf},
    thread,
};

use crate::Result;

/// Where everything lies that a run makes. All of it is removed at the end of the run and not before:
/// for minutes after a file is removed ext4 is slower to create others.
#[derive(Debug)]
pub struct Ground(PathBuf);

impl Ground {
    /// A new and empty one, `name` below `dir`: a folder of our own, so that nothing else is ever
    /// removed.
    pub fn new(dir: &Path, name: &str) -> Result<Self> {
        fs::create_dir_all(dir)?;
        let ground = Self(std::path::absolute(dir)?.join(name));
        ground.clean_up()?;
        fs::create_dir(&ground.0)?;
        Ok(ground)
    }

    /// A new folder.
    pub fn folder(&self, name: &str) -> Result<PathBuf> {
        let folder = self.0.join(name);
        fs::create_dir(&folder)?;
        Ok(folder)
    }

    /// A new place, where nothing is yet.
    pub fn place(&self, name: &str) -> Result<PathBuf> {
        let place = self.0.join(name);
        if place.exists() { Err(format!("{name} is used twice").into()) } else { Ok(place) }
    }

    /// A place with what `make` makes when it is first asked for.
    pub fn once(&self, name: &str, make: impl FnOnce(&Path) -> Result<()>) -> Result<PathBuf> {
        let place = self.0.join(name);
        if !place.exists() {
            make(&place)?;
        }
        Ok(place)
    }

    /// Removes all of it.
    pub fn clean_up(&self) -> Result<()> {
        match remove(&self.0) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            other => Ok(other?),
        }
    }
}

/// Removes a folder, many files at a time: on some disks each waits a millisecond for its blocks
/// to be given back.
fn remove(dir: &Path) -> io::Result<()> {
    let mut files = Vec::new();
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            remove(&entry.path())?;
        } else {
            files.push(entry.path());
        }
    }
    let share = files.len().div_ceil(16).max(1);
    thread::scope(|scope| {
        for share in files.chunks(share) {
            // What could not be removed keeps the folder from being removed.
            scope.spawn(|| share.iter().for_each(|file| drop(fs::remove_file(file))));
        }
    });
    fs::remove_dir(dir)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_a_run_has_made_is_removed() {
        let dir = std::env::temp_dir().join(format!("bench-ground-{}", std::process::id()));
        let ground = Ground::new(&dir, "run").unwrap();
        fs::write(dir.join("other"), "not ours").unwrap();
        let folder = ground.folder("a").unwrap();
        fs::write(folder.join("file"), "x").unwrap();
        assert!(ground.folder("a").is_err() && ground.place("a").is_err(), "used twice");
        let made = ground.once("b", |place| Ok(fs::write(place, "once")?)).unwrap();
        ground.once("b", |_| Err("made twice".into())).unwrap();
        assert_eq!(fs::read(made).unwrap(), b"once");
        // The next run begins with nothing.
        let ground = Ground::new(&dir, "run").unwrap();
        ground.place("a").unwrap();
        ground.clean_up().unwrap();
        assert_eq!(fs::read(dir.join("other")).unwrap(), b"not ours");
        fs::remove_dir_all(dir).unwrap();
    }
}
