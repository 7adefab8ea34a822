//! Who is waited for: tombstones, writers that were unseen for long, and old copies of a device.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "helpers of tests panic")]

mod common;

use backup::Error;
use common::{
    cloud::{Cloud, back_up, rejoin},
    device::Device,
    key, ns,
};
use kv_core::{KvStore, KvStoreExt, Timestamp};

const NOW: u64 = 1_700_000_000_000;
const DAY: u64 = 86_400_000;

/// Everybody backs up and merges until nothing is new.
fn settle(devices: &[&Device], cloud: &mut Cloud) {
    for _ in 0..3 {
        for device in devices {
            device.back_up(cloud);
            device.poll(cloud);
        }
    }
}

/// Devices that know each other, and hold `k` and `kept`.
fn devices(n: usize) -> (Vec<Device>, Cloud) {
    let mut cloud = Cloud::default();
    let devices: Vec<Device> = (0..n).map(|_| Device::new(NOW)).collect();
    devices[0].set("k", "v");
    devices[0].set("kept", "v");
    settle(&devices.iter().collect::<Vec<_>>(), &mut cloud);
    (devices, cloud)
}

fn trim(device: &Device, all: &[&Device], age: u64) -> u64 {
    let writers: Vec<_> = all.iter().map(|device| device.writer()).collect();
    device.recorder.trim_tombstones(&writers, age).unwrap()
}

#[test]
fn tombstones_stay_until_every_writer_has_passed_them() {
    let (d, mut cloud) = devices(3);
    let (a, b, c) = (&d[0], &d[1], &d[2]);
    a.remove("k");
    a.back_up(&mut cloud);
    assert_eq!(trim(a, &[a, b, c], 0), 0, "nobody has merged it");
    b.poll(&cloud);
    b.back_up(&mut cloud);
    a.poll(&cloud);
    assert_eq!(trim(a, &[a, b, c], 0), 0, "c has not");
    c.poll(&cloud);
    c.back_up(&mut cloud);
    assert_eq!(trim(a, &[a, b, c], 0), 0, "a does not know yet that c has");
    a.poll(&cloud);
    let unknown = Device::new(NOW);
    assert_eq!(trim(a, &[a, b, c, &unknown], 0), 0, "a writer of whom nothing is merged");
    assert_eq!(trim(a, &[a, b, c], DAY), 0, "it is too young");
    a.clock.advance(2 * DAY);
    assert_eq!(trim(a, &[a, b, c], DAY), 1);
    assert_eq!(a.recorder.tombstones(), 0);
    // Forgotten, and gone for good.
    for _ in 0..2 {
        for device in [a, b, c] {
            back_up(&device.recorder, &mut cloud, true);
            device.poll(&cloud);
        }
    }
    let restored = Device::restored(&cloud, NOW);
    restored.poll(&cloud);
    for device in [a, b, c, &restored] {
        assert_eq!((device.get("k"), device.get("kept").is_some()), (None, true));
    }
}

#[test]
fn a_tombstone_of_the_only_writer_stays_until_it_is_backed_up() {
    let mut cloud = Cloud::default();
    let a = Device::new(NOW);
    a.set("k", "v");
    a.back_up(&mut cloud);
    a.remove("k");
    // Old enough it is.
    a.clock.advance(DAY);
    assert_eq!(trim(&a, &[&a], 0), 0, "no backup has it");
    assert_eq!(a.recorder.tombstones(), 1);
    a.back_up(&mut cloud);
    assert_eq!(trim(&a, &[&a], 0), 1);
}

#[test]
fn trimming_survives_a_crash_or_is_done_again() {
    let (mut d, mut cloud) = devices(2);
    d[0].remove("k");
    settle(&[&d[0], &d[1]], &mut cloud);
    d[0].clock.advance(DAY);
    assert_eq!(trim(&d[0], &[&d[0], &d[1]], 0), 1);
    // It was lazy.
    d[0].crash();
    assert_eq!(d[0].recorder.tombstones(), 1);
    assert_eq!(trim(&d[0], &[&d[0], &d[1]], 0), 1);
    d[0].recorder.flush().unwrap();
    d[0].crash();
    assert_eq!(d[0].recorder.tombstones(), 0);
    settle(&[&d[0], &d[1]], &mut cloud);
    assert_eq!(d[0].get("k"), None);
}

