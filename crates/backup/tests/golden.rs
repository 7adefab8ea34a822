//! Formats to the byte: what was written once must be read, and be written again the same.
//!
//! Each file is checked against the format pages by `common::by_hand`, which shares no code with
//! the crate. `STRONGROOM_WRITE_GOLDEN=1` writes files that are missing, and never replaces one.

#![expect(clippy::unwrap_used, reason = "helpers of tests panic")]

mod common;

use std::{path::PathBuf, sync::Arc};

use backup::{
    Body, Class, Content, Deposed, DumpIndex, DumpPart, Entry, EntryDigest, EntryName, Error,
    Fence, Gate, Head, History, KeptDump, Link, ObjectHash, ObjectId, ObjectName, ObjectRef,
    Position, Put, SegmentBody, Stamp, StoreCount, Suspicion, WriterId, fence_name,
};
use common::{by_hand, clock, key, keys_of, ns, own, recorder_with, sealer};
use kv_core::{Batch, Key, KvStore, KvStoreExt, Namespace, Timestamp};
use kv_mem::MemStore;

const WRITER: WriterId = WriterId::from_bytes([0x11; 16]);
const OTHER: WriterId = WriterId::from_bytes([0x22; 16]);

fn golden(name: &str, make: impl FnOnce() -> Vec<u8>) -> Vec<u8> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden/v1").join(name);
    if !path.exists() && std::env::var_os("STRONGROOM_WRITE_GOLDEN").is_some() {
        std::fs::write(&path, make()).unwrap();
    }
    std::fs::read(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

fn id(class: Class, writer: WriterId, from: u64, to: u64, part: u32) -> ObjectId {
    ObjectId { class, writer, epoch: 0, from, to, part }
}

fn object(class: Class, writer: WriterId, from: u64, to: u64, part: u32) -> ObjectRef {
    ObjectRef {
        id: id(class, writer, from, to, part),
        hash: ObjectHash::of(&[part as u8, from as u8]),
    }
}

fn link() -> Link {
    let part = |part| object(Class::Segment, WRITER, 6, 8, part);
    Link { parts: vec![part(0), part(1)], previous: ObjectHash::of(b"before") }
}

fn stamp() -> Stamp {
    Stamp { time: 0x0102_0304_0506, counter: 7, writer: OTHER }
}

fn entry(primary: &str, secondary: &str, name: &str, content: Content) -> Entry {
    let ns = Namespace::any(primary, secondary).unwrap();
    Entry { name: EntryName::new(&ns, &key(name)), content }
}

/// A frame as the page says: version, time, counter, writer, bytes.
fn framed(bytes: &[u8]) -> Vec<u8> {
    let stamp = stamp();
    let (time, counter) = (stamp.time.to_le_bytes(), stamp.counter.to_le_bytes());
    [&[1], &time[..], &counter, stamp.writer.as_bytes(), bytes].concat()
}

fn segment() -> (ObjectId, ObjectHash, SegmentBody) {
    let piece =
        |offset: u64, bytes: &[u8]| Content::Piece { offset, total: 5, bytes: bytes.into() };
    let body = SegmentBody {
        parts: 2,
        previous: Some(link()),
        time: (1_700_000_000_000, 1_700_000_000_001),
        mergeable: vec![
            entry("m", "", "gone", Content::Removed(Some(stamp()))),
            entry("m", "sub", "kept", Content::Value(framed(b"value"))),
        ],
        single_writer: vec![
            entry("", "", "gone", Content::Removed(None)),
            entry("s", "", "empty", Content::Value(Vec::new())),
            entry("s", "", "large", piece(0, b"abc")),
            entry("s", "", "large", piece(3, b"de")),
        ],
        extensions: vec![(7, b"later".to_vec())],
    };
    (id(Class::Segment, WRITER, 9, 12, 1), link().hash(), body)
}

fn dump_part() -> (ObjectId, ObjectHash, DumpPart) {
    let entries = vec![
        entry("m", "", "gone", Content::Removed(Some(stamp()))),
        entry("m", "", "kept", Content::Value(framed(b"value"))),
        entry("s", "", "k", Content::Value(b"single".to_vec())),
    ];
    (id(Class::DumpPart, WRITER, 5, 5, 3), ObjectHash::NONE, DumpPart { entries })
}

fn dump_index() -> (ObjectId, ObjectHash, DumpIndex) {
    let mut digest = EntryDigest::new(&sealer()).unwrap();
    dump_part().2.entries.iter().for_each(|entry| digest.add(entry));
    let (digest, entries, bytes) = digest.finish();
    let index = DumpIndex {
        parts: vec![object(Class::DumpPart, WRITER, 5, 5, 0)],
        newest: Some(link()),
        time: (1_700_000_000_000, 1_700_000_000_001),
        entries,
        bytes,
        digest,
        base: Some(object(Class::DumpIndex, WRITER, 1, 2, 0)),
        sealed_bytes: 400,
        stores: vec![
            StoreCount { primary: "m".into(), secondary: String::new(), entries: 1, bytes: 34 },
            StoreCount { primary: "s".into(), secondary: String::new(), entries: 1, bytes: 6 },
        ],
        older: vec![kept()],
        extensions: Vec::new(),
    };
    (id(Class::DumpIndex, WRITER, 5, 6, 0), ObjectHash::NONE, index)
}

fn kept() -> KeptDump {
    KeptDump {
        index: object(Class::DumpIndex, WRITER, 3, 3, 0),
        base: Some(object(Class::DumpIndex, WRITER, 1, 2, 0)),
        time: 1_600_000_000_000,
        sealed_bytes: 300,
    }
}

fn head() -> (ObjectId, ObjectHash, Head) {
    let head = Head {
        time: 1_700_000_000_002,
        sequence: 8,
        dump: object(Class::DumpIndex, WRITER, 5, 6, 0),
        newest: Some(link()),
        previous: Some(object(Class::Head, WRITER, 3, 3, 0)),
        seen: vec![object(Class::Head, OTHER, 1, 1, 0)],
        extensions: vec![(1, Vec::new())],
    };
    (id(Class::Head, WRITER, 4, 4, 0), ObjectHash::NONE, head)
}

/// One class: the plaintext is written to the byte, the stored object opens, its name is as it was.
fn check<T: Body + PartialEq + std::fmt::Debug>(
    name: &str,
    (id, previous, body): (ObjectId, ObjectHash, T),
) {
    let keys = keys_of(7);
    let plain = golden(&format!("{name}.bin"), || by_hand::encode(&body));
    let (object, sealed) = sealer().seal(id, previous, &body).unwrap();
    assert_eq!(by_hand::plaintext(&keys, &id, previous, sealed.bytes()), plain, "{name}: written");
    assert_eq!(*sealed.name(), object.name(&sealer().tag()));

    let stored = golden(&format!("{name}.sealed"), || sealed.bytes().to_vec());
    assert_eq!(by_hand::plaintext(&keys, &id, previous, &stored), plain, "{name}: by hand");
    let object = ObjectRef { id, hash: ObjectHash::of(&stored) };
    let opened: T = sealer().open(&object, previous, &stored.into()).unwrap();
    assert_eq!(opened, body, "{name}: read");

    let text = golden(&format!("{name}.name"), || {
        format!("{}\n", object.name(&sealer().tag())).into_bytes()
    });
    let text = ObjectName::new(String::from_utf8(text).unwrap().trim_end()).unwrap();
    assert_eq!(object.name(&sealer().tag()), text);
    assert_eq!(ObjectRef::parse(&sealer().tag(), &text), Ok(object));
}

#[test]
fn segment_v1() {
    check("segment", segment());
}

#[test]
fn dump_part_v1() {
    check("dump-part", dump_part());
}

#[test]
fn dump_index_v1() {
    check("dump-index", dump_index());
}

#[test]
fn head_v1() {
    check("head", head());
}

fn position() -> Position {
    let head = object(Class::Head, WRITER, 8, 8, 0);
    Position { writer: WRITER, sequence: 8, segment: link().hash(), head }
}

#[test]
fn fence_v1() {
    let fence = Fence {
        epoch: 3,
        writer: OTHER,
        put: [0x33; 16],
        session: [0x44; 16],
        time: 1_700_000_000_003,
        clouds: 2,
        acknowledged_by: 1,
        at: Some(position()),
        deposed: vec![Deposed { writer: WRITER, epoch: 2, sequence: 8 }],
        extensions: vec![(9, b"later".to_vec())],
    };
    let keys = keys_of(7);
    let plain = golden("fence.bin", || by_hand::encode(&fence));
    let sealed = sealer().seal_fence(&fence).unwrap();
    assert_eq!(by_hand::fence_plaintext(&keys, sealed.bytes()), plain, "written");
    let stored = golden("fence.sealed", || sealed.bytes().to_vec());
    assert_eq!(by_hand::fence_plaintext(&keys, &stored), plain, "by hand");
    assert_eq!(sealer().open_fence(&stored.into()).unwrap(), fence);
    let name = golden("fence.name", || format!("{}\n", sealed.name()).into_bytes());
    assert_eq!(String::from_utf8(name).unwrap().trim_end(), sealed.name().as_str());
    assert_eq!(*sealed.name(), fence_name(&sealer().tag()));
}

#[test]
fn fence_state_v1() {
    // The fields in the order of the page.
    let state = golden("fence-state.bin", || {
        let gate = (2u32, 4u32, OTHER);
        let deposed = vec![(WRITER, 2u32, 8u64)];
        let rest = (deposed, vec![[0x44u8; 16]], Vec::<(u32, Vec<u8>)>::new());
        by_hand::encode(&(1u32, gate, 3u32, Some(position()), Some(position()), rest))
    });
    let store = Arc::new(MemStore::new());
    store.write(&own("state"), &Key::number(2), state.as_slice()).unwrap();
    let recorder = recorder_with(store.clone(), clock(), 0);
    let read = recorder.fence_state();
    assert_eq!(read.gate, Gate::Fenced { epoch: 4, writer: OTHER });
    assert_eq!((read.epoch, read.base, read.acknowledged), (3, Some(position()), Some(position())));
    recorder.set_fence_state(read).unwrap();
    let written = store.read_required(&own("state"), &Key::number(2)).unwrap();
    assert_eq!(written.as_ref(), state, "it is written as it was read");
}

#[test]
fn history_v1() {
    let head = object(Class::Head, WRITER, 8, 8, 0);
    // The fields in the order of the page.
    let history = golden("history.bin", || {
        let cloud = "dir:/cloud";
        let conditions = (true, false, 9u64);
        let marks = (cloud, vec![(head, 5u64, 6u64)], Some((3u32, true, 8u64)), Some(conditions));
        let rolled_back = (0u32, WRITER, 8u64, Some(7u64));
        let frozen = (3u32, OTHER, 5u64);
        let first = (cloud, rolled_back, 10u64, 11u64, true);
        let second = (cloud, frozen, 12u64, 13u64, false);
        let rest = Vec::<(u32, Vec<u8>)>::new();
        // A list of two things that differ: its length, then each.
        by_hand::encode(&(1u32, vec![marks], 2u64, first, second, rest))
    });
    let store = Arc::new(MemStore::new());
    store.write(&own("state"), &Key::number(4), history.as_slice()).unwrap();
    let recorder = recorder_with(store.clone(), clock(), 0);
    let read = recorder.history().unwrap();
    let what: Vec<Suspicion> = read.findings.iter().map(|finding| finding.what).collect();
    assert_eq!(
        what,
        [
            Suspicion::RolledBack { writer: WRITER, had: 8, has: Some(7) },
            Suspicion::Frozen { writer: OTHER, newest: 5 }
        ]
    );
    assert_eq!(read.mark("dir:/cloud", WRITER).unwrap().head, head);
    assert!(read.conditions("dir:/cloud").is_some_and(|c| c.creates_once));
    recorder.set_history(&read).unwrap();
    recorder.flush().unwrap();
    let written = store.read_required(&own("state"), &Key::number(4)).unwrap();
    assert_eq!(written.as_ref(), history, "it is written as it was read");
}

#[test]
fn puts_of_sessions_v1() {
    // The extension of the marks: of each cloud what was put, and the sessions that did so.
    let puts = golden("history-puts.bin", || {
        let of_heads = ("dir:/cloud", 0u32, vec![[0x44u8; 16], [0x55; 16]]);
        by_hand::encode(&vec![of_heads, ("dir:/cloud", 1, vec![[0x44; 16]])])
    });
    let mut history = History::default();
    for (what, session) in
        [(Put::Head, [0x44; 16]), (Put::Head, [0x55; 16]), (Put::Fence, [0x44; 16])]
    {
        history.note_put("dir:/cloud", what, session);
    }
    assert_eq!(history.extensions, [(1, puts.clone())]);
    let mut read = History::default();
    read.extensions = vec![(1, puts)];
    assert_eq!(read.sessions_that_put(), [[0x44; 16], [0x55; 16], [0x44; 16]]);
    read.extensions = vec![(1, vec![9])];
    assert!(read.sessions_that_put().is_empty());
}

#[test]
fn an_object_of_version_2_is_too_new() {
    let (id, previous, body) = head();
    let newer = golden("head-too-new.sealed", || {
        let (_, sealed) = sealer().seal(id, previous, &body).unwrap();
        let mut bytes = sealed.bytes().to_vec();
        bytes[4] = 2;
        let crc = crc32c::crc32c(&bytes[..62]);
        bytes[62..66].copy_from_slice(&crc.to_le_bytes());
        bytes
    });
    let object = ObjectRef { id, hash: ObjectHash::of(&newer) };
    let opened = sealer().open::<Head>(&object, previous, &newer.into());
    assert!(matches!(opened, Err(Error::TooNew { .. })), "{opened:?}");
}

#[test]
fn state_log_entry_tombstones_and_frame_v1() {
    // The fields in the order of the page; no type of the crate holds them all.
    let state = golden("state.bin", || {
        let first = (1u32, WRITER, 41u64, (stamp().time, stamp().counter), Some(link()));
        let dump = Some(object(Class::DumpIndex, WRITER, 5, 6, 0));
        let head = Some(object(Class::Head, WRITER, 4, 4, 0));
        let rest = (Some(1_700_000_000_000u64), 1000u64, (200u64, 3u64));
        let seen = vec![object(Class::Head, OTHER, 1, 1, 0)];
        let dumps = (None::<KeptDump>, vec![kept()], vec![(1_650_000_000_000u64, kept().index)]);
        by_hand::encode(&(first, dump, head, rest, seen, dumps, Some((7u64, 8u64, 9u64))))
    });
    let store = Arc::new(MemStore::new());
    store.write(&own("state"), &Key::number(0), state.as_slice()).unwrap();
    let time = clock();
    time.set(Timestamp(1_700_000_000_000));
    let recorder = recorder_with(store.clone(), time, 0);
    let read = recorder.state();
    assert_eq!((read.writer, read.backed_up, read.newest.as_ref()), (WRITER, 41, Some(&link())));
    assert_eq!((&read.dumps.kept, read.dumps.sweeps.len()), (&vec![kept()], 1));
    assert_eq!((read.dump_bytes, read.segments_since_dump), (1000, (200, 3)));
    recorder.acknowledge(read).unwrap();
    let written = store.read_required(&own("state"), &Key::number(0)).unwrap();
    // Where the log was dropped, no dump counts.
    let (before, behind) = dump_in_state();
    let without = [&state[..before], &[0], &state[behind..]].concat();
    assert_eq!(written.as_ref(), without, "the state is written as it was read");

    // A dump lets changes be noted again.
    let mut state = recorder.state();
    recorder.dump().unwrap();
    state.dump = Some(object(Class::DumpIndex, WRITER, 41, 41, 0));
    recorder.acknowledge(state).unwrap();
    let batch = Batch::new()
        .put(&ns("s"), &key("single"), b"four")
        .put(&Namespace::new("m", "sub").unwrap(), &key("merges"), b"value")
        .put(&ns("local"), &key("stays"), b"here")
        .remove(&ns("m"), &key("gone"));
    recorder.submit(batch).wait().unwrap();
    let sub = Namespace::new("m", "sub").unwrap();
    for (name, ns, key) in [
        ("log-entry.bin", own("log"), Key::number(0)),
        ("tombstones.bin", own("tombstones"), Key::number(42)),
        ("frame.bin", sub.clone(), key("merges")),
    ] {
        let written = store.read_required(&ns, &key).unwrap();
        assert_eq!(written.as_ref(), golden(name, || by_the_page(name)), "{name}");
    }
}

/// Where the reference to the dump lies in the golden state, with the byte that says there is one.
fn dump_in_state() -> (usize, usize) {
    let before = 4 + 16 + 8 + 12 + 1 + by_hand::encode(&link()).len();
    (before, before + 1 + by_hand::encode(&object(Class::DumpIndex, WRITER, 5, 6, 0)).len())
}

#[test]
fn dirty_page_v1() {
    let store = Arc::new(MemStore::new());
    let time = clock();
    time.set(Timestamp(1_700_000_000_000));
    let recorder = recorder_with(store.clone(), time.clone(), 0);
    recorder.write(&ns("s"), &key("kept"), b"12").unwrap();
    recorder.remove(&ns("s"), &key("gone")).unwrap();
    time.advance(5);
    recorder.remove(&ns("m"), &key("gone")).unwrap();
    // Acknowledged in the middle, so that the rest goes into a page.
    let mut state = recorder.state();
    state.backed_up = 1;
    recorder.acknowledge(state).unwrap();
    let written = store.read_required(&own("dirty"), &Key::number(1)).unwrap();
    let page = golden("dirty-page.bin", || {
        let times = by_hand::encode_small(&(1_700_000_000_000u64, 1_700_000_000_005u64));
        let merged = ("m", "", vec![("gone", 1u32)]);
        let single = ("s", "", vec![("gone", 1u32)]);
        [times, vec![2], by_hand::encode_small(&merged), by_hand::encode_small(&single)].concat()
    });
    assert_eq!(written.as_ref(), page);
}

/// The same bytes, field by field as the pages list them.
fn by_the_page(name: &str) -> Vec<u8> {
    let time = 1_700_000_000_000u64;
    // The stamp that had been seen is older than the clock, so the counter begins at 0.
    let stamp = (time, 0u32, WRITER);
    let gone = EntryName::new(&ns("m"), &key("gone"));
    match name {
        "log-entry.bin" => {
            let merges = EntryName::new(&Namespace::new("m", "sub").unwrap(), &key("merges"));
            let single = EntryName::new(&ns("s"), &key("single"));
            let head = (1u64, 0u64, 42u64, time, (time, 0u32));
            let gone = (gone, 1u32);
            let (merges, single) = ((merges, 0u32, 29u64 + 5), (single, 0u32, 4u64));
            let small = by_hand::encode_small(&(head, 3u8));
            [small, by_hand::encode_small(&(gone, merges, single))].concat()
        }
        "tombstones.bin" => by_hand::encode(&vec![(stamp, vec![gone])]),
        _ => [&[1], &by_hand::encode(&stamp)[..], b"value"].concat(),
    }
}
