//! The index: size, checksum, time and creation number of every value file. One file: a header, a
//! block with everything, then a block for each checkpoint and one for a clean close.

use std::{collections::BTreeMap, io};

use kv_core::{Key, Namespace, Result};

use crate::{
    disk::Disk,
    fault,
    index_bytes::{CHANGES, FOLDERS, block, change_rows, decode, encode, folder_rows},
    layout,
    rows::Rows,
    table::{Name, Stamp},
};

/// Changes may take as much room as the base, and this, before everything is written anew.
const DELTA_SLACK: usize = 64 << 10;

/// Where a checkpoint has come to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Mark {
    /// The last batch whose effects are in files and in the index.
    pub(crate) applied: u64,
    /// Numbers below are used up in the creation order.
    pub(crate) next_creation: u64,
    /// The segment in which the first batch after `applied` is, or will be.
    pub(crate) log_from: u64,
}

/// What is kept of a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Kept {
    /// Its place in the creation order.
    pub(crate) created: u64,
    /// The time of its file in milliseconds since the Unix epoch, by which LDK orders.
    pub(crate) modified: u64,
    pub(crate) stamp: Stamp,
}

/// A key with what is kept of its value; `None` if it was removed.
pub(crate) type Row = Option<Kept>;

/// The time of each namespace's folder at a clean close, in nanoseconds since the Unix epoch.
pub(crate) type Folders = BTreeMap<Namespace, u64>;

/// How names are written on the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Names {
    /// As they are.
    #[default]
    Plain,
    /// Encoded where a case-insensitive file system would not keep them apart.
    Encoded,
}

/// The index as it was read, or written.
#[derive(Debug, Default)]
pub(crate) struct Loaded {
    pub(crate) mark: Mark,
    pub(crate) rows: Rows,
    /// The folders as a clean close has left them, if nothing was changed since.
    pub(crate) folders: Option<Folders>,
    /// The last block did not check out and was left out.
    pub(crate) cut: bool,
    pub(crate) file: IndexFile,
}

/// What must be known to append to the index.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct IndexFile {
    pub(crate) names: Names,
    pub(crate) base_len: usize,
    pub(crate) len: usize,
    /// Checksum of the last block.
    pub(crate) previous: u32,
}

impl IndexFile {
    /// Whether the changes have outgrown the base.
    pub(crate) fn wants_rewrite(&self) -> bool {
        self.len > 2 * self.base_len + DELTA_SLACK
    }

    /// Appends the changes of a checkpoint, durably. After an error the file must be written anew.
    pub(crate) fn append(
        &mut self,
        disk: &dyn Disk,
        mark: Mark,
        rows: &[(Name, Row)],
    ) -> io::Result<()> {
        self.append_block(disk, CHANGES, mark, &change_rows(rows))
    }

    /// Appends the times of the folders, durably; as [`IndexFile::append`].
    pub(crate) fn append_folders(
        &mut self,
        disk: &dyn Disk,
        mark: Mark,
        folders: &Folders,
    ) -> io::Result<()> {
        self.append_block(disk, FOLDERS, mark, &folder_rows(folders))
    }

    fn append_block(
        &mut self,
        disk: &dyn Disk,
        kind: u32,
        mark: Mark,
        rows: &(u64, Vec<u8>),
    ) -> io::Result<()> {
        let mut bytes = Vec::new();
        let crc = block(&mut bytes, kind, self.previous, mark, Names::Plain, rows);
        let mut file = disk.open(layout::INDEX)?;
        file.write_at(self.len as u64, &bytes)?;
        file.sync()?;
        self.len += bytes.len();
        self.previous = crc;
        Ok(())
    }
}

/// Writes the whole index anew, durably.
pub(crate) fn write<'a>(
    disk: &dyn Disk,
    mark: Mark,
    names: Names,
    rows: impl Iterator<Item = (&'a Namespace, &'a Key, Kept)>,
) -> io::Result<IndexFile> {
    let (bytes, file) = encode(mark, names, rows);
    let new = layout::new("index");
    let mut handle = disk.create(&new)?;
    handle.write_at(0, &bytes)?;
    handle.sync()?;
    drop(handle);
    disk.rename(&new, layout::INDEX)?;
    disk.sync_dir(layout::OWN)?;
    Ok(file)
}

/// Reads the index; `None` if there is none.
pub(crate) fn load(disk: &dyn Disk) -> Result<Option<Loaded>> {
    let bytes = disk.read(layout::INDEX).map_err(fault::io(kv_core::Operation::Open))?;
    bytes.map(|bytes| decode(&bytes)).transpose()
}
