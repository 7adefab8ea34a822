//! Several devices, one wallet: what merges, what wins, and that nothing is lost on the way.

mod common;

use std::sync::Arc;

use backup::{Class, Merged};
use common::{
    cloud::{Cloud, back_up, newest_heads, poll_until},
    device::Device,
    key, ns, numbered, recorder_with, sealer,
    stores::{Hook, Hooked},
};
use kv_core::{Batch, KvStore, KvStoreExt, Timestamp};
use kv_mem::MemStore;

const NOW: u64 = 1_700_000_000_000;
const DAY: u64 = 86_400_000;

/// Both have a chain, and each has merged the other.
fn two() -> (Device, Device, Cloud) {
    let (a, b, mut cloud) = (Device::new(NOW), Device::new(NOW), Cloud::default());
    settle(&[&a, &b], &mut cloud);
    (a, b, cloud)
}

/// Everybody backs up and merges until nothing is new.
fn settle(devices: &[&Device], cloud: &mut Cloud) {
    for _ in 0..3 {
        for device in devices {
            device.back_up(cloud);
            device.poll(cloud);
        }
    }
}

fn places(merged: &Merged) -> Vec<&str> {
    merged.changes.iter().map(|change| change.key.as_str()).collect()
}

#[test]
fn a_change_reaches_the_other_device_and_says_so() {
    let (a, b, mut cloud) = two();
    a.set("name", "Ada");
    a.set("gone", "soon");
    a.remove("gone");
    a.back_up(&mut cloud);
    let merged = b.poll(&cloud);
    assert_eq!(b.get("name").as_deref(), Some("Ada"));
    assert_eq!(places(&merged), ["name"], "of what was never here nothing changes");
    assert_eq!(merged.changes[0].after.as_deref(), Some(&b"Ada"[..]));
    assert_eq!(merged.changes[0].before, None);
    assert_eq!(merged.conflicts, []);
    a.remove("name");
    a.back_up(&mut cloud);
    let merged = b.poll(&cloud);
    assert_eq!((b.get("name"), merged.changes[0].before.as_deref()), (None, Some(&b"Ada"[..])));
    assert_eq!(a.framed(), b.framed());
}

#[test]
fn a_second_change_within_one_second_counts() {
    let (a, b, mut cloud) = two();
    // The clock stands still: all of this happens within one millisecond.
    a.set("name", "first");
    a.set("name", "second");
    a.back_up(&mut cloud);
    b.poll(&cloud);
    assert_eq!(b.get("name").as_deref(), Some("second"));
    b.set("name", "third, on the other device");
    b.back_up(&mut cloud);
    a.poll(&cloud);
    assert_eq!(a.get("name").as_deref(), Some("third, on the other device"));
    a.set("name", "fourth");
    a.remove("name");
    a.back_up(&mut cloud);
    b.poll(&cloud);
    assert_eq!(b.get("name"), None, "a removal within the same second counts too");
}

#[test]
fn a_field_is_not_overwritten_by_an_older_one_after_a_restart() {
    let (a, mut b, mut cloud) = two();
    a.set("email", "old@example.org");
    a.back_up(&mut cloud);
    b.clock.advance(1000);
    b.set("email", "new@example.org");
    b.crash();
    let merged = b.poll(&cloud);
    assert_eq!(b.get("email").as_deref(), Some("new@example.org"));
    assert_eq!((merged.changes.len(), merged.kept), (0, 1));
    // Nor a removed one by an older value.
    let (a, mut b, mut cloud) = two();
    a.set("email", "old@example.org");
    a.back_up(&mut cloud);
    b.clock.advance(1000);
    b.remove("email");
    b.crash();
    b.poll(&cloud);
    assert_eq!(b.get("email"), None);
}

