//! Objects that were damaged, cut, renamed or exchanged: each is its own error, and none is a restore.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "helpers of tests panic")]

mod common;

use std::sync::{Arc, OnceLock};

use backup::{
    Class, Content, DumpIndex, DumpPart, Entry, EntryName, Error, Head, ObjectHash, ObjectId,
    ObjectName, ObjectRef, ObjectSealer, Recorder, Result, SegmentBody, WriterId,
};
use bytes::Bytes;
use common::{
    budget, by_hand, clock,
    cloud::{Cloud, back_up, restore},
    key, keys_of, ns, numbered, recorder, rules, sealer, sealer_of,
};
use kv_core::{KvStore, KvStoreExt, testing::Random};
use kv_mem::MemStore;
use proptest::prelude::*;

/// An object as it lies in the cloud, and the hash it is opened with.
#[derive(Clone)]
struct Found {
    object: ObjectRef,
    previous: ObjectHash,
    bytes: Bytes,
}

/// A small backup: a dump, three segments, four heads.
fn backup() -> &'static (Cloud, Vec<Found>) {
    static BACKUP: OnceLock<(Cloud, Vec<Found>)> = OnceLock::new();
    BACKUP.get_or_init(|| {
        let recorder = recorder(MemStore::new());
        let mut cloud = Cloud::default();
        let mut links = Vec::new();
        for i in 0..4 {
            recorder.write(&ns("m"), &key("k"), format!("value {i}").as_str()).unwrap();
            recorder.write(&ns("s"), &numbered(i), b"another").unwrap();
            recorder.remove(&ns("m"), &key("gone")).unwrap();
            back_up(&recorder, &mut cloud, false);
            links.extend(recorder.state().newest);
        }
        let previous = |object: &ObjectRef| {
            let link = links.iter().find(|link| link.parts.contains(object));
            link.map_or(ObjectHash::NONE, |link| link.previous)
        };
        let classes = [Class::Head, Class::Segment, Class::DumpPart, Class::DumpIndex];
        let objects = classes.iter().flat_map(|class| cloud.of_class(&sealer(), *class));
        let found: Vec<Found> = objects
            .map(|object| {
                let bytes = cloud.0[&object.name(&sealer().tag())].clone();
                Found { previous: previous(&object), object, bytes }
            })
            .collect();
        assert_eq!(found.len(), 4 + 3 + 1 + 1);
        (cloud, found)
    })
}

fn open(
    sealer: &ObjectSealer,
    object: &ObjectRef,
    previous: ObjectHash,
    bytes: &Bytes,
) -> Result<()> {
    match object.id.class {
        Class::Head => sealer.open::<Head>(object, previous, bytes).map(drop),
        Class::Segment => sealer.open::<SegmentBody>(object, previous, bytes).map(drop),
        Class::DumpPart => sealer.open::<DumpPart>(object, previous, bytes).map(drop),
        Class::DumpIndex => sealer.open::<DumpIndex>(object, previous, bytes).map(drop),
    }
}

/// Restores, expects an error, and sees that nothing is there that could be taken for a wallet.
fn restore_error(cloud: &Cloud) -> Error {
    let store = Arc::new(MemStore::new());
    let error = restore(cloud, &sealer(), store.clone()).unwrap_err();
    let untouched = store.namespaces().unwrap().is_empty();
    let opened = Recorder::open(store, rules(), clock(), budget(0));
    assert!(untouched || opened.is_err(), "half a restore was taken for a wallet");
    error
}

fn name_of(found: &Found) -> ObjectName {
    found.object.name(&sealer().tag())
}

/// The object with other bytes, under the name that those bytes would have.
fn renamed(found: &Found, bytes: &[u8]) -> ObjectRef {
    ObjectRef { id: found.object.id, hash: ObjectHash::of(bytes) }
}

/// Repairs the checksum of the envelope's clear part.
fn with_checksum(mut bytes: Vec<u8>) -> Vec<u8> {
    let crc = crc32c::crc32c(&bytes[..62]);
    bytes[62..66].copy_from_slice(&crc.to_le_bytes());
    bytes
}

#[test]
fn the_backup_itself_is_whole() {
    let (cloud, objects) = backup();
    assert!(restore(cloud, &sealer(), Arc::new(MemStore::new())).is_ok());
    for found in objects {
        open(&sealer(), &found.object, found.previous, &found.bytes).unwrap();
    }
}

