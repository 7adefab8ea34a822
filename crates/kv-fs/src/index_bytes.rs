//! The bytes of the index. The format is specified in the book, `kv-fs-v1`.

use kv_core::{Key, Namespace, Result};

use crate::{
    bytes::{Reader, put_name, put_namespace},
    fault,
    index::{Folders, IndexFile, Kept, Loaded, Mark, Names, Row},
    layout,
    replay::too_new,
    table::{Name, Stamp},
};

/// Every key.
const BASE: u32 = 1;
/// What a checkpoint has changed.
pub(crate) const CHANGES: u32 = 2;
/// The folders at a clean close.
pub(crate) const FOLDERS: u32 = 3;

const MAGIC: &[u8; 8] = b"SRKVFSIX";
const HEADER: usize = 16;
const BLOCK_HEADER: usize = 56;
const ENCODED_NAMES: u32 = 1;

/// Header and base block.
pub(crate) fn encode<'a>(
    mark: Mark,
    names: Names,
    rows: impl Iterator<Item = (&'a Namespace, &'a Key, Kept)>,
) -> (Vec<u8>, IndexFile) {
    let mut bytes = MAGIC.to_vec();
    bytes.extend_from_slice(&layout::FORMAT.to_le_bytes());
    let header_crc = crc32c::crc32c(&bytes);
    bytes.extend_from_slice(&header_crc.to_le_bytes());
    let mut payload = (0, Vec::new());
    rows.for_each(|(ns, key, kept)| put_row(&mut payload, ns, key, Some(kept)));
    let previous = block(&mut bytes, BASE, header_crc, mark, names, &payload);
    let len = bytes.len();
    (bytes, IndexFile { names, base_len: len, len, previous })
}

/// How many rows, and their bytes.
pub(crate) fn change_rows(rows: &[(Name, Row)]) -> (u64, Vec<u8>) {
    let mut payload = (0, Vec::new());
    rows.iter().for_each(|((ns, key), row)| put_row(&mut payload, ns, key, *row));
    payload
}

fn put_row((count, out): &mut (u64, Vec<u8>), ns: &Namespace, key: &Key, row: Row) {
    *count += 1;
    out.push(u8::from(row.is_some()));
    put_name(out, ns, key);
    if let Some(Kept { created, modified, stamp }) = row {
        for number in [created, modified, stamp.size] {
            out.extend_from_slice(&number.to_le_bytes());
        }
        out.extend_from_slice(&stamp.crc.to_le_bytes());
    }
}

/// As [`change_rows`].
pub(crate) fn folder_rows(folders: &Folders) -> (u64, Vec<u8>) {
    let mut out = Vec::new();
    for (ns, modified) in folders {
        put_namespace(&mut out, ns);
        out.extend_from_slice(&modified.to_le_bytes());
    }
    (folders.len() as u64, out)
}

/// Appends a block and answers its checksum.
pub(crate) fn block(
    out: &mut Vec<u8>,
    kind: u32,
    previous: u32,
    mark: Mark,
    names: Names,
    (count, payload): &(u64, Vec<u8>),
) -> u32 {
    let mut head = Vec::with_capacity(BLOCK_HEADER);
    head.extend_from_slice(&kind.to_le_bytes());
    head.extend_from_slice(&previous.to_le_bytes());
    for number in [payload.len() as u64, *count, mark.applied, mark.next_creation, mark.log_from] {
        head.extend_from_slice(&number.to_le_bytes());
    }
    let flags = if names == Names::Encoded { ENCODED_NAMES } else { 0 };
    head.extend_from_slice(&flags.to_le_bytes());
    let crc = crc32c::crc32c_append(crc32c::crc32c(&head), payload);
    out.extend_from_slice(&head);
    out.extend_from_slice(&crc.to_le_bytes());
    out.extend_from_slice(payload);
    crc
}