#[test]
fn the_greater_stamp_wins_whatever_the_clocks_say() {
    let (a, b, mut cloud) = two();
    a.clock.set(Timestamp(NOW + 30 * DAY));
    b.clock.set(Timestamp(NOW - 30 * DAY));
    a.set("k", "from the future");
    a.back_up(&mut cloud);
    let merged = b.poll(&cloud);
    assert!(merged.ahead >= 60 * DAY, "a clock that is wrong is reported: {}", merged.ahead);
    assert_eq!(b.get("k").as_deref(), Some("from the future"), "and its stamp counts as it is");
    b.set("k", "b has seen it and writes after it");
    b.back_up(&mut cloud);
    a.poll(&cloud);
    assert_eq!(a.get("k").as_deref(), Some("b has seen it and writes after it"));
}

#[test]
fn a_stamp_exceeds_those_seen_before_a_restart() {
    let (a, mut b, mut cloud) = two();
    a.clock.set(Timestamp(NOW + 30 * DAY));
    a.set("k", "from the future");
    a.back_up(&mut cloud);
    b.poll(&cloud);
    b.crash();
    b.set("k", "later");
    b.set("other", "a key that nobody wrote before");
    b.back_up(&mut cloud);
    a.poll(&cloud);
    assert_eq!(a.get("k").as_deref(), Some("later"));
    let heads = cloud.heads(&sealer()).unwrap();
    let newest = |device: &Device| {
        let heads = heads.iter().filter(|(object, _)| object.id.writer == device.writer());
        heads.map(|(_, head)| head.time).max().unwrap()
    };
    assert!(newest(&b) > newest(&a), "a head comes after all that its writer had merged");
}

#[test]
fn conflicts_are_told_and_only_those() {
    let (a, b, mut cloud) = two();
    a.set("k", "a");
    b.clock.advance(1000);
    b.set("k", "b");
    a.set("same", "x");
    b.set("same", "x");
    a.back_up(&mut cloud);
    b.back_up(&mut cloud);
    for merged in [a.poll(&cloud), b.poll(&cloud)] {
        let [conflict] = &merged.conflicts[..] else { panic!("{:?}", merged.conflicts) };
        assert_eq!((conflict.ns.primary(), conflict.key.as_str()), ("m", "k"));
        assert_eq!((conflict.winner.writer, conflict.loser.writer), (b.writer(), a.writer()));
    }
    assert_eq!(a.get("k").as_deref(), Some("b"));
    settle(&[&a, &b], &mut cloud);
    // Who has seen the other's value and writes after it is in no conflict.
    a.set("k", "a again");
    a.back_up(&mut cloud);
    assert_eq!(b.poll(&cloud).conflicts, []);
    b.remove("k");
    b.back_up(&mut cloud);
    assert_eq!(a.poll(&cloud).conflicts, []);
    assert_eq!(a.get("k"), None);
}

#[test]
fn single_writer_data_of_another_writer_is_not_merged() {
    let (a, b, mut cloud) = two();
    b.recorder.write(&ns("s"), &key("channel"), b"of b").unwrap();
    a.recorder.write(&ns("s"), &key("channel"), b"of a").unwrap();
    a.recorder.write(&ns("s"), &key("more"), b"of a").unwrap();
    a.recorder.write(&ns("local"), &key("url"), b"of a").unwrap();
    a.set("k", "merges");
    back_up(&a.recorder, &mut cloud, true);
    let merged = b.poll(&cloud);
    assert_eq!(places(&merged), ["k"]);
    assert_eq!(&*b.recorder.read_required(&ns("s"), &key("channel")).unwrap(), b"of b");
    assert_eq!(b.recorder.read(&ns("s"), &key("more")).unwrap(), None);
    assert_eq!(b.recorder.read(&ns("local"), &key("url")).unwrap(), None);
}

#[test]
fn merging_again_changes_nothing() {
    let (a, b, mut cloud) = two();
    for i in 0..20 {
        a.set(&format!("k{i}"), "v");
    }
    a.remove("k3");
    a.back_up(&mut cloud);
    // The same from the beginning, as after a crash before the end was remembered.
    for steps in [1, 2, usize::MAX] {
        poll_until(&b.recorder, &cloud, steps).unwrap();
    }
    let (sequence, framed) = (b.recorder.sequence(), b.framed());
    assert_eq!(framed, a.framed());
    assert_eq!(b.poll(&cloud), Merged::default());
    assert_eq!((b.recorder.sequence(), b.framed()), (sequence, framed));
}

