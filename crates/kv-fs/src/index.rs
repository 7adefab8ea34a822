//! The index: size, checksum and creation number of every value file. One file: a header, a block
//! with everything, then a block of changes for each checkpoint.

use std::io;

use kv_core::{Key, Namespace, Result};

use crate::{
    bytes::{Reader, put_name},
    disk::Disk,
    fault, layout,
    replay::too_new,
    table::{Name, Stamp},
};

const MAGIC: &[u8; 8] = b"SRKVFSIX";
const HEADER: usize = 16;
const BLOCK_HEADER: usize = 56;
const BASE: u32 = 1;
const DELTA: u32 = 2;
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

/// Creation number, size and checksum of a value; `None` if the key was removed.
pub(crate) type Row = Option<(u64, Stamp)>;

/// The index as it was read, or written.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Loaded {
    pub(crate) mark: Mark,
    pub(crate) rows: std::collections::BTreeMap<Name, (u64, Stamp)>,
    /// The last block did not check out and was left out.
    pub(crate) cut: bool,
    pub(crate) file: IndexFile,
}

/// What must be known to append to the index.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct IndexFile {
    base_len: usize,
    len: usize,
    /// Checksum of the last block.
    previous: u32,
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
        let mut bytes = Vec::new();
        let rows = rows.iter().map(|((ns, key), row)| (ns, key, *row));
        let crc = block(&mut bytes, DELTA, self.previous, mark, rows);
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
    rows: impl ExactSizeIterator<Item = (&'a Namespace, &'a Key, (u64, Stamp))>,
) -> io::Result<IndexFile> {
    let (bytes, file) = encode(mark, rows);
    let new = layout::new("index");
    let mut handle = disk.create(&new)?;
    handle.write_at(0, &bytes)?;
    handle.sync()?;
    drop(handle);
    disk.rename(&new, layout::INDEX)?;
    disk.sync_dir(layout::OWN)?;
    Ok(file)
}

fn encode<'a>(
    mark: Mark,
    rows: impl ExactSizeIterator<Item = (&'a Namespace, &'a Key, (u64, Stamp))>,
) -> (Vec<u8>, IndexFile) {
    let mut bytes = MAGIC.to_vec();
    bytes.extend_from_slice(&layout::FORMAT.to_le_bytes());
    let header_crc = crc32c::crc32c(&bytes);
    bytes.extend_from_slice(&header_crc.to_le_bytes());
    let rows = rows.map(|(ns, key, row)| (ns, key, Some(row)));
    let previous = block(&mut bytes, BASE, header_crc, mark, rows);
    let len = bytes.len();
    (bytes, IndexFile { base_len: len, len, previous })
}

/// The index, or `None` if there is none.
pub(crate) fn load(disk: &dyn Disk) -> Result<Option<Loaded>> {
    let bytes = disk.read(layout::INDEX).map_err(fault::io(kv_core::Operation::Open))?;
    bytes.map(|bytes| decode(&bytes)).transpose()
}

/// Reads an index. A last block that does not check out is left out: the log says whether it was durable.
pub(crate) fn decode(bytes: &[u8]) -> Result<Loaded> {
    let mut reader = Reader(bytes);
    let header =
        |reader: &mut Reader<'_>| Some((reader.array::<8>()?, reader.u32()?, reader.u32()?));
    let Some((magic, version, header_crc)) = header(&mut reader) else {
        return Err(fault::corrupt("the index is too short"));
    };
    let checked = bytes.get(..HEADER - 4).unwrap_or_default();
    if &magic != MAGIC || crc32c::crc32c(checked) != header_crc {
        return Err(fault::corrupt("the header of the index is damaged"));
    }
    if version > layout::FORMAT {
        return Err(too_new(version));
    }
    let mut loaded = Loaded::default();
    let mut previous = header_crc;
    let mut offset = HEADER;
    let mut expected = BASE;
    while offset < bytes.len() {
        let rest = bytes.get(offset..).unwrap_or_default();
        let Some((crc, len)) = decode_block(rest, expected, previous, &mut loaded) else {
            if expected == BASE || has_block_after(rest) {
                return Err(fault::corrupt("the index is damaged"));
            }
            loaded.cut = true;
            break;
        };
        offset += len;
        if expected == BASE {
            loaded.file.base_len = offset;
        }
        loaded.file.len = offset;
        loaded.file.previous = crc;
        previous = crc;
        expected = DELTA;
    }
    if expected == BASE {
        return Err(fault::corrupt("the index is too short"));
    }
    Ok(loaded)
}

fn block<'a>(
    out: &mut Vec<u8>,
    kind: u32,
    previous: u32,
    mark: Mark,
    rows: impl ExactSizeIterator<Item = (&'a Namespace, &'a Key, Row)>,
) -> u32 {
    let count = rows.len() as u64;
    let mut payload = Vec::new();
    for (ns, key, row) in rows {
        payload.push(u8::from(row.is_some()));
        put_name(&mut payload, ns, key);
        if let Some((created, stamp)) = row {
            payload.extend_from_slice(&created.to_le_bytes());
            payload.extend_from_slice(&stamp.size.to_le_bytes());
            payload.extend_from_slice(&stamp.crc.to_le_bytes());
        }
    }
    let mut head = Vec::with_capacity(BLOCK_HEADER);
    head.extend_from_slice(&kind.to_le_bytes());
    head.extend_from_slice(&previous.to_le_bytes());
    for number in [payload.len() as u64, count, mark.applied, mark.next_creation, mark.log_from] {
        head.extend_from_slice(&number.to_le_bytes());
    }
    head.extend_from_slice(&[0; 4]);
    let crc = crc32c::crc32c_append(crc32c::crc32c(&head), &payload);
    out.extend_from_slice(&head);
    out.extend_from_slice(&crc.to_le_bytes());
    out.extend_from_slice(&payload);
    crc
}

