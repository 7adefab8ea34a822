//! There and back: what a cloud holds restores to what the device held.

#![expect(clippy::unwrap_used, reason = "helpers of tests panic")]

mod common;

use std::sync::Arc;

use backup::{Class, DumpIndex, Error, Link, ObjectHash, Recorder, Restorer, SegmentBody};
use common::{
    Contents, backed_up, budget, clock,
    cloud::{Cloud, back_up, back_up_while, restore},
    contents, key, ns, numbered, own, recorder, recorder_with, rules, sealer,
    stores::Slow,
};
use kv_core::{Batch, Key, KvStore, KvStoreExt, Timestamp, testing::Random};
use kv_mem::{Medium, MemStore};

/// What a new device has after a restore, above its recorder.
fn restored(cloud: &Cloud) -> Contents {
    backed_up(&recorder(restored_store(cloud)))
}

fn restored_store(cloud: &Cloud) -> Arc<MemStore> {
    let store = Arc::new(MemStore::new());
    restore(cloud, &sealer(), store.clone()).unwrap();
    store
}

#[test]
fn a_restore_equals_what_was_backed_up() {
    let recorder = recorder(MemStore::new());
    let mut cloud = Cloud::default();
    let mut random = Random::seeded(1);
    // More than one part of one object, once per class; odd ends; nothing at all.
    let large = random.bytes(9_000_001);
    let write = |name: &str, bytes: &[u8]| {
        for primary in ["m", "s", ""] {
            recorder.write(&ns(primary), &key(name), bytes).unwrap();
        }
    };
    let remove = |name: &str| {
        for primary in ["m", "s", ""] {
            recorder.remove(&ns(primary), &key(name)).unwrap();
        }
    };
    write("empty", b"");
    write("in-the-dump", b"1");
    write("gone-before-the-dump", b"1");
    remove("gone-before-the-dump");
    write("again-before-the-dump", b"1");
    remove("again-before-the-dump");
    write("again-before-the-dump", b"2");
    recorder.write(&ns("s"), &key("large"), large.as_slice()).unwrap();
    recorder.write(&ns("local"), &key("stays"), b"here").unwrap();
    back_up(&recorder, &mut cloud, false);
    assert_eq!(restored(&cloud), backed_up(&recorder), "a dump alone");

    write("in-the-dump", b"changed");
    write("empty", b"no longer");
    write("emptied", b"full");
    write("emptied", b"");
    remove("again-before-the-dump");
    write("gone-before-the-dump", b"back");
    recorder.write(&ns("m"), &key("large"), large.as_slice()).unwrap();
    recorder.write(&ns("s"), &key("large"), &large[1..]).unwrap();
    recorder.write(&ns("s"), &key("larger"), &large[..4 << 20]).unwrap();
    back_up(&recorder, &mut cloud, false);
    assert_eq!(restored(&cloud), backed_up(&recorder), "a dump and a segment of several parts");
    let segments = cloud.of_class(&sealer(), Class::Segment);
    assert!(segments.len() > 5, "{} parts", segments.len());

    remove("in-the-dump");
    recorder.remove(&ns("m"), &key("large")).unwrap();
    recorder.remove(&ns("m"), &key("never-was")).unwrap();
    back_up(&recorder, &mut cloud, false);
    back_up(&recorder, &mut cloud, false);
    assert_eq!(restored(&cloud), backed_up(&recorder), "a head without news");
    back_up(&recorder, &mut cloud, true);
    assert_eq!(restored(&cloud), backed_up(&recorder), "a second dump");
}

#[test]
fn an_empty_wallet_comes_back_empty() {
    let recorder = recorder(MemStore::new());
    let mut cloud = Cloud::default();
    back_up(&recorder, &mut cloud, false);
    assert!(restored(&cloud).is_empty());
    recorder.write(&ns("s"), &key("k"), b"x").unwrap();
    recorder.remove(&ns("s"), &key("k")).unwrap();
    back_up(&recorder, &mut cloud, false);
    assert!(restored(&cloud).is_empty());
}