#[test]
fn a_merge_ends_whole_or_is_done_again_after_a_crash() {
    let (a, mut b, mut cloud) = two();
    for round in 0..4 {
        a.set(&format!("k{round}"), "v");
        a.remove("k0");
        a.back_up(&mut cloud);
    }
    for steps in 0..6 {
        poll_until(&b.recorder, &cloud, steps).unwrap();
        b.crash();
    }
    b.poll(&cloud);
    b.crash();
    assert_eq!(b.framed(), a.framed());
    assert_eq!(b.recorder.merged_to(a.writer()).unwrap().id.to, a.recorder.sequence());
}

#[test]
fn what_was_merged_is_part_of_this_chain() {
    let (a, b, mut cloud) = two();
    a.set("of", "a");
    a.set("removed", "by b");
    a.back_up(&mut cloud);
    b.poll(&cloud);
    b.remove("removed");
    b.set("of-b", "b");
    b.back_up(&mut cloud);
    // All of a's chain is lost; b's alone gives what b had.
    let lost = a.writer();
    let tag = sealer().tag();
    cloud.0.retain(|name, _| backup::ObjectRef::parse(&tag, name).unwrap().id.writer != lost);
    let c = Device::restored(&cloud, NOW);
    assert_eq!(c.framed(), b.framed());
}

#[test]
fn a_restore_is_one_moment_and_the_others_are_merged_into_it() {
    let (a, b, mut cloud) = two();
    a.set("of", "a");
    a.back_up(&mut cloud);
    b.clock.advance(1000);
    b.set("of-b", "b");
    b.back_up(&mut cloud);
    // b's head is the newest, and b has not merged a's last change.
    let c = Device::restored(&cloud, NOW);
    assert_eq!(c.get("of-b").as_deref(), Some("b"));
    c.poll(&cloud);
    assert_eq!(c.get("of").as_deref(), Some("a"));
    settle(&[&a, &b, &c], &mut cloud);
    assert_eq!((a.framed(), b.framed()), (c.framed(), c.framed()));
}

#[test]
fn who_comes_too_late_for_the_segments_catches_up_from_the_dump() {
    let (a, b, mut cloud) = two();
    for i in 0..50 {
        a.set(&format!("k{i}"), &"v".repeat(200_000));
        a.back_up(&mut cloud);
    }
    a.remove("k7");
    back_up(&a.recorder, &mut cloud, true);
    let dump = a.recorder.state().dump.unwrap();
    let tag = sealer().tag();
    cloud.0.retain(|name, _| {
        let object = backup::ObjectRef::parse(&tag, name).unwrap();
        object.id.class != Class::Segment || object.id.to > dump.id.from
    });
    let merged = b.poll(&cloud);
    assert_eq!(merged.changes.len(), 49);
    assert_eq!(a.framed(), b.framed());
}

#[test]
fn what_is_written_while_merging_wins() {
    let (a, _, mut cloud) = two();
    a.set("k", "a");
    a.set("other", "a");
    a.back_up(&mut cloud);
    let hook = Hook::default();
    let clock = common::clock();
    let store = Hooked::new(Arc::new(MemStore::new()), hook.clone());
    let b = recorder_with(Arc::new(store), clock, u64::MAX);
    let writer = b.clone();
    *hook.lock().unwrap() = Some(Arc::new(move |ns, key| {
        if ns.primary() == "m" && key.as_str() == "other" && writer.sequence() == 0 {
            // After the merge has read what is here of "k", before it submits.
            let k = common::key("k");
            writer.submit(Batch::new().put(ns, &k, b"local")).wait().unwrap();
            let refused = Batch::new().put(ns, key, b"x").require_absent(ns, &k);
            assert!(writer.submit(refused).wait().is_err());
        }
    }));
    common::cloud::poll(&b, &cloud).unwrap();
    assert_eq!(&*b.read_required(&ns("m"), &key("k")).unwrap(), b"local");
    let other = b.read_required(&ns("m"), &key("other")).unwrap();
    assert_eq!(&*other, b"a", "a write that was refused counts for nothing");
}

