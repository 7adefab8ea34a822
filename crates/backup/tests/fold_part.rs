//! A part of a dump is folded where it lies: the same as its entries one by one, and as strict.

#![expect(clippy::unwrap_used, reason = "tests may panic")]

use backup::{
    Class, Content, DumpPart, DumpWriter, Entry, EntryDigest, EntryName, Error, ObjectHash,
    ObjectId, ObjectSealer, SealedPart, Spare, Stamp, WriterId,
};
use bytes::Bytes;
use vault::{Keys, RootSecret};

fn sealer() -> ObjectSealer {
    ObjectSealer::new(Keys::derive(&RootSecret::from_bytes([7; 32])))
}

fn id(class: Class) -> ObjectId {
    let writer = WriterId::from_bytes([3; 16]);
    ObjectId { class, writer, epoch: 0, from: 4, to: 4, part: 0 }
}

/// One of each kind.
fn entries() -> Vec<Entry> {
    let stamp = Stamp { time: 1, counter: 2, writer: WriterId::from_bytes([9; 16]) };
    let piece = |offset, len| Content::Piece { offset, total: 10, bytes: vec![5; len] };
    let contents = [
        Content::Value(b"value".to_vec()),
        Content::Value(Vec::new()),
        Content::Removed(None),
        Content::Removed(Some(stamp)),
        piece(0, 6),
        piece(6, 4),
    ];
    let name = |n: usize| EntryName {
        primary: "a".into(),
        secondary: String::new(),
        key: format!("key-{}", n.min(4)),
    };
    contents.into_iter().enumerate().map(|(n, content)| Entry { name: name(n), content }).collect()
}

fn one_by_one(entries: &[Entry]) -> ([u8; 32], u64, u64) {
    let mut digest = EntryDigest::new(&sealer()).unwrap();
    entries.iter().for_each(|entry| digest.add(entry));
    digest.finish()
}

#[test]
fn a_part_folds_as_its_entries_do_one_by_one() {
    for entries in [entries(), Vec::new()] {
        let expected = one_by_one(&entries);
        let part = DumpPart { entries };
        let (object, sealed) = sealer().seal(id(Class::DumpPart), ObjectHash::NONE, &part).unwrap();
        let folded = DumpPart::fold(&sealer(), &object, sealed.bytes()).unwrap();
        assert_eq!(folded.finish(), expected);
        let (opened, digest) = DumpPart::open(&sealer(), &object, sealed.bytes()).unwrap();
        assert_eq!((opened, digest.finish()), (part, expected));
    }
    assert_eq!(one_by_one(&entries()).1, 3, "two values and a large one");
}

/// A segment begins with other things, so the bytes of one are no part; and even an empty one, whose
/// bytes might be, is of another class.
#[test]
fn what_is_no_part_does_not_fold() {
    let link = backup::Link { parts: Vec::new(), previous: ObjectHash::NONE };
    let segment = backup::SegmentBody {
        parts: 1,
        previous: Some(link),
        time: (1, 2),
        mergeable: entries(),
        single_writer: Vec::new(),
        extensions: Vec::new(),
    };
    let (object, sealed) = sealer().seal(id(Class::Segment), ObjectHash::NONE, &segment).unwrap();
    assert!(DumpPart::fold(&sealer(), &object, sealed.bytes()).is_err());

    let part = DumpPart { entries: entries() };
    let (object, sealed) = sealer().seal(id(Class::DumpPart), ObjectHash::NONE, &part).unwrap();
    let mut other = object;
    other.id.part = 1;
    let misplaced = DumpPart::fold(&sealer(), &other, sealed.bytes());
    assert!(matches!(misplaced, Err(Error::Damaged { .. })));
    let mut damaged = sealed.bytes().to_vec();
    damaged[100] ^= 1;
    assert!(DumpPart::fold(&sealer(), &object, &damaged.into()).is_err());
}

fn sealed_part() -> SealedPart {
    let writer = DumpWriter::new(&sealer(), WriterId::from_bytes([3; 16]), 4, 1).unwrap();
    let mut maker = writer.maker();
    assert!(maker.add(entries()).unwrap().is_empty(), "they fill no part");
    maker.rest().remove(0).seal().unwrap()
}

/// With memory that other parts have been in.
#[test]
fn what_came_back_is_what_was_put_or_damaged() {
    let (part, same, spare) = (sealed_part(), sealed_part(), Spare::default());
    let back = |bytes: &[u8]| part.read_back(&sealer(), &spare, &Bytes::copy_from_slice(bytes));
    let good = part.sealed.bytes();
    for _ in 0..2 {
        assert_eq!(back(good).unwrap().finish(), part.digest.clone().finish());
        assert_eq!(part.digest.clone().finish(), one_by_one(&entries()));
        for bad in [
            &good[..good.len() - 1],
            &[&good[..], &[0]].concat(),
            &[&[good[0] ^ 1], &good[1..]].concat(),
            // The same entries, sealed another time.
            same.sealed.bytes(),
            &[],
        ] {
            assert!(matches!(back(bad), Err(Error::Damaged { .. })), "{} bytes", bad.len());
        }
    }
}