#[test]
fn any_history_of_backups_restores_over_generations() {
    for seed in 0..8 {
        let mut random = Random::seeded(seed);
        let mut cloud = Cloud::default();
        let medium = Medium::default();
        let mut device = recorder(MemStore::open(medium.clone()).unwrap());
        for _ in 0..120 {
            match random.below(12) {
                0 | 1 => {
                    let full = random.below(4) == 0;
                    back_up(&device, &mut cloud, full);
                    assert_eq!(restored(&cloud), backed_up(&device), "seed {seed}");
                }
                2 if device.state().dump.is_some() => {
                    // The device is lost together with what it had not backed up; the clock of the
                    // next one is wrong.
                    let writer = device.state().writer;
                    let wrong = clock();
                    wrong.set(Timestamp(random.below(2_000_000)));
                    device = recorder_with(restored_store(&cloud), wrong, 0);
                    assert_ne!(device.state().writer, writer, "a new installation");
                    assert_eq!(device.lag().records, 0);
                }
                _ => {
                    let mut batch = Batch::new();
                    for _ in 0..random.below(4) {
                        let (ns, key) = (
                            ns(["m", "m2", "s", ""][random.below(4) as usize]),
                            numbered(random.below(10)),
                        );
                        batch = if random.below(3) == 0 {
                            batch.remove(&ns, &key)
                        } else {
                            let len = random.below(80) as usize;
                            batch.put(&ns, &key, random.bytes(len))
                        };
                    }
                    device.submit(batch).wait().unwrap();
                }
            }
        }
    }
}

#[test]
fn a_dump_taken_while_others_write_is_valid_with_its_segments() {
    for (seed, budget) in [(1, 0), (2, u64::MAX)] {
        let recorder = recorder_with(Arc::new(MemStore::new()), clock(), budget);
        let mut random = Random::seeded(seed);
        let mut change = || {
            let mut batch = Batch::new();
            for _ in 0..5 {
                let (ns, key) = (
                    ns(["a", "m", "s", "z"][random.below(4) as usize]),
                    numbered(random.below(900)),
                );
                batch = match random.below(3) {
                    0 => batch.remove(&ns, &key),
                    _ => batch.put(&ns, &key, random.bytes(20)),
                };
            }
            recorder.submit(batch).wait().unwrap();
        };
        (0..600).for_each(|_| change());
        let mut cloud = Cloud::default();
        let mut pages = 0;
        for _ in 0..3 {
            back_up_while(&recorder, &mut cloud, true, || {
                pages += 1;
                (0..20).for_each(|_| change());
            });
            assert_eq!(restored(&cloud), backed_up(&recorder));
        }
        assert!(pages > 12, "only {pages} pages: nothing was written meanwhile");
        let dumps = cloud.of_class(&sealer(), Class::DumpIndex);
        assert!(dumps.iter().all(|dump| dump.id.to > dump.id.from));
    }
}

#[test]
fn a_dump_begins_and_ends_with_what_is_durable() {
    let slow = Slow::default();
    let recorder = recorder(slow.clone());
    let lazy = |name| drop(recorder.submit(Batch::new().put(&ns("s"), &key(name), b"x").lazy()));
    lazy("before");
    let mut dump = recorder.dump().unwrap();
    assert_eq!(dump.from(), 1);
    lazy("meanwhile");
    let page = dump.next_page().unwrap().unwrap();
    assert_eq!(page.len(), 1);
    assert_eq!(page[0].name.key, "before", "the dump holds all it says it does");
    assert_eq!(dump.next_page().unwrap(), None);
    assert_eq!(dump.end().unwrap(), 2);
    slow.crash();
    assert_eq!(common::recorder(slow).sequence(), 2, "a number left that is not durable");
}

#[test]
fn what_a_removal_left_is_restored_too() {
    let recorder = recorder(MemStore::new());
    let mut cloud = Cloud::default();
    for name in ["a", "b", "c"] {
        recorder.write(&ns("m"), &key(name), b"x").unwrap();
    }
    recorder.remove(&ns("m"), &key("a")).unwrap();
    back_up(&recorder, &mut cloud, false);
    recorder.remove(&ns("m"), &key("b")).unwrap();
    back_up(&recorder, &mut cloud, false);
    let store = restored_store(&cloud);
    assert_eq!(store.list_all(&own("tombstones")).unwrap().len(), 2);
    // The tombstones of the new installation do not overwrite those that came with the backup.
    let second = common::recorder(store.clone());
    second.remove(&ns("m"), &key("c")).unwrap();
    assert_eq!(store.list_all(&own("tombstones")).unwrap().len(), 3);
    let mut again = Cloud::default();
    back_up(&second, &mut again, false);
    let third = restored_store(&again);
    assert_eq!(third.list_all(&own("tombstones")).unwrap().len(), 3);
    assert!(restored(&again).is_empty());
}

