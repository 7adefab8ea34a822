//! How a checkpoint puts one value into its key's file.

use std::io;

use kv_core::Value;

use crate::{
    disk::{Disk, DiskFile},
    layout,
    mtime::NANOSECONDS,
    table::{Entry, Name, Place, Stamp},
};

/// Where values are moved, and who syncs them.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Moving<'a> {
    pub(crate) disk: &'a dyn Disk,
    /// All files are synced at once at the end; else each is here.
    pub(crate) at_once: bool,
}

impl Moving<'_> {
    /// Puts a value into its key's file, with its time; durably, unless all will be synced at once.
    pub(crate) fn move_value(
        self,
        (ns, key): &Name,
        entry: &Entry,
        had_file: bool,
    ) -> io::Result<Stamp> {
        let path = layout::value(ns, key);
        match &entry.place {
            Place::File(stamp) => Ok(*stamp),
            Place::Memory(value) => {
                let file = if had_file { self.in_place(&path, value)? } else { None };
                match file {
                    Some(file) => self.finish(file, &path, entry)?,
                    None => self.anew(&path, value, entry)?,
                }
                Ok(Stamp::of(value))
            }
            Place::Big(id, stamp) => self.big(&layout::big(*id), &path, entry).map(|()| *stamp),
        }
    }

    /// Writes over the file that the key has. If that is cut short it does not matter what the
    /// file holds: the log has the value, is kept until the file is durable, and is replayed
    /// first. To replace the file would cost many times as much, as the file system has to find
    /// and to free an inode. A file that is longer than the value would have to be cut.
    fn in_place(self, path: &str, value: &Value) -> io::Result<Option<Box<dyn DiskFile>>> {
        let mut file = match self.disk.open(path) {
            // Reading would have told that it is gone; now it comes back.
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            opened => opened?,
        };
        if file.size()? > value.len() as u64 {
            return Ok(None);
        }
        file.write_at(0, value)?;
        Ok(Some(file))
    }

    fn anew(self, path: &str, value: &Value, entry: &Entry) -> io::Result<()> {
        let new = layout::new("value");
        let mut file = self.disk.create(&new)?;
        file.write_at(0, value)?;
        self.finish(file, &new, entry)?;
        self.disk.rename(&new, path)
    }

    fn finish(self, mut file: Box<dyn DiskFile>, path: &str, entry: &Entry) -> io::Result<()> {
        self.disk.set_modified(path, entry.modified.saturating_mul(NANOSECONDS))?;
        if !self.at_once {
            file.sync_all()?;
        }
        Ok(())
    }

    fn big(self, big: &str, path: &str, entry: &Entry) -> io::Result<()> {
        let time = entry.modified.saturating_mul(NANOSECONDS);
        let moved = self.disk.set_modified(big, time).and_then(|()| {
            if !self.at_once {
                self.disk.open(big)?.sync_all()?;
            }
            self.disk.rename(big, path)
        });
        match moved {
            // An earlier checkpoint that failed later has moved it; if not, reading tells.
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            moved => moved,
        }
    }
}