pub(crate) fn decode(bytes: &[u8]) -> Result<Loaded> {
    let mut reader = Reader(bytes);
    let header = (reader.array::<8>(), reader.u32(), reader.u32());
    let (Some(magic), Some(version), Some(header_crc)) = header else {
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
    loaded.file.previous = header_crc;
    let mut offset = HEADER;
    while offset < bytes.len() {
        let rest = bytes.get(offset..).unwrap_or_default();
        let is_base = offset == HEADER;
        let Some(len) = decode_block(rest, is_base, &mut loaded) else {
            if is_base || has_block_after(rest) {
                return Err(fault::corrupt("the index is damaged"));
            }
            loaded.cut = true;
            loaded.folders = None;
            break;
        };
        offset += len;
        if is_base {
            loaded.file.base_len = offset;
        }
        loaded.file.len = offset;
    }
    if offset == HEADER {
        return Err(fault::corrupt("the index is too short"));
    }
    Ok(loaded)
}

struct BlockHead {
    kind: u32,
    previous: u32,
    payload_len: usize,
    count: u64,
    mark: Mark,
    flags: u32,
    crc: u32,
}

fn block_head(reader: &mut Reader<'_>) -> Option<BlockHead> {
    let (kind, previous) = (reader.u32()?, reader.u32()?);
    let (payload_len, count) = (usize::try_from(reader.u64()?).ok()?, reader.u64()?);
    let mark = Mark {
        applied: reader.number()?,
        next_creation: reader.number()?,
        log_from: reader.number()?,
    };
    let (flags, crc) = (reader.u32()?, reader.u32()?);
    Some(BlockHead { kind, previous, payload_len, count, mark, flags, crc })
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

/// Takes the block at the front into what was read so far; answers its length.
fn decode_block(bytes: &[u8], is_base: bool, loaded: &mut Loaded) -> Option<usize> {
    let (head, payload) = checked_block(bytes)?;
    if head.previous != loaded.file.previous || is_base != (head.kind == BASE) {
        return None;
    }
    match head.kind {
        BASE => decode_rows(payload, head.count, |ns, key, row| loaded.rows.set(ns, key, row))?,
        CHANGES => {
            // All or nothing.
            let mut changes = Vec::new();
            decode_rows(payload, head.count, |ns, key, row| changes.push((ns.clone(), key, row)))?;
            for (ns, key, row) in changes {
                loaded.rows.set(&ns, key, row);
            }
            loaded.folders = None;
        }
        FOLDERS => loaded.folders = Some(decode_folders(payload, head.count)?),
        _ => return None,
    }
    if is_base && head.flags & ENCODED_NAMES != 0 {
        loaded.file.names = Names::Encoded;
    }
    loaded.mark = head.mark;
    loaded.file.previous = head.crc;
    Some(BLOCK_HEADER + payload.len())
}

fn decode_rows(
    payload: &[u8],
    count: u64,
    mut take: impl FnMut(&Namespace, Key, Row),
) -> Option<()> {
    let mut reader = Reader(payload);
    let mut last = Namespace::new("", "").ok()?;
    for _ in 0..count {
        let present = reader.u8()?;
        // Most rows are of the namespace of the row before.
        if !reader.skip_namespace(&last) {
            last = reader.namespace()?;
        }
        let key = reader.key()?;
        let row = match present {
            0 => None,
            _ => {
                let (created, modified) = (reader.number()?, reader.number()?);
                let size = reader.u64()?;
                let stamp = Stamp { size, crc: reader.u32()? };
                Some(Kept { created, modified, stamp })
            }
        };
        take(&last, key, row);
    }
    Some(())
}

fn decode_folders(payload: &[u8], count: u64) -> Option<Folders> {
    let mut reader = Reader(payload);
    (0..count).map(|_| Some((reader.namespace()?, reader.u64()?))).collect()
}

/// Whether a good block lies anywhere behind a bad one: then the bad one was durable once.
fn has_block_after(bytes: &[u8]) -> bool {
    let kinds = [CHANGES.to_le_bytes(), FOLDERS.to_le_bytes()];
    (1..bytes.len()).filter_map(|at| bytes.get(at..)).any(|rest| {
        kinds.iter().any(|kind| rest.starts_with(kind)) && checked_block(rest).is_some()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(key: &str) -> Name {
        (Namespace::new("Monitors", "").unwrap(), Key::new(key).unwrap())
    }

    fn base() -> (Vec<u8>, IndexFile) {
        let (a, b) = (name("a"), name("b"));
        let rows = [(&a, kept(1, 1_000, 5, 6)), (&b, kept(2, 1_001, 7, 8))];
        let mark = Mark { applied: 9, next_creation: 3, log_from: 1 };
        encode(mark, Names::Encoded, rows.iter().map(|(name, row)| (&name.0, &name.1, *row)))
    }

    fn kept(created: u64, modified: u64, size: u64, crc: u32) -> Kept {
        Kept { created, modified, stamp: Stamp { size, crc } }
    }

    /// A base, a block of changes and a note of the folders, with the places where they end.
    fn three_blocks() -> (Vec<u8>, [usize; 2]) {
        let (mut bytes, file) = base();
        let base_len = bytes.len();
        let rows = change_rows(&[(name("a"), None), (name("c"), Some(kept(3, 1_002, 1, 2)))]);
        let mark = Mark { applied: 12, next_creation: 4, log_from: 2 };
        let previous = block(&mut bytes, CHANGES, file.previous, mark, Names::Plain, &rows);
        let changes_len = bytes.len();
        let rows = folder_rows(&folders());
        block(&mut bytes, FOLDERS, previous, mark, Names::Plain, &rows);
        (bytes, [base_len, changes_len])
    }

    fn folders() -> Folders {
        Folders::from([(Namespace::new("Monitors", "").unwrap(), 5_000_000_000)])
    }

    #[test]
    fn golden_index_bytes() {
        let (bytes, _) = three_blocks();
        assert_eq!(bytes, include_bytes!("../tests/golden/v1/index.bin"));
        let loaded = decode(&bytes).unwrap();
        assert_eq!(loaded.mark, Mark { applied: 12, next_creation: 4, log_from: 2 });
        let rows: Vec<_> =
            loaded.rows.iter().map(|(ns, key, row)| ((ns.clone(), key.clone()), row)).collect();
        let expected = [(name("b"), kept(2, 1_001, 7, 8)), (name("c"), kept(3, 1_002, 1, 2))];
        assert_eq!(rows, expected);
        assert_eq!((loaded.folders, loaded.file.names), (Some(folders()), Names::Encoded));
        assert!(!loaded.cut);
    }

    #[test]
    fn damage_in_the_last_block_leaves_it_out_and_anywhere_else_is_an_error() {
        let (good, [base, changes]) = three_blocks();
        for (at, bit) in (0..good.len()).flat_map(|at| (0..8).map(move |bit| (at, bit))) {
            let mut damaged = good.clone();
            damaged[at] ^= 1 << bit;
            match decode(&damaged) {
                Ok(loaded) => {
                    assert!(at >= changes && loaded.cut && loaded.folders.is_none(), "{at}");
                    assert_eq!(loaded.mark.applied, 12);
                }
                Err(error) => {
                    assert!(at < changes, "{at}");
                    assert!(matches!(error, kv_core::Error::Corrupt { .. }), "{at}");
                }
            }
        }
        // With the changes as the last block it is they that are left out.
        for at in base..changes {
            let mut damaged = good[..changes].to_vec();
            damaged[at] ^= 4;
            let loaded = decode(&damaged).unwrap();
            assert!(loaded.cut && loaded.mark.applied == 9, "{at}");
        }
    }

    #[test]
    fn changes_after_a_clean_close_void_its_note() {
        let (mut bytes, _) = three_blocks();
        let previous = decode(&bytes).unwrap().file.previous;
        block(&mut bytes, CHANGES, previous, Mark::default(), Names::Plain, &change_rows(&[]));
        assert_eq!(decode(&bytes).unwrap().folders, None);
    }

    #[test]
    fn a_newer_version_is_told_apart_from_damage() {
        let (mut bytes, _) = three_blocks();
        bytes[8] = 2;
        assert!(matches!(decode(&bytes), Err(kv_core::Error::Corrupt { .. })));
        let crc = crc32c::crc32c(&bytes[..12]);
        bytes[12..16].copy_from_slice(&crc.to_le_bytes());
        assert!(matches!(decode(&bytes), Err(kv_core::Error::TooNew { found: 2, newest: 1, .. })));
    }
}