#[test]
fn stamps_grow_across_a_restore_to_a_device_with_a_slow_clock() {
    let fast = clock();
    fast.set(Timestamp(9_000_000));
    let store = Arc::new(MemStore::new());
    let recorder = recorder_with(store.clone(), fast, 0);
    recorder.write(&ns("m"), &key("k"), b"old").unwrap();
    recorder.remove(&ns("m"), &key("gone")).unwrap();
    let store = Arc::new(MemStore::new());
    let mut restorer = Restorer::new(store.clone(), rules()).unwrap();
    let mut reader = recorder.dump().unwrap();
    while let Some(page) = reader.next_page().unwrap() {
        restorer.apply(page).unwrap();
    }
    restorer.finish(Vec::new()).unwrap();
    let before = store.read_required(&ns("m"), &key("k")).unwrap();
    let slow = clock();
    slow.set(Timestamp(1));
    recorder_with(store.clone(), slow, 0).write(&ns("m"), &key("k"), b"new").unwrap();
    let after = store.read_required(&ns("m"), &key("k")).unwrap();
    let stamp = |value: &[u8]| {
        let time = u64::from_le_bytes(value[1..9].try_into().unwrap());
        (time, u32::from_le_bytes(value[9..13].try_into().unwrap()))
    };
    assert_eq!(stamp(&before), (9_000_000, 0));
    assert_eq!(stamp(&after), (9_000_000, 2), "also above the stamp of the removal");
}

/// Of two heads with the same changes the later one counts: only that one says who was retired.
#[test]
fn no_two_heads_have_one_time_whatever_the_clock_says() {
    let clock = clock();
    clock.set(Timestamp(9_000_000));
    let recorder = recorder_with(Arc::new(MemStore::new()), clock.clone(), 0);
    assert_eq!(recorder.head_time(), 9_000_000);
    assert_eq!(recorder.head_time(), 9_000_001);
    clock.set(Timestamp(1));
    assert_eq!(recorder.head_time(), 9_000_002);
    clock.set(Timestamp(9_000_500));
    assert_eq!(recorder.head_time(), 9_000_500);
}

#[test]
fn an_unfinished_restore_is_never_taken_for_a_wallet() {
    let source = recorder(MemStore::new());
    for i in 0..2500 {
        source.write(&ns("s"), &numbered(i), b"x").unwrap();
    }
    let refused = |store: Arc<MemStore>| {
        let opened = Recorder::open(store, rules(), clock(), budget(0));
        assert!(matches!(opened, Err(kv_core::Error::Corrupt { .. })));
    };
    // A crash in the middle: neither a wallet, nor a place to restore into.
    let medium = Medium::default();
    let open = || Arc::new(MemStore::open(medium.clone()).unwrap());
    let mut restorer = Restorer::new(open(), rules()).unwrap();
    restorer.apply(source.dump().unwrap().next_page().unwrap().unwrap()).unwrap();
    medium.crash();
    let found = open();
    refused(found.clone());
    assert!(matches!(Restorer::new(found, rules()), Err(Error::NotEmpty)));
    // The same at every page, up to the end.
    let store = Arc::new(MemStore::new());
    let mut restorer = Restorer::new(store.clone(), rules()).unwrap();
    refused(store.clone());
    let mut reader = source.dump().unwrap();
    while let Some(page) = reader.next_page().unwrap() {
        restorer.apply(page).unwrap();
        refused(store.clone());
    }
    restorer.finish(Vec::new()).unwrap();
    assert_eq!(store.read(&own("state"), &Key::number(1)).unwrap(), None, "the mark is gone");
    assert_eq!(backed_up(&recorder(store)), backed_up(&source));
}

#[test]
fn a_restore_needs_an_empty_store() {
    let fresh = Arc::new(MemStore::new());
    fresh.write(&ns("local"), &key("setting"), b"of this installation").unwrap();
    assert!(Restorer::new(fresh, rules()).is_ok());
    let used = Arc::new(MemStore::new());
    used.write(&ns("s"), &key("k"), b"x").unwrap();
    assert!(matches!(Restorer::new(used.clone(), rules()), Err(Error::NotEmpty)));
    assert_eq!(contents(&used).len(), 1, "nothing was changed");
}