#[test]
fn a_writer_unseen_for_long_is_retired_and_must_rejoin() {
    let (d, mut cloud) = devices(3);
    let (a, b, late) = (&d[0], &d[1], &d[2]);
    // Written by the late device: one merged by the others, one never seen by them.
    late.set("late-old", "v");
    settle(&[a, b, late], &mut cloud);
    late.set("unsent", "v");
    late.set("k", "changed, and never sent");
    for device in [a, b] {
        device.clock.advance(200 * DAY);
    }
    a.remove("kept");
    a.remove("late-old");
    a.set("k", "newer");
    a.set("new", "v");
    // Only who was unseen is retired: b puts a head now and then.
    b.set("alive", "v");
    b.back_up(&mut cloud);
    a.poll(&cloud);
    let retired = a.recorder.retire_unseen(180 * DAY).unwrap();
    let [retired] = retired[..] else { panic!("{retired:?}") };
    assert_eq!((retired.writer, retired.since), (late.writer(), NOW + 200 * DAY));
    assert_eq!(a.recorder.retire_unseen(180 * DAY).unwrap(), [], "once");
    settle(&[a, b], &mut cloud);
    for (_, head) in cloud.heads(&common::sealer()).unwrap() {
        a.recorder.adopt_retired(&head).unwrap();
        b.recorder.adopt_retired(&head).unwrap();
    }
    assert_eq!(b.recorder.retired().len(), 1, "b learns it from a's head");
    a.clock.advance(DAY);
    assert!(trim(a, &[a, b, late], 0) > 0, "a retired writer is not waited for");
    back_up(&a.recorder, &mut cloud, true);

    // It comes back, does not look before it puts, and is not merged.
    late.back_up(&mut cloud);
    let refused = a.try_poll(&cloud).unwrap_err();
    assert!(matches!(refused, Error::Retired(r) if r.writer == late.writer()), "{refused}");
    assert_eq!((a.get("unsent"), a.get("kept"), a.get("late-old")), (None, None, None));
    // Then it looks.
    for (_, head) in cloud.heads(&common::sealer()).unwrap() {
        late.recorder.adopt_retired(&head).unwrap();
    }
    assert_eq!(late.recorder.is_retired(), Some(retired));
    assert!(matches!(late.try_poll(&cloud), Err(Error::Retired(_))), "it merges nothing");
}

#[test]
fn rejoining_takes_the_state_of_the_others_and_keeps_what_was_unsent() {
    let (d, mut cloud) = devices(2);
    let (a, late) = (&d[0], &d[1]);
    late.set("late-old", "v");
    settle(&[a, late], &mut cloud);
    late.set("unsent", "v");
    late.set("k", "older than what a writes");
    late.set("late-old", "changed, and never sent");
    a.clock.advance(200 * DAY);
    a.remove("kept");
    a.remove("late-old");
    a.set("k", "newer");
    a.set("new", "v");
    assert_eq!(a.recorder.retire_unseen(180 * DAY).unwrap().len(), 1);
    a.back_up(&mut cloud);
    a.clock.advance(DAY);
    assert!(trim(a, &[a, late], 0) > 0);
    back_up(&a.recorder, &mut cloud, true);
    // Half of it goes up without looking, half stays in the log.
    late.back_up(&mut cloud);
    late.set("logged", "v");
    late.recorder.write(&ns("s"), &key("channel"), b"v").unwrap();
    for (_, head) in cloud.heads(&common::sealer()).unwrap() {
        late.recorder.adopt_retired(&head).unwrap();
    }
    let old = late.writer();
    // One value that nobody can read stops nothing: it is healed if the others have it, or left.
    for name in ["k", "kept-too"] {
        late.store.write(&ns("m"), &key(name), vec![0; 40]).unwrap();
    }
    let new = rejoin(&late.recorder, &cloud).unwrap();
    assert!(new != old && late.writer() == new && late.recorder.is_retired().is_none());
    let left = late.recorder.read(&ns("m"), &key("kept-too"));
    assert!(matches!(left, Err(kv_core::Error::Corrupt { .. })), "as it was, and told: {left:?}");
    late.remove("kept-too");
    assert_eq!(late.get("kept"), None, "removed and forgotten by the others");
    assert_eq!(late.get("k").as_deref(), Some("newer"), "the stamps it was written with count");
    assert_eq!(late.get("late-old").as_deref(), Some("changed, and never sent"));
    assert_eq!(
        (late.get("unsent").as_deref(), late.get("logged").as_deref()),
        (Some("v"), Some("v"))
    );
    assert_eq!(late.get("new").as_deref(), Some("v"));
    assert!(late.recorder.read(&ns("s"), &key("channel")).unwrap().is_some(), "it does not merge");
    late.back_up(&mut cloud);
    let polled = common::cloud::poll(&a.recorder, &without(&cloud, old)).unwrap();
    assert_eq!(polled.changes.len(), 3, "what was unsent arrives");
    late.back_up(&mut cloud);
    common::cloud::poll(&late.recorder, &without(&cloud, old)).unwrap();
    assert_eq!(a.framed(), late.framed());
}

