//! What the fuzzers call: every reader meets arbitrary bytes, also with checksums that agree. None
//! may panic, and what a reader accepts must write back to the same bytes.

use crate::{
    FsStore, Settings,
    batch_bytes::{self, RawChange},
    bytes::Reader,
    disk::SimDisk,
    frame::{self, Kind, Parts, Salt},
    index::{Mark, Names},
    index_bytes, layout,
    segment::{Header, Parsed, Start},
};

use kv_core::{KvStore, KvStoreExt};

/// The decoders of frames, segment headers, batches and the index.
///
/// # Panics
/// If one of them breaks its promise.
pub fn frame(data: &[u8]) {
    let mut reader = Reader(data);
    let salt: Salt = reader.array().unwrap_or_default();
    let rest = reader.0;
    frame::resembles(rest, &salt, 7, Some(9));
    if let Some(found) = frame::decode(rest, &salt) {
        let frame::Frame { kind, sequence, durable_to, previous, payload, .. } = found;
        let mut again = Vec::new();
        frame::encode(&mut again, &salt, Parts { kind, sequence, durable_to, previous, payload });
        // A reader ignores the value of what must be zero.
        assert_eq!(again.len(), found.len, "a frame changes its length");
        if again.get(..32) != rest.get(..32) {
            panic!("a frame does not write back");
        }
    }
    if let Some((first, changes)) = batch_bytes::decode(data) {
        let mut again = Vec::new();
        batch_bytes::encode_raw(&mut again, first, &changes);
        assert_eq!(again, data, "a batch does not write back");
        let named = |change: &RawChange<'_>| {
            let (ns, key) = change.named()?;
            Some((ns, key, change.effect()))
        };
        let named: Option<Vec<_>> = changes.iter().map(named).collect();
        if let Some(named) = named {
            let mut again = batch_bytes::encode(&named);
            batch_bytes::set_first_creation(&mut again, first);
            assert_eq!(again, data, "a batch of names does not write back");
        }
    }
    Header::parse(data);
    index_bytes::decode(data).ok();
}

/// Opening a folder whose files are made of these bytes.
///
/// # Panics
/// If the store does.
pub fn open(data: &[u8]) {
    let disk = SimDisk::new();
    let mut reader = Reader(data);
    let mut files = 0;
    while let Some(kind) = reader.u8().filter(|_| files < 12) {
        files += 1;
        let number = match reader.u8() {
            Some(255) => u64::MAX,
            Some(254) => u64::MAX >> 1,
            number => u64::from(number.unwrap_or(1) % 4),
        };
        let len = usize::from(reader.u8().unwrap_or(0)) * 4;
        let content = reader.take(len.min(reader.0.len())).unwrap_or_default();
        let (path, bytes) = match kind % 10 {
            0 => (layout::INDEX.to_owned(), content.to_vec()),
            1 | 2 => (layout::INDEX.to_owned(), index(content)),
            3 => (layout::log(number), content.to_vec()),
            4..=6 => (layout::log(number), log(number, content)),
            7 => (layout::big(number), content.to_vec()),
            8 => (layout::spare(number), content.to_vec()),
            _ => ("a/[empty]/key".to_owned(), content.to_vec()),
        };
        disk.overwrite(&path, &bytes);
    }
    let settings = Settings { segment_size: 4096, ..Settings::default() };
    // Twice, as the first opening changes the folder.
    for _ in 0..2 {
        let Ok(store) = FsStore::open_alone(disk.mount(), settings.clone()) else { continue };
        use_it(&store);
        store.close().ok();
    }
}

fn use_it(store: &FsStore) {
    for ns in store.namespaces().unwrap_or_default() {
        for key in store.list_all(&ns).unwrap_or_default() {
            store.read(&ns, &key).ok();
        }
        let order = store.capabilities().creation_order;
        order.map(|order| order.list_newest_first(&ns, None, 10).ok());
        if let Ok(key) = kv_core::Key::new("new") {
            store.write(&ns, &key, b"value").ok();
        }
    }
    store.capabilities().verify.map(|verify| verify.verify(&mut |_| ()).ok());
    store.capabilities().footprint.map(|footprint| footprint.footprint().ok());
}

/// An index with good checksums, and rows of these bytes.
fn index(content: &[u8]) -> Vec<u8> {
    let mut reader = Reader(content);
    let mut number = || reader.u8().map_or(1, odd_number);
    let mark = Mark { applied: number(), next_creation: number(), log_from: number() };
    let (mut bytes, file) = index_bytes::encode(mark, Names::Plain, std::iter::empty());
    let kind = 2 + u32::from(reader.u8().unwrap_or(0) % 2);
    let count = u64::from(reader.u8().unwrap_or(0));
    let payload = (count, reader.0.to_vec());
    index_bytes::block(&mut bytes, kind, file.previous, mark, Names::Plain, &payload);
    bytes
}

/// A segment with good checksums, and frames of these bytes.
fn log(number: u64, content: &[u8]) -> Vec<u8> {
    let mut reader = Reader(content);
    let salt = [reader.u8().unwrap_or(0); 16];
    let start = match reader.u8() {
        Some(until) if until % 2 == 0 => {
            let base = odd_number(reader.u8().unwrap_or(0));
            Some(Start { base, until: odd_number(until) })
        }
        _ => None,
    };
    let (header, parsed) = Header::encode(number, salt, start);
    debug_assert!(matches!(Header::parse(&header), Parsed::Good(_) | Parsed::Damaged));
    let mut bytes = header.to_vec();
    let mut previous = parsed.crc;
    let mut sequence = start.map_or(0, |start| start.base);
    while let Some(what) = reader.u8() {
        let kind = match what % 4 {
            0 => Kind::Link,
            1 => Kind::Close,
            _ => Kind::Batch,
        };
        sequence = if what < 200 {
            sequence.wrapping_add(u64::from(kind == Kind::Batch))
        } else {
            odd_number(what)
        };
        let durable_to = odd_number(reader.u8().unwrap_or(0));
        let len = usize::from(reader.u8().unwrap_or(0));
        let payload = reader.take(len.min(reader.0.len())).unwrap_or_default();
        let parts = Parts { kind, sequence, durable_to, previous, payload };
        previous = frame::encode(&mut bytes, &salt, parts);
    }
    bytes
}

/// Small numbers, and some at the end of what there is.
fn odd_number(byte: u8) -> u64 {
    match byte {
        255 => u64::MAX,
        254 => u64::MAX - 1,
        253 => u64::MAX >> 2,
        252 => 1 << 62,
        byte => u64::from(byte % 8),
    }
}
