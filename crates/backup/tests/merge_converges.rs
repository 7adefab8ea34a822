//! Whatever the order of writes, merges, backups and crashes, and whatever the clocks say: all
//! devices end with the same state, and of each key it is the one with the greatest stamp.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "helpers of tests panic")]

mod common;

use std::collections::BTreeMap;

use common::{
    FRAME,
    cloud::{Cloud, back_up, poll_until},
    device::Device,
};
use kv_core::{Clock, Timestamp, testing::Random};
use proptest::prelude::*;

const NOW: u64 = 1_700_000_000_000;
const DAY: u64 = 86_400_000;

#[derive(Debug, Clone)]
enum Step {
    Set(u8, String),
    Remove(u8),
    BackUp,
    Dump,
    Poll,
    /// A merge that is interrupted after so many steps, by a power cut.
    PollAndCrash(u8),
    Crash,
    /// The clock is moved by so many milliseconds.
    Clock(i64),
    Trim,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (0..6u8, "[a-c]{1,2}").prop_map(|(key, value)| Step::Set(key, value)),
        3 => (0..6u8).prop_map(Step::Remove),
        4 => Just(Step::BackUp),
        1 => Just(Step::Dump),
        4 => Just(Step::Poll),
        2 => (0..4u8).prop_map(Step::PollAndCrash),
        1 => Just(Step::Crash),
        2 => prop_oneof![-5 * DAY as i64..5 * DAY as i64, -2..2i64].prop_map(Step::Clock),
        1 => Just(Step::Trim),
    ]
}

/// Per key every stamp that was acknowledged, by writer, with the value.
type Written = BTreeMap<String, BTreeMap<Vec<u8>, Option<String>>>;

fn play(devices: usize, steps: &[(u8, Step)]) {
    let mut cloud = Cloud::default();
    let mut devices: Vec<Device> = (0..devices as u64).map(|i| Device::new(NOW + i)).collect();
    let mut written = Written::new();
    for (who, step) in steps {
        let index = usize::from(*who) % devices.len();
        let writers: Vec<_> = devices.iter().map(Device::writer).collect();
        let device = &mut devices[index];
        match step {
            Step::Set(key, value) => {
                device.set(&format!("k{key}"), value);
                note(&mut written, device, *key, Some(value));
            }
            Step::Remove(key) => {
                device.remove(&format!("k{key}"));
                note(&mut written, device, *key, None);
            }
            Step::BackUp => device.back_up(&mut cloud),
            Step::Dump => back_up(&device.recorder, &mut cloud, true),
            Step::Poll => drop(device.poll(&cloud)),
            Step::PollAndCrash(steps) => {
                poll_until(&device.recorder, &cloud, usize::from(*steps)).unwrap();
                device.crash();
            }
            Step::Crash => device.crash(),
            Step::Clock(by) => {
                let Timestamp(now) = device.clock.now();
                device.clock.set(Timestamp(now.saturating_add_signed(*by)));
            }
            Step::Trim => drop(device.recorder.trim_tombstones(&writers, 0).unwrap()),
        }
    }
    for _ in 0..3 {
        for device in &devices {
            device.back_up(&mut cloud);
            device.poll(&cloud);
        }
    }
    let restored = Device::restored(&cloud, NOW);
    restored.poll(&cloud);
    let expected = devices[0].framed();
    for device in devices.iter().chain([&restored]) {
        assert_eq!(device.framed(), expected);
    }
    for (key, changes) in written {
        let (stamp, value) = changes.last_key_value().unwrap();
        assert_eq!(&devices[0].get(&key), value, "{key} at {stamp:?}");
    }
}

/// The stamp of what was just written, in an order that bytes can be compared in.
fn note(written: &mut Written, device: &Device, key: u8, value: Option<&str>) {
    let key = format!("k{key}");
    let place = (common::ns("m"), common::key(&key));
    let stamp = match device.framed().get(&place) {
        Some(framed) => framed[1..FRAME].to_vec(),
        None => {
            let tombstones = common::contents(&device.store);
            let newest = tombstones.iter().rfind(|((ns, _), _)| *ns == common::own("tombstones"));
            // A list of one pair: the stamp, and the list of names.
            newest.unwrap().1[8..8 + FRAME - 1].to_vec()
        }
    };
    let (time, rest) = stamp.split_at(8);
    let (counter, writer) = rest.split_at(4);
    let order = time.iter().rev().chain(counter.iter().rev()).chain(writer).copied().collect();
    written.entry(key).or_default().insert(order, value.map(str::to_owned));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn two_devices_converge(steps in proptest::collection::vec((any::<u8>(), step()), 0..60)) {
        play(2, &steps);
    }

    #[test]
    fn three_devices_converge(steps in proptest::collection::vec((any::<u8>(), step()), 0..60)) {
        play(3, &steps);
    }
}

#[test]
fn the_order_of_merging_does_not_matter() {
    for seed in 0..50 {
        let mut random = Random::seeded(seed);
        let mut cloud = Cloud::default();
        let writers: Vec<Device> = (0..3).map(|i| Device::new(NOW + i * 7)).collect();
        for _ in 0..40 {
            let device = &writers[random.below(3) as usize];
            let key = format!("k{}", random.below(5));
            if random.below(3) == 0 {
                device.remove(&key);
            } else {
                device.set(&key, &random.below(1000).to_string());
            }
        }
        // Each reads the others from clouds of their own, in another order, some of them twice.
        let mut clouds = Vec::new();
        for device in &writers {
            let mut alone = Cloud::default();
            device.back_up(&mut alone);
            cloud.0.extend(alone.0.clone());
            clouds.push(alone);
        }
        let readers: Vec<Device> = (0..4).map(|_| Device::new(NOW)).collect();
        for (i, reader) in readers.iter().enumerate() {
            for step in 0..4 {
                let which = [[0, 1, 2, 0], [2, 1, 0, 2], [1, 2, 0, 1], [1, 0, 2, 2]][i][step];
                reader.poll(&clouds[which]);
            }
            assert_eq!(reader.framed(), readers[0].framed(), "seed {seed}, order {i}");
        }
        // Merged by one first, then taken from there: the same.
        let mut through = Cloud::default();
        writers[0].poll(&cloud);
        back_up(&writers[0].recorder, &mut through, true);
        let last = Device::new(NOW);
        last.poll(&through);
        assert_eq!(last.framed(), readers[0].framed(), "seed {seed}");
    }
}