#[test]
fn a_large_value_and_a_large_segment_merge() {
    let (a, b, mut cloud) = two();
    let large = vec![7u8; 9 << 20];
    a.recorder.write(&ns("m"), &key("large"), large.clone()).unwrap();
    let mut batch = Batch::new();
    for i in 0..25_000 {
        batch = batch.put(&ns("m2"), &numbered(i), b"v");
    }
    a.recorder.submit(batch).wait().unwrap();
    a.back_up(&mut cloud);
    assert_eq!(b.poll(&cloud).changes.len(), 25_001);
    assert_eq!(*b.recorder.read_required(&ns("m"), &key("large")).unwrap(), large[..]);
    assert_eq!(a.framed(), b.framed());
}

/// One value that nobody can read holds up no other, and what merges heals it.
#[test]
fn a_damaged_value_is_replaced_and_named_and_holds_up_no_other() {
    let (a, b, mut cloud) = two();
    for name in ["x", "y", "z"] {
        a.set(name, "old");
    }
    settle(&[&a, &b], &mut cloud);
    for name in ["w", "x", "y"] {
        a.set(name, "new");
    }
    a.remove("z");
    a.back_up(&mut cloud);
    for name in ["x", "z"] {
        b.store.write(&ns("m"), &key(name), "\0").unwrap();
        assert!(matches!(
            b.recorder.read(&ns("m"), &key(name)),
            Err(kv_core::Error::Corrupt { .. })
        ));
    }
    let merged = b.poll(&cloud);
    assert_eq!(merged.damaged, [(ns("m"), key("x")), (ns("m"), key("z"))]);
    assert_eq!(places(&merged), ["w", "x", "y", "z"]);
    assert_eq!(
        ["w", "x", "y", "z"].map(|name| b.get(name)),
        ["w", "x", "y", "z"].map(|n| a.get(n))
    );
    assert_eq!(a.framed(), b.framed());
    assert_eq!(b.poll(&cloud).damaged, [], "and that was it");
}

/// A value of a version that this program does not know is no damage: it is left, and that is told.
#[test]
fn a_value_of_a_newer_version_is_not_replaced() {
    let (a, b, mut cloud) = two();
    a.set("x", "old");
    settle(&[&a, &b], &mut cloud);
    a.set("x", "new");
    a.back_up(&mut cloud);
    b.store.write(&ns("m"), &key("x"), vec![2; 40]).unwrap();
    assert!(b.try_poll(&cloud).is_err());
    assert_eq!(b.store.read(&ns("m"), &key("x")).unwrap().as_deref(), Some(&[2; 40][..]));
}

/// Who follows the changes must hear of those that are durable, whatever comes behind them.
#[test]
fn what_was_merged_before_an_error_is_told() {
    let (a, b, mut cloud) = two();
    a.set("good", "1");
    a.back_up(&mut cloud);
    let (object, head) = newest_heads(&cloud, &sealer())
        .unwrap()
        .into_iter()
        .find(|(object, _)| object.id.writer == a.writer())
        .unwrap();
    let mut merger = b.recorder.merger(object, head).unwrap();
    let of = |name: &str, bytes: Vec<u8>| {
        let name = backup::EntryName::new(&ns("m"), &key(name));
        backup::Entry { name, content: backup::Content::Value(bytes) }
    };
    let framed = a.store.read(&ns("m"), &key("good")).unwrap().unwrap().to_vec();
    let mut merged = Merged::default();
    merger.apply(vec![of("good", framed)], &mut merged).unwrap();
    assert_eq!(places(&merged), [] as [&str; 0], "it waits for what comes with it");
    let failed = merger.apply(vec![of("bad", b"no frame".to_vec())], &mut merged);
    assert!(failed.is_err());
    assert_eq!((places(&merged), b.get("good").as_deref()), (vec!["good"], Some("1")));
}