struct BlockHead {
    kind: u32,
    previous: u32,
    payload_len: usize,
    count: u64,
    mark: Mark,
    crc: u32,
}

fn block_head(reader: &mut Reader<'_>) -> Option<BlockHead> {
    let (kind, previous) = (reader.u32()?, reader.u32()?);
    let (payload_len, count) = (usize::try_from(reader.u64()?).ok()?, reader.u64()?);
    let mark =
        Mark { applied: reader.u64()?, next_creation: reader.u64()?, log_from: reader.u64()? };
    reader.u32()?;
    Some(BlockHead { kind, previous, payload_len, count, mark, crc: reader.u32()? })
}

/// A block that checks out: its head and payload.
fn checked_block(bytes: &[u8]) -> Option<(BlockHead, &[u8])> {
    let mut reader = Reader(bytes);
    let head = block_head(&mut reader)?;
    let payload = reader.take(head.payload_len)?;
    let checked = bytes.get(..BLOCK_HEADER - 4)?;
    let crc = crc32c::crc32c_append(crc32c::crc32c(checked), payload);
    (crc == head.crc).then_some((head, payload))
}

fn decode_block(
    bytes: &[u8],
    kind: u32,
    previous: u32,
    loaded: &mut Loaded,
) -> Option<(u32, usize)> {
    let (head, payload) = checked_block(bytes)?;
    if head.kind != kind || head.previous != previous {
        return None;
    }
    let mut reader = Reader(payload);
    let mut rows = Vec::new();
    for _ in 0..head.count {
        let present = reader.u8()?;
        let name = reader.name()?;
        let row = match present {
            0 => None,
            _ => Some((reader.u64()?, Stamp { size: reader.u64()?, crc: reader.u32()? })),
        };
        rows.push((name, row));
    }
    for (name, row) in rows {
        match row {
            Some(row) => loaded.rows.insert(name, row),
            None => loaded.rows.remove(&name),
        };
    }
    loaded.mark = head.mark;
    Some((head.crc, BLOCK_HEADER + payload.len()))
}

/// Whether a good block lies anywhere behind a bad one: then the bad one was durable once.
fn has_block_after(bytes: &[u8]) -> bool {
    let kind = DELTA.to_le_bytes();
    (1..bytes.len())
        .filter_map(|at| bytes.get(at..))
        .any(|rest| rest.starts_with(&kind) && checked_block(rest).is_some())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(key: &str) -> Name {
        (Namespace::new("Monitors", "").unwrap(), Key::new(key).unwrap())
    }

    fn base() -> (Vec<u8>, IndexFile) {
        let (a, b) = (name("a"), name("b"));
        let rows = [(&a, (1, Stamp { size: 5, crc: 6 })), (&b, (2, Stamp { size: 7, crc: 8 }))];
        let mark = Mark { applied: 9, next_creation: 3, log_from: 1 };
        encode(mark, rows.iter().map(|(name, row)| (&name.0, &name.1, *row)))
    }

    fn with_delta() -> Vec<u8> {
        let (mut bytes, file) = base();
        let (a, c) = (name("a"), name("c"));
        let rows = [(&a, None), (&c, Some((3, Stamp { size: 1, crc: 2 })))];
        let mark = Mark { applied: 12, next_creation: 4, log_from: 2 };
        block(
            &mut bytes,
            DELTA,
            file.previous,
            mark,
            rows.iter().map(|(n, row)| (&n.0, &n.1, *row)),
        );
        bytes
    }

    #[test]
    fn golden_index_bytes() {
        let bytes = with_delta();
        assert_eq!(bytes, include_bytes!("../tests/golden/v1/index.bin"));
        let loaded = decode(&bytes).unwrap();
        assert_eq!(loaded.mark, Mark { applied: 12, next_creation: 4, log_from: 2 });
        assert_eq!(loaded.rows.keys().cloned().collect::<Vec<_>>(), [name("b"), name("c")]);
        assert!(!loaded.cut);
    }

    #[test]
    fn damage_in_the_last_block_leaves_it_out_and_anywhere_else_is_an_error() {
        let good = with_delta();
        let base_len = base().0.len();
        for at in 0..good.len() {
            let mut damaged = good.clone();
            damaged[at] ^= 4;
            match decode(&damaged) {
                Ok(loaded) => assert!(at >= base_len && loaded.cut && loaded.mark.applied == 9),
                Err(error) => {
                    assert!(
                        at < base_len && matches!(error, kv_core::Error::Corrupt { .. }),
                        "{at}"
                    );
                }
            }
        }
    }

    #[test]
    fn a_newer_version_is_told_apart_from_damage() {
        let mut bytes = with_delta();
        bytes[8] = 2;
        assert!(matches!(decode(&bytes), Err(kv_core::Error::Corrupt { .. })));
        let crc = crc32c::crc32c(&bytes[..12]);
        bytes[12..16].copy_from_slice(&crc.to_le_bytes());
        assert!(matches!(decode(&bytes), Err(kv_core::Error::TooNew { found: 2, newest: 1, .. })));
    }
}
