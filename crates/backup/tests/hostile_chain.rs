//! Objects that are authentic, each for itself, and do not hang together: never half a restore.

#![expect(clippy::unwrap_used, reason = "helpers of tests panic")]

mod common;

use std::sync::Arc;

use backup::{
    ChainWalk, Class, Content, DumpIndex, DumpPart, DumpWriter, Entry, EntryDigest, EntryName,
    Error, Head, Link, ObjectHash, ObjectId, ObjectRef, Recorder, Result, SegmentBody, WriterId,
};
use common::{
    budget, clock,
    cloud::{Cloud, restore},
    ns, numbered, rules, sealer,
};
use kv_mem::MemStore;

const WRITER: WriterId = WriterId::from_bytes([5; 16]);

fn id(class: Class, from: u64, to: u64, part: u32) -> ObjectId {
    ObjectId { class, writer: WRITER, epoch: 0, from, to, part }
}

fn value(n: u64) -> Entry {
    let content = Content::Value(n.to_le_bytes().into());
    Entry { name: EntryName::new(&ns("s"), &numbered(n)), content }
}

fn body(parts: u32, previous: Option<&Link>, n: u64) -> SegmentBody {
    SegmentBody {
        parts,
        previous: previous.cloned(),
        time: (1, 1),
        mergeable: Vec::new(),
        single_writer: vec![value(n)],
        extensions: Vec::new(),
    }
}

/// A cloud under construction.
#[derive(Default)]
struct Forge(Cloud);

impl Forge {
    fn put<T: backup::Body>(&mut self, id: ObjectId, previous: ObjectHash, body: &T) -> ObjectRef {
        let (object, sealed) = sealer().seal(id, previous, body).unwrap();
        self.0.put(&sealed);
        object
    }

    fn dump(&mut self, from: u64, to: u64, entries: Vec<Entry>) -> ObjectRef {
        let mut writer = DumpWriter::new(&sealer(), WRITER, from, 1).unwrap();
        let mut objects = writer.add(entries).unwrap();
        let (rest, index) = writer.finish(to, None, 2).unwrap();
        objects.extend(rest);
        objects.iter().for_each(|object| self.0.put(object));
        index
    }

    /// A segment of two parts.
    fn segment(&mut self, from: u64, to: u64, previous: Option<&Link>) -> Link {
        let hash = previous.map_or(ObjectHash::NONE, Link::hash);
        let parts = (0..2).map(|part| {
            let id = id(Class::Segment, from, to, part);
            self.put(id, hash, &body(2, previous, from * 10 + u64::from(part)))
        });
        Link { parts: parts.collect(), previous: hash }
    }

    fn head(&mut self, head: &Head) {
        self.put(id(Class::Head, 1, 1, 0), ObjectHash::NONE, head);
    }

    /// Restores; on an error nothing may be there that could be taken for a wallet.
    fn restore(&self) -> Result<()> {
        let store = Arc::new(MemStore::new());
        let restored = restore(&self.0, &sealer(), store.clone()).map(drop);
        let untouched = kv_core::KvStore::namespaces(&store).unwrap().is_empty();
        let opened = Recorder::open(store, rules(), clock(), budget(0));
        assert!(restored.is_ok() || untouched || opened.is_err(), "half a restore is no wallet");
        restored
    }
}

fn head(dump: ObjectRef, newest: Option<Link>) -> Head {
    let reached = newest.as_ref().map_or(0, |link| link.range().1);
    Head {
        time: 1,
        sequence: reached.max(dump.id.from),
        dump,
        newest,
        previous: None,
        seen: Vec::new(),
        extensions: Vec::new(),
    }
}

fn is_broken(restored: Result<()>) -> bool {
    matches!(restored, Err(Error::BrokenChain { .. }))
}

#[test]
fn a_good_chain_is_restored() {
    let mut forge = Forge::default();
    let old = forge.segment(1, 5, None);
    let dump = forge.dump(8, 9, vec![value(1), value(2)]);
    let first = forge.segment(6, 9, Some(&old));
    let second = forge.segment(10, 12, Some(&first));
    forge.head(&head(dump, Some(second)));
    forge.restore().unwrap();
}

