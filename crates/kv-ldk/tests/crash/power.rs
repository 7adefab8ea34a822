//! The power fails between any two calls to the disk.

use std::{
    collections::HashSet,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use kv_core::testing::Random;
use kv_fs::{FsStore, Settings, disk::SimDisk};
use kv_ldk::StrongroomStore;

use crate::pair::{Keeps, Pair, load};

/// At each moment so many of the disks that a power cut may leave.
const WAYS: usize = 2;

fn open(disk: &SimDisk) -> Arc<FsStore> {
    let mut settings = Settings::default();
    settings.segment_size = 16 << 10;
    settings.checkpoint_after = 32 << 10;
    Arc::new(FsStore::open_alone(disk.mount(), settings).unwrap())
}

#[test]
fn a_power_cut_at_any_moment_leaves_what_ldk_loads() {
    let (disk, revoked) = (SimDisk::new(), AtomicU64::new(0));
    let store = open(&disk);
    let revoke = || disk.set_progress(revoked.fetch_add(1, Ordering::SeqCst) + 1);
    let background = || store.do_background();
    let pair = Pair::open(Keeps::Whole, store.clone(), &revoke, &background);
    let number_0 = pair.number();
    disk.record();
    pair.pay_both_ways(1);
    let points = disk.recorded();
    disk.kill();

    let (mut random, mut seen, mut closed) = (Random::seeded(6), HashSet::new(), 0);
    for point in &points {
        let mut choices = point.disk().choices(random.draw());
        while choices.len() > WAYS {
            choices.swap_remove(random.below(choices.len() as u64) as usize);
        }
        for fates in choices {
            let disk = point.disk();
            disk.crash_keeping(&fates);
            if !seen.insert((disk.fingerprint(), point.progress)) {
                continue;
            }
            let store = StrongroomStore::new(open(&disk));
            closed += u64::from(load(Keeps::Whole, store, number_0, point.progress));
        }
    }
    println!("{} disks at {} moments, the channel closed on {closed}", seen.len(), points.len());
    assert!(seen.len() > 50, "{}", seen.len());
    // LDK 0.2 does this by design, where the manager is not on the disk yet; and only there.
    assert!(closed > 0 && closed < seen.len() as u64, "{closed}");
}