#[test]
fn every_flipped_byte_of_every_object_is_damage() {
    let (cloud, objects) = backup();
    for found in objects {
        for at in 0..found.bytes.len() {
            let mut bytes = found.bytes.to_vec();
            bytes[at] ^= 1 << (at % 8);
            let bytes = Bytes::from(bytes);
            let flipped = open(&sealer(), &found.object, found.previous, &bytes);
            assert!(matches!(flipped, Err(Error::Damaged { name }) if name == name_of(found)));
            // Even a cloud that gives it the right name.
            let renamed = open(&sealer(), &renamed(found, &bytes), found.previous, &bytes);
            assert!(matches!(renamed, Err(Error::Damaged { .. })), "byte {at}: {renamed:?}");
            // A restore is slower to try.
            if at % 16 == 0 {
                let mut cloud = cloud.clone();
                cloud.0.insert(name_of(found), bytes);
                let error = restore_error(&cloud);
                assert!(matches!(error, Error::Damaged { name } if name == name_of(found)));
            }
        }
    }
}

#[test]
fn every_truncated_or_extended_object_is_damage() {
    let (cloud, objects) = backup();
    for found in objects {
        let len = found.bytes.len();
        for keep in [0, 1, 4, 5, 6, 30, 61, 62, 65, 66, 81, 82, 83, len / 2, len - 16, len - 1] {
            let bytes = found.bytes.slice(..keep);
            let cut = open(&sealer(), &renamed(found, &bytes), found.previous, &bytes);
            assert!(matches!(cut, Err(Error::Damaged { .. })), "{keep} bytes: {cut:?}");
            let mut cloud = cloud.clone();
            cloud.0.insert(name_of(found), bytes);
            assert!(
                matches!(restore_error(&cloud), Error::Damaged { name } if name == name_of(found))
            );
        }
        let longer = Bytes::from([&found.bytes[..], &[0]].concat());
        let longer = open(&sealer(), &renamed(found, &longer), found.previous, &longer);
        assert!(matches!(longer, Err(Error::Damaged { .. })));
    }
}

#[test]
fn a_newer_version_and_another_key_are_not_damage() {
    for found in &backup().1 {
        for at in [4, 5] {
            let mut bytes = found.bytes.to_vec();
            bytes[at] += 1;
            let bytes = Bytes::from(with_checksum(bytes));
            let newer = open(&sealer(), &renamed(found, &bytes), found.previous, &bytes);
            assert!(matches!(newer, Err(Error::TooNew { .. })), "{newer:?}");
        }
        let mut bytes = found.bytes.to_vec();
        bytes[40] ^= 1;
        let bytes = Bytes::from(with_checksum(bytes));
        let other = open(&sealer(), &renamed(found, &bytes), found.previous, &bytes);
        assert!(matches!(other, Err(Error::WrongKey { .. })), "{other:?}");
        let other = open(&sealer_of(8), &found.object, found.previous, &found.bytes);
        assert!(matches!(other, Err(Error::WrongKey { .. })), "{other:?}");
    }
}

#[test]
fn objects_do_not_pass_for_each_other() {
    let (cloud, objects) = backup();
    for wanted in objects {
        for other in objects.iter().filter(|other| other.object != wanted.object) {
            let swapped = open(&sealer(), &wanted.object, wanted.previous, &other.bytes);
            assert!(matches!(swapped, Err(Error::Damaged { .. })));
            // Also not if the cloud makes up a name from the id of one and the hash of the other.
            let made_up = ObjectRef { id: wanted.object.id, hash: other.object.hash };
            for previous in [wanted.previous, other.previous] {
                let swapped = open(&sealer(), &made_up, previous, &other.bytes);
                assert!(matches!(swapped, Err(Error::Damaged { .. })), "{swapped:?}");
            }
            let mut cloud = cloud.clone();
            cloud.0.insert(name_of(wanted), other.bytes.clone());
            assert!(matches!(restore_error(&cloud), Error::Damaged { .. }));
        }
    }
}

#[test]
fn an_object_does_not_pass_for_a_second_one_of_the_same_place() {
    // After a lost acknowledgement the same numbers go up again: two objects, both authentic.
    for found in &backup().1 {
        let plain = by_hand::plaintext(&keys_of(7), &found.object.id, found.previous, &found.bytes);
        let packed = by_hand::pack(&plain);
        let (second, bytes) = by_hand::seal(&keys_of(7), found.object.id, found.previous, &packed);
        open(&sealer(), &second, found.previous, &bytes).unwrap();
        let swapped = open(&sealer(), &found.object, found.previous, &bytes);
        assert!(matches!(swapped, Err(Error::Damaged { .. })), "{swapped:?}");
    }
}

