//! Formats to the byte: what an installation keeps of the other writers and of a restore under way,
//! and what a head tells of them. As in `golden.rs`.

#![expect(clippy::unwrap_used, reason = "helpers of tests panic")]

mod common;

use std::{path::PathBuf, sync::Arc};

use backup::{Class, Head, ObjectHash, ObjectId, ObjectRef, Restorer, Retired, WriterId};
use common::{by_hand, clock, own, recorder_with, rules};
use kv_core::{Key, KvStore, KvStoreExt, Namespace};
use kv_mem::MemStore;

const US: WriterId = WriterId::from_bytes([0x11; 16]);
const OTHER: WriterId = WriterId::from_bytes([0x22; 16]);
const GONE: WriterId = WriterId::from_bytes([0x33; 16]);

fn golden(name: &str, make: impl FnOnce() -> Vec<u8>) -> Vec<u8> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden/v1").join(name);
    if !path.exists() && std::env::var_os("STRONGROOM_WRITE_GOLDEN").is_some() {
        std::fs::write(&path, make()).unwrap();
    }
    std::fs::read(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

fn object(class: Class, writer: WriterId, number: u64) -> ObjectRef {
    let id = ObjectId { class, writer, epoch: 0, from: number, to: number, part: 0 };
    ObjectRef { id, hash: ObjectHash::of(&number.to_le_bytes()) }
}

fn retired(writer: WriterId) -> Retired {
    Retired { writer, sequence: 8, since: 1_690_000_000_000 }
}

/// As the page lists the fields.
fn others(all: &[Retired]) -> Vec<u8> {
    let merged = vec![(object(Class::Head, OTHER, 5), 12u64, 1_700_000_000_000u64, 9u64)];
    let known = vec![(12u64, vec![(OTHER, (1_700_000_000_000u64, 3u32))])];
    by_hand::encode(&(1u32, merged, known, all, Some((US, 4u64)), Vec::<(u32, Vec<u8>)>::new()))
}

/// The extension of a head.
fn told() -> Vec<u8> {
    let known = vec![(OTHER, (1_700_000_000_000u64, 3u32))];
    by_hand::encode(&(known, vec![retired(GONE)], Some((US, 4u64))))
}

#[test]
fn others_v1() {
    let bytes = golden("others.bin", || others(&[retired(GONE)]));
    let extension = golden("head-others.bin", told);
    let store = Arc::new(MemStore::new());
    store.write(&own("state"), &Key::number(3), bytes.as_slice()).unwrap();
    // A store with a record of the others and without a state is none of ours, so it gets one.
    let state = std::fs::read(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/v1/state.bin"));
    store.write(&own("state"), &Key::number(0), state.unwrap()).unwrap();
    let recorder = recorder_with(store.clone(), clock(), 0);
    assert_eq!(recorder.retired(), [retired(GONE)]);
    assert_eq!(recorder.merged_to(OTHER), Some(object(Class::Head, OTHER, 5)));
    assert_eq!((recorder.seen_at(11), recorder.seen_at(12).len()), (Vec::new(), 1));
    assert_eq!(recorder.head_extensions(12), [(16, extension.clone())]);

    // A head that tells more is read, and what it tells is written as the page says.
    let head = |extensions| Head {
        time: 1,
        sequence: 1,
        dump: object(Class::DumpIndex, OTHER, 1),
        newest: None,
        previous: None,
        seen: Vec::new(),
        extensions,
    };
    assert_eq!(head(vec![(16, extension)]).retired(), [retired(GONE)]);
    let more = by_hand::encode(&(
        Vec::<(WriterId, (u64, u32))>::new(),
        vec![retired(WriterId::from_bytes([0x44; 16]))],
        None::<(WriterId, u64)>,
    ));
    assert!(recorder.adopt_retired(&head(vec![(16, more)])).unwrap());
    recorder.flush().unwrap();
    let written = store.read_required(&own("state"), &Key::number(3)).unwrap();
    assert_eq!(*written, others(&[retired(GONE), retired(WriterId::from_bytes([0x44; 16]))]));
}

/// The first six fields of a mark, as the page lists them.
type MarkFields = (Option<ObjectRef>, u64, (u64, u64), (u64, u64, u32));

fn mark(version: u32, (base, parts, sums, last): MarkFields) -> Vec<u8> {
    let digest = ([u8::from(parts > 0); 32], sums.0, sums.1);
    by_hand::encode(&(version, base, parts, digest, last.0, (last.1, last.2)))
}

#[test]
fn mark_of_a_restore_v2() {
    let base = object(Class::DumpIndex, OTHER, 7);
    let begin = |store: &Arc<MemStore>, to| {
        Restorer::begin(store.clone(), rules(), &base, (OTHER, to)).unwrap()
    };
    let to = |to: u64| by_hand::encode(&Some((OTHER, to)));
    let begun = golden("mark-2.bin", || {
        let fields = (Some(base), 2, (30, 400), (6, 1_700_000_000_000, 5));
        [mark(2, fields), to(9)].concat()
    });
    let store = Arc::new(MemStore::new());
    drop(begin(&store, 9));
    let written = store.read_required(&own("state"), &Key::number(1)).unwrap();
    let fresh = (Some(base), 0, (0, 0), (0, 0, 0));
    assert_eq!(*written, [mark(2, fresh), to(9)].concat(), "as a restore begins");

    store.write(&own("state"), &Key::number(1), begun.as_slice()).unwrap();
    let mut restorer = begin(&store, 9);
    assert_eq!(restorer.begin_base(&base).unwrap(), 2, "two parts are there");
    let sealer = common::sealer();
    assert_eq!(restorer.base_digest(&sealer).unwrap().finish(), ([1; 32], 30, 400));
    // What a later version has marked counts for nothing.
    let newer = [&3u32.to_le_bytes()[..], &begun[4..]].concat();
    store.write(&own("state"), &Key::number(1), newer).unwrap();
    assert_eq!(begin(&store, 9).begin_base(&base).unwrap(), 0);
}

/// It does not tell where it led: the restore begins again, over nothing.
#[test]
fn mark_of_a_restore_v1() {
    let base = object(Class::DumpIndex, OTHER, 7);
    let fields = (Some(base), 2, (30, 400), (6, 1_700_000_000_000, 5));
    let begun = golden("mark.bin", || mark(1, fields));
    let store = Arc::new(MemStore::new());
    store.write(&own("state"), &Key::number(1), begun.as_slice()).unwrap();
    let left = (Namespace::new("bulk", "").unwrap(), Key::number(1));
    store.write(&left.0, &left.1, "left").unwrap();
    let mut restorer = Restorer::begin(store.clone(), rules(), &base, (OTHER, 9)).unwrap();
    assert_eq!(restorer.begin_base(&base).unwrap(), 0);
    assert_eq!(store.read(&left.0, &left.1).unwrap(), None);
}

/// Keys that an earlier point does not have, or has older, would stay.
#[test]
fn a_restore_goes_on_only_where_it_led_no_further() {
    let base = object(Class::DumpIndex, OTHER, 7);
    let left = (Namespace::new("bulk", "").unwrap(), Key::number(1));
    for (writer, to, goes_on) in
        [(OTHER, 9, true), (OTHER, 10, true), (OTHER, 8, false), (US, 9, false)]
    {
        let store = Arc::new(MemStore::new());
        drop(Restorer::begin(store.clone(), rules(), &base, (OTHER, 9)).unwrap());
        store.write(&left.0, &left.1, "left").unwrap();
        drop(Restorer::begin(store.clone(), rules(), &base, (writer, to)).unwrap());
        assert_eq!(store.read(&left.0, &left.1).unwrap().is_some(), goes_on, "{writer} to {to}");
        // Where it leads now is what counts for the next one.
        drop(Restorer::begin(store.clone(), rules(), &base, (writer, to)).unwrap());
    }
}