/// Of two that are passed over one is lost: what the other one had merged of it comes back with that.
#[test]
fn rejoining_keeps_what_a_lost_writer_left_that_nobody_else_has_merged() {
    let (d, mut cloud) = devices(3);
    let (a, late, lost) = (&d[0], &d[1], &d[2]);
    lost.set("known", "v");
    lost.set("removed", "v");
    settle(&[a, late, lost], &mut cloud);
    // The first one sees nothing of this.
    let mut aside = cloud.clone();
    lost.set("unknown", "v");
    lost.set("known", "changed");
    lost.back_up(&mut aside);
    late.poll(&aside);
    a.clock.advance(200 * DAY);
    a.remove("removed");
    a.set("new", "v");
    assert_eq!(a.recorder.retire_unseen(180 * DAY).unwrap().len(), 2);
    a.back_up(&mut cloud);
    a.clock.advance(DAY);
    assert!(trim(a, &[a, late, lost], 0) > 0);
    back_up(&a.recorder, &mut cloud, true);
    for (_, head) in cloud.heads(&common::sealer()).unwrap() {
        late.recorder.adopt_retired(&head).unwrap();
    }
    let old = late.writer();
    rejoin(&late.recorder, &cloud).unwrap();
    assert_eq!(late.get("removed"), None, "removed and forgotten by the others");
    assert_eq!(late.get("unknown").as_deref(), Some("v"));
    assert_eq!(late.get("known").as_deref(), Some("changed"));
    late.back_up(&mut cloud);
    common::cloud::poll(&a.recorder, &without(&without(&cloud, old), lost.writer())).unwrap();
    assert_eq!(a.get("unknown").as_deref(), Some("v"));
    assert_eq!(a.get("known").as_deref(), Some("changed"));
}

fn without(cloud: &Cloud, writer: backup::WriterId) -> Cloud {
    let tag = common::sealer().tag();
    let mut left = cloud.clone();
    left.0.retain(|name, _| backup::ObjectRef::parse(&tag, name).unwrap().id.writer != writer);
    left
}

#[test]
fn rejoining_can_be_broken_off_and_begun_again() {
    let (mut d, mut cloud) = devices(2);
    d[0].clock.advance(200 * DAY);
    d[0].remove("kept");
    d[0].recorder.retire_unseen(180 * DAY).unwrap();
    d[0].back_up(&mut cloud);
    d[1].set("unsent", "v");
    for (_, head) in cloud.heads(&common::sealer()).unwrap() {
        d[1].recorder.adopt_retired(&head).unwrap();
    }
    d[1].recorder.flush().unwrap();
    let heads = cloud.heads(&common::sealer()).unwrap();
    let (object, head) = heads.into_iter().max_by_key(|(_, head)| head.time).unwrap();
    // The head's state is taken half: nothing is removed for what was not seen.
    drop(d[1].recorder.rejoin(object, head));
    d[1].crash();
    assert!(d[1].recorder.is_retired().is_some());
    assert!(d[1].get("k").is_some());
    rejoin(&d[1].recorder, &cloud).unwrap();
    d[1].crash();
    assert!(d[1].recorder.is_retired().is_none());
    assert_eq!((d[1].get("kept"), d[1].get("unsent").as_deref()), (None, Some("v")));
}