#[test]
fn a_gap_between_two_segments_is_found() {
    for (first, second) in [((1, 4), (6, 9)), ((1, 6), (6, 9)), ((1, 9), (6, 9)), ((1, 2), (9, 9))]
    {
        let mut forge = Forge::default();
        let dump = forge.dump(0, 0, vec![value(1)]);
        let first = forge.segment(first.0, first.1, None);
        let second = forge.segment(second.0, second.1, Some(&first));
        forge.head(&head(dump, Some(second)));
        assert!(is_broken(forge.restore()));
    }
}

#[test]
fn a_gap_between_dump_and_segments_is_found() {
    // Also where a segment further back ends before the dump: it does not fill the gap.
    for with_older in [false, true] {
        let mut forge = Forge::default();
        let dump = forge.dump(10, 10, vec![value(1)]);
        let older = with_older.then(|| forge.segment(1, 10, None));
        let newest = forge.segment(13, 20, older.as_ref());
        forge.head(&head(dump, Some(newest)));
        assert!(is_broken(forge.restore()), "11 and 12 are nowhere");
    }
}

#[test]
fn a_dump_made_under_load_needs_its_segments() {
    let mut forge = Forge::default();
    let dump = forge.dump(3, 7, vec![value(1)]);
    forge.head(&head(dump, None));
    assert!(is_broken(forge.restore()));
    let mut forge = Forge::default();
    let dump = forge.dump(3, 7, vec![value(1)]);
    let segment = forge.segment(4, 6, None);
    forge.head(&head(dump, Some(segment)));
    assert!(is_broken(forge.restore()), "the segments end before the dump does");
    let mut forge = Forge::default();
    let dump = forge.dump(3, 7, vec![value(1)]);
    let segment = forge.segment(4, 7, None);
    forge.head(&head(dump, Some(segment.clone())));
    forge.restore().unwrap();
    for part in &segment.parts {
        let mut cloud = forge.0.clone();
        let name = part.name(&sealer().tag());
        cloud.0.remove(&name);
        let missing = Forge(cloud).restore();
        assert!(matches!(missing, Err(Error::Missing { name: n }) if n == name));
    }
}

#[test]
fn a_head_that_lies_about_its_restore_point_is_found() {
    for sequence in [0, 4, 6, u64::MAX] {
        let mut forge = Forge::default();
        let dump = forge.dump(0, 0, Vec::new());
        let segment = forge.segment(1, 5, None);
        forge.head(&Head { sequence, ..head(dump, Some(segment)) });
        assert!(is_broken(forge.restore()), "{sequence}");
    }
}

#[test]
fn a_head_must_name_a_dump() {
    let mut forge = Forge::default();
    let segment = forge.segment(1, 5, None);
    forge.head(&head(segment.parts[0], Some(segment)));
    assert!(is_broken(forge.restore()));
    let mut forge = Forge::default();
    let backwards = forge.dump(9, 3, Vec::new());
    forge.head(&head(backwards, None));
    assert!(is_broken(forge.restore()));
}

#[test]
fn parts_that_do_not_belong_together_are_found() {
    type Change = fn(&mut Vec<ObjectRef>);
    let changes: [(&str, Change); 7] = [
        ("missing first", |parts| *parts = parts.split_off(1)),
        ("missing last", |parts| parts.truncate(1)),
        ("none", |parts| parts.clear()),
        ("twice", |parts| parts[1] = parts[0]),
        ("once more", |parts| parts.push(parts[1])),
        ("swapped", |parts| parts.swap(0, 1)),
        ("of another range", |parts| parts[1].id.to += 1),
    ];
    for (what, change) in changes {
        let mut forge = Forge::default();
        let dump = forge.dump(0, 0, Vec::new());
        let mut link = forge.segment(1, 5, None);
        change(&mut link.parts);
        forge.head(&Head { sequence: 5, ..head(dump, Some(link)) });
        assert!(is_broken(forge.restore()), "{what}");
    }
}

#[test]
fn a_chain_has_one_writer() {
    let mut forge = Forge::default();
    let dump = forge.dump(0, 0, Vec::new());
    let other = ObjectId { writer: WriterId::from_bytes([6; 16]), ..id(Class::Segment, 1, 5, 0) };
    let part = forge.put(other, ObjectHash::NONE, &body(1, None, 1));
    let link = Link { parts: vec![part], previous: ObjectHash::NONE };
    forge.head(&head(dump, Some(link)));
    assert!(is_broken(forge.restore()));
}