#[test]
fn each_restore_point_stands_on_its_own() {
    let recorder = recorder(MemStore::new());
    let mut cloud = Cloud::default();
    let mut points = Vec::new();
    for i in 0..6 {
        recorder.write(&ns("m"), &key("k"), format!("{i}").as_str()).unwrap();
        recorder.write(&ns("s"), &numbered(i), b"x").unwrap();
        back_up(&recorder, &mut cloud, i == 3);
        points.push(backed_up(&recorder));
    }
    // Without the newer heads an older one is the newest: its point is still there, whole.
    for point in points.iter().rev() {
        assert_eq!(restored(&cloud), *point);
        let heads = cloud.heads(&sealer()).unwrap();
        let (newest, _) = backup::newest_head(&heads).unwrap();
        cloud.0.remove(&newest.name(&sealer().tag()));
    }
    assert!(matches!(restore(&cloud, &sealer(), Arc::new(MemStore::new())), Err(Error::NoBackup)));
}

#[test]
fn segments_name_their_neighbours_and_their_sections() {
    let recorder = recorder(MemStore::new());
    let mut cloud = Cloud::default();
    back_up(&recorder, &mut cloud, false);
    let mut links: Vec<Link> = Vec::new();
    for i in 0..3 {
        recorder.write(&ns("m"), &numbered(i), b"x").unwrap();
        recorder.write(&ns("s"), &numbered(i), b"x").unwrap();
        back_up(&recorder, &mut cloud, false);
        links.push(recorder.state().newest.unwrap());
    }
    for (i, link) in links.iter().enumerate() {
        assert_eq!(link.range(), (2 * i as u64 + 1, 2 * i as u64 + 2));
        let body: SegmentBody = cloud.open(&sealer(), &link.parts[0], link.previous).unwrap();
        assert_eq!(body.previous.as_ref(), i.checked_sub(1).map(|before| &links[before]));
        assert_eq!(link.previous, body.previous.as_ref().map_or(ObjectHash::NONE, Link::hash));
        assert_eq!((body.mergeable.len(), body.single_writer.len()), (1, 1));
        assert_eq!(body.mergeable[0].name.primary, "m");
    }
}

#[test]
fn a_value_in_pieces_stays_in_its_section() {
    let recorder = recorder(MemStore::new());
    recorder.write(&ns("m"), &key("a-large"), Random::seeded(1).bytes(9 << 20)).unwrap();
    recorder.write(&ns("m"), &key("b"), b"x").unwrap();
    recorder.write(&ns("s"), &key("k"), b"x").unwrap();
    let cut = recorder.cut(0).unwrap().unwrap();
    let segment = sealer().seal_segment(recorder.state().writer, cut, None).unwrap();
    let mut names = [Vec::new(), Vec::new()];
    for (part, sealed) in segment.link.parts.iter().zip(&segment.objects) {
        let body: SegmentBody = sealer().open(part, ObjectHash::NONE, sealed.bytes()).unwrap();
        names[0].extend(body.mergeable.into_iter().map(|entry| entry.name.key));
        names[1].extend(body.single_writer.into_iter().map(|entry| entry.name.key));
    }
    assert_eq!(names, [vec!["a-large", "a-large", "a-large", "b"], vec!["k"]]);
}

#[test]
fn a_dumps_index_counts_what_it_holds() {
    let recorder = recorder(MemStore::new());
    let mut cloud = Cloud::default();
    recorder.write(&ns("s"), &key("large"), vec![1; (8 << 20) + 1]).unwrap();
    recorder.write(&ns("s"), &key("small"), b"four").unwrap();
    recorder.write(&ns("m"), &key("gone"), b"x").unwrap();
    recorder.remove(&ns("m"), &key("gone")).unwrap();
    back_up(&recorder, &mut cloud, false);
    let index = recorder.state().dump.unwrap();
    let index: DumpIndex = cloud.open(&sealer(), &index, ObjectHash::NONE).unwrap();
    assert_eq!((index.entries, index.bytes), (2, (8 << 20) + 1 + 4));
    assert!(index.parts.len() >= 3);
    assert!((0..).zip(&index.parts).all(|(part, object)| object.id.part == part));
}