#[test]
fn a_device_restored_from_before_a_forgotten_removal_brings_nothing_back() {
    let mut cloud = Cloud::default();
    let a = Device::new(NOW);
    a.set("k", "v");
    a.back_up(&mut cloud);
    let early = cloud.clone();
    a.remove("k");
    a.back_up(&mut cloud);
    a.clock.advance(DAY);
    assert_eq!(trim(&a, &[&a], 0), 1, "nobody else is known");
    // Restored meanwhile, from what was there before.
    let c = Device::restored(&early, NOW);
    assert_eq!(c.get("k").as_deref(), Some("v"));
    c.set("of-c", "v");
    c.back_up(&mut cloud);
    assert!(matches!(a.try_poll(&cloud), Err(Error::Retired(_))), "it may hold what is forgotten");
    assert_eq!(a.get("k"), None);
    // It learns so from a's next head, rejoins, and then all is well.
    a.back_up(&mut cloud);
    a.set("more", "v");
    a.back_up(&mut cloud);
    for (_, head) in cloud.heads(&common::sealer()).unwrap() {
        c.recorder.adopt_retired(&head).unwrap();
    }
    let old = c.writer();
    rejoin(&c.recorder, &cloud).unwrap();
    assert_eq!((c.get("k"), c.get("of-c").as_deref()), (None, Some("v")));
    c.back_up(&mut cloud);
    common::cloud::poll(&a.recorder, &without(&cloud, old)).unwrap();
    assert_eq!(a.framed(), c.framed());
}

#[test]
fn an_old_copy_goes_on_under_a_new_writer_id() {
    let (mut d, mut cloud) = devices(1);
    let a = d.remove(0);
    a.back_up(&mut cloud);
    let copy = a.copy(NOW);
    assert_eq!(copy.writer(), a.writer());
    // Both go on: the original is ahead in the cloud, the copy has changes of its own.
    a.set("of-a", "v");
    a.remove("k");
    a.back_up(&mut cloud);
    copy.set("of-copy", "v");
    copy.set("k", "of the copy, older");
    let (sequence, lag) = (copy.recorder.sequence(), copy.recorder.lag());
    let old = copy.recorder.state();
    let new = copy.recorder.continue_as_new_writer().unwrap();
    assert!(new != a.writer() && copy.writer() == new);
    assert_eq!((copy.recorder.sequence(), copy.recorder.lag()), (sequence, lag), "nothing is lost");
    // What a backup that was under way acknowledges is of the old chain.
    copy.recorder.acknowledge(old).unwrap();
    assert_eq!(copy.writer(), new);
    settle(&[&a, &copy], &mut cloud);
    assert_eq!(a.framed(), copy.framed());
    for device in [&a, &copy] {
        assert_eq!(
            (device.get("of-a").as_deref(), device.get("of-copy").as_deref()),
            (Some("v"), Some("v"))
        );
    }
    let c = Device::restored(&cloud, NOW);
    c.poll(&cloud);
    assert_eq!(c.framed(), a.framed());
}

#[test]
fn a_new_writer_id_survives_a_crash() {
    let (mut d, mut cloud) = devices(1);
    d[0].set("more", "v");
    let new = d[0].recorder.continue_as_new_writer().unwrap();
    d[0].crash();
    assert_eq!(d[0].writer(), new);
    assert_eq!(d[0].get("more").as_deref(), Some("v"));
    d[0].clock.set(Timestamp(0));
    d[0].set("more", "later");
    settle(&[&d[0]], &mut cloud);
    let c = Device::restored(&cloud, NOW);
    assert_eq!(c.get("more").as_deref(), Some("later"), "stamps go on behind the old ones");
}

#[test]
fn what_a_retired_writer_puts_is_passed_over() {
    let (d, mut cloud) = devices(2);
    let (a, late) = (&d[0], &d[1]);
    a.clock.advance(200 * DAY);
    assert_eq!(a.recorder.retire_unseen(180 * DAY).unwrap().len(), 1);
    late.set("late", "v");
    late.back_up(&mut cloud);
    let refused = a.try_poll(&cloud);
    assert!(matches!(refused, Err(Error::Retired(r)) if r.writer == late.writer()), "{refused:?}");
    assert_eq!(a.get("late"), None);
    // Nor is it restored, although its head is the newest.
    late.clock.advance(400 * DAY);
    a.set("a", "v");
    a.back_up(&mut cloud);
    late.set("late", "later");
    late.back_up(&mut cloud);
    let restored = Device::restored(&cloud, NOW);
    assert_eq!((restored.get("late"), restored.get("a").as_deref()), (None, Some("v")));
}