#[test]
fn an_object_is_bound_to_everything_its_name_says() {
    for found in &backup().1 {
        let id = found.object.id;
        let mut writer = *id.writer.as_bytes();
        writer[15] ^= 1;
        let mut others = vec![
            ObjectId { writer: WriterId::from_bytes(writer), ..id },
            ObjectId { epoch: id.epoch + 1, ..id },
            ObjectId { from: id.from + 1, ..id },
            ObjectId { to: id.to + 1, ..id },
            ObjectId { part: id.part + 1, ..id },
        ];
        let classes = [Class::Head, Class::Segment, Class::DumpPart, Class::DumpIndex];
        let classes = classes.into_iter().filter(|class| *class != id.class);
        others.extend(classes.map(|class| ObjectId { class, ..id }));
        for other in others {
            let object = ObjectRef { id: other, hash: found.object.hash };
            let opened = open(&sealer(), &object, found.previous, &found.bytes);
            assert!(matches!(opened, Err(Error::Damaged { .. })), "{other:?}: {opened:?}");
        }
        let other = ObjectHash::of(b"another segment");
        let opened = open(&sealer(), &found.object, other, &found.bytes);
        assert!(matches!(opened, Err(Error::Damaged { .. })), "the previous hash is bound too");
    }
}

#[test]
fn an_object_is_not_read_as_another_class() {
    let found = |class| backup().1.iter().find(|f| f.object.id.class == class).unwrap();
    let (head, part) = (found(Class::Head), found(Class::DumpPart));
    let read = sealer().open::<DumpIndex>(&head.object, head.previous, &head.bytes).map(drop);
    assert!(matches!(read, Err(Error::Damaged { .. } | Error::BrokenChain { .. })));
    // An empty list of entries would decode as many things.
    let body = DumpPart { entries: Vec::new() };
    let id = ObjectId { class: Class::Segment, ..part.object.id };
    assert!(matches!(sealer().seal(id, ObjectHash::NONE, &body), Err(Error::BrokenChain { .. })));
    let packed = by_hand::pack(&by_hand::encode(&body));
    let (object, bytes) = by_hand::seal(&keys_of(7), id, ObjectHash::NONE, &packed);
    let read = sealer().open::<DumpPart>(&object, ObjectHash::NONE, &bytes);
    assert!(matches!(read, Err(Error::BrokenChain { .. })), "{read:?}");
}

#[test]
fn every_missing_object_is_named() {
    let (cloud, objects) = backup();
    for found in objects.iter().filter(|found| found.object.id.class != Class::Head) {
        let mut cloud = cloud.clone();
        cloud.0.remove(&name_of(found));
        let error = restore_error(&cloud);
        assert!(matches!(error, Error::Missing { name } if name == name_of(found)));
    }
}

#[test]
fn another_wallets_backup_is_no_backup() {
    let (cloud, _) = backup();
    let store = Arc::new(MemStore::new());
    let other = restore(cloud, &sealer_of(8), store.clone());
    assert!(matches!(other, Err(Error::NoBackup)));
    assert!(store.namespaces().unwrap().is_empty());
    // Moved into its folder, the objects are told to belong to another key.
    let mut moved = Cloud::default();
    for found in &backup().1 {
        moved.0.insert(found.object.name(&sealer_of(8).tag()), found.bytes.clone());
    }
    let other = restore(&moved, &sealer_of(8), store);
    assert!(matches!(other, Err(Error::WrongKey { .. })));
}

fn part_of(len: usize) -> DumpPart {
    let name = EntryName::new(&ns("s"), &key("k"));
    let content = Content::Value(Random::seeded(1).bytes(len));
    DumpPart { entries: vec![Entry { name, content }] }
}

/// Packed, if its length needs padding.
fn padded_part(len: usize) -> Option<Vec<u8>> {
    let packed = by_hand::pack(&by_hand::encode(&part_of(len)));
    let compressed = u64::from_le_bytes(packed[8..16].try_into().unwrap()) as usize;
    (packed.len() > 16 + compressed).then_some(packed)
}

#[test]
fn an_object_has_a_ceiling() {
    let mut bomb = part_of(0);
    bomb.entries[0].content = Content::Value(vec![0; 65 << 20]);
    let found = backup().1.iter().find(|f| f.object.id.class == Class::DumpPart).unwrap();
    let id = found.object.id;
    assert!(matches!(sealer().seal(id, ObjectHash::NONE, &bomb), Err(Error::TooLarge)));
    let packed = by_hand::pack(&by_hand::encode(&bomb));
    assert!(packed.len() < 1 << 20, "65 MiB in {} bytes", packed.len());
    let (object, bytes) = by_hand::seal(&keys_of(7), id, ObjectHash::NONE, &packed);
    let opened = sealer().open::<DumpPart>(&object, ObjectHash::NONE, &bytes).map(drop);
    assert!(matches!(opened, Err(Error::Damaged { .. })));
}