#[test]
fn a_segment_that_names_another_predecessor_is_found() {
    let mut forge = Forge::default();
    let dump = forge.dump(0, 0, Vec::new());
    let first = forge.segment(1, 5, None);
    let rival = forge.segment(1, 5, None);
    assert_ne!(first.hash(), rival.hash());
    // It is opened with the hash of one and tells of the other.
    for told in [Some(&rival), None] {
        let previous = first.hash();
        let part = forge.put(id(Class::Segment, 6, 9, 0), previous, &body(1, told, 6));
        let link = Link { parts: vec![part], previous };
        let mut forge = Forge(forge.0.clone());
        forge.head(&head(dump, Some(link)));
        assert!(is_broken(forge.restore()));
    }
}

#[test]
fn a_walk_that_met_an_error_does_not_end_as_done() {
    let mut forge = Forge::default();
    let dump = forge.dump(0, 0, Vec::new());
    let link = forge.segment(1, 5, None);
    let mut walk = ChainWalk::new(&head(dump, Some(link.clone()))).unwrap();
    for bodies in [
        Vec::new(),
        vec![body(2, None, 1)],
        vec![body(2, None, 1), body(3, None, 1)],
        vec![body(2, None, 1), body(2, Some(&link), 1)],
        vec![body(2, None, 1), body(2, None, 1), body(2, None, 1)],
    ] {
        assert!(matches!(walk.opened(bodies), Err(Error::BrokenChain { .. })));
        assert_eq!(walk.next_link().unwrap(), Some(&link), "it still waits for the segment");
    }
    walk.opened(vec![body(2, None, 1), body(2, None, 2)]).unwrap();
    assert_eq!(walk.next_link().unwrap(), None);
    assert!(walk.opened(vec![body(2, None, 1), body(2, None, 2)]).is_err());
}

#[test]
fn an_index_that_does_not_add_up_is_found() {
    let mut forge = Forge::default();
    let part = |forge: &mut Forge, number, n| {
        let part = DumpPart { entries: vec![value(n)] };
        forge.put(id(Class::DumpPart, 4, 4, number), ObjectHash::NONE, &part)
    };
    let parts = [part(&mut forge, 0, 1), part(&mut forge, 1, 2)];
    let stranger = part(&mut forge, 1, 3);
    let segment = forge.segment(1, 4, None);
    let mut digest = EntryDigest::new(&sealer()).unwrap();
    digest.add(&value(1));
    digest.add(&value(2));
    let (digest, entries, bytes) = digest.finish();
    let good = DumpIndex {
        parts: parts.to_vec(),
        newest: None,
        time: (1, 2),
        entries,
        bytes,
        digest,
        base: None,
        sealed_bytes: 0,
        stores: Vec::new(),
        older: Vec::new(),
        extensions: Vec::new(),
    };
    let restore = |index: &DumpIndex| {
        let mut forge = Forge(forge.0.clone());
        let dump = forge.put(id(Class::DumpIndex, 4, 4, 0), ObjectHash::NONE, index);
        forge.head(&head(dump, None));
        forge.restore()
    };
    restore(&good).unwrap();
    for parts in [
        vec![parts[0]],
        Vec::new(),
        vec![parts[0], parts[0]],
        vec![parts[0], parts[1], parts[1]],
        vec![parts[0], stranger],
        vec![parts[0], parts[1], stranger],
    ] {
        assert!(is_broken(restore(&DumpIndex { parts, ..good.clone() })));
    }
    for index in [
        DumpIndex { entries: 3, ..good.clone() },
        DumpIndex { bytes: 0, ..good.clone() },
        DumpIndex { digest: [0; 32], ..good.clone() },
    ] {
        assert!(is_broken(restore(&index)));
    }
    let parts = vec![segment.parts[0]];
    let taken_for_a_part = restore(&DumpIndex { parts, ..good.clone() });
    assert!(matches!(taken_for_a_part, Err(Error::BrokenChain { .. } | Error::Damaged { .. })));
}