#[test]
fn lengths_that_lie_are_damage() {
    let keys = keys_of(7);
    let found = backup().1.iter().find(|f| f.object.id.class == Class::DumpPart).unwrap();
    let good = by_hand::pack(&by_hand::encode(&DumpPart { entries: Vec::new() }));
    let check = |packed: &[u8]| {
        let (object, bytes) = by_hand::seal(&keys, found.object.id, ObjectHash::NONE, packed);
        sealer().open::<DumpPart>(&object, ObjectHash::NONE, &bytes)
    };
    assert!(check(&good).is_ok(), "what is made by hand is understood");
    for lie in [0, 1, 7, 9, 1 << 20, 1 << 40, u64::MAX - 16, u64::MAX] {
        for at in [0, 8] {
            let mut packed = good.clone();
            packed[at..at + 8].copy_from_slice(&u64::to_le_bytes(lie));
            assert!(matches!(check(&packed), Err(Error::Damaged { .. })), "{lie} at {at}");
        }
    }
    // A good object with some padding, and the same with a mark in it.
    let mut dirty = (1..).find_map(padded_part).unwrap();
    check(&dirty).unwrap();
    *dirty.last_mut().unwrap() = 1;
    for bad in [&b""[..], &[0; 15], &[0; 16], &dirty, &good[..good.len() - 1]] {
        assert!(matches!(check(bad), Err(Error::Damaged { .. })));
    }
    let trailing =
        by_hand::pack(&[&by_hand::encode(&DumpPart { entries: Vec::new() })[..], &[0]].concat());
    assert!(matches!(check(&trailing), Err(Error::Damaged { .. })), "nothing may follow");
    // Lengths within the plaintext: of the entries, of a name, of a value.
    let huge = u64::MAX.to_le_bytes();
    let one = 1u64.to_le_bytes();
    let name = [&one[..], b"s", &[0; 8], &one, b"k"].concat();
    for plain in [
        huge.to_vec(),
        [&one[..], &huge].concat(),
        [&one[..], &(1u64 << 30).to_le_bytes(), b"s"].concat(),
        [&one[..], &name, &[0; 4], &huge].concat(),
        [&one[..], &name, &[0; 4], &(1u64 << 29).to_le_bytes(), b"value"].concat(),
        [&one[..], &name, &[9, 0, 0, 0]].concat(),
        [&one[..], &name, &[2, 0, 0, 0, 2]].concat(),
        [&one[..], &[1, 0, 0, 0, 0, 0, 0, 0, 0xff], &[0; 16]].concat(),
    ] {
        assert!(matches!(check(&by_hand::pack(&plain)), Err(Error::Damaged { .. })), "{plain:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    /// Whatever was sealed with the right key: a reader answers, it does not panic.
    #[test]
    fn arbitrary_plaintext_never_panics(
        plain in proptest::collection::vec(prop_oneof![3 => Just(0u8), 1 => 1..4u8, 1 => any::<u8>()], 0..400),
        whole in any::<bool>(),
    ) {
        let packed = if whole { by_hand::pack(&plain) } else { plain };
        for found in &backup().1 {
            let (object, bytes) =
                by_hand::seal(&keys_of_seven(), found.object.id, found.previous, &packed);
            let _ = open(&sealer(), &object, found.previous, &bytes);
        }
    }

    /// Plaintext that is almost right.
    #[test]
    fn almost_right_plaintext_never_panics(at in any::<u16>(), byte in any::<u8>(), which in 0..9usize) {
        let found = &backup().1[which];
        let keys = keys_of_seven();
        let mut plain = by_hand::plaintext(&keys, &found.object.id, found.previous, &found.bytes);
        let at = usize::from(at) % plain.len();
        plain[at] = byte;
        let packed = by_hand::pack(&plain);
        let (object, bytes) = by_hand::seal(&keys, found.object.id, found.previous, &packed);
        let _ = open(&sealer(), &object, found.previous, &bytes);
        // A cloud full of it: the restore ends, one way or another.
        let mut cloud = backup().0.clone();
        cloud.0.insert(object.name(&sealer().tag()), bytes);
        let _ = restore(&cloud, &sealer(), Arc::new(MemStore::new()));
    }
}

fn keys_of_seven() -> vault::Keys {
    static KEYS: OnceLock<vault::Keys> = OnceLock::new();
    KEYS.get_or_init(|| keys_of(7)).clone()
}
