//! The process is killed, or the power fails, while a wallet is created, persisted or folded.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests may panic")]

mod common;

use std::{collections::HashSet, sync::Arc};

use bdk_wallet::{AsyncWalletPersister, ChangeSet, WalletPersister};
use common::{Changes, states};
use kv_bdk::{BdkPersister, Error};
use kv_core::{
    Batch, Key, KvStore, KvStoreExt, Namespace,
    testing::{Fault, FaultyStore, Landing, Random},
};
use kv_fs::{
    FsStore, Settings,
    disk::{CrashPoint, SimDisk},
};
use kv_mem::MemStore;

fn small() -> Settings {
    let mut settings = Settings::default();
    settings.segment_size = 16 << 10;
    settings.checkpoint_after = 4 << 10;
    settings.big_value = 8 << 10;
    settings
}

fn open(disk: &SimDisk) -> Arc<FsStore> {
    Arc::new(FsStore::open_alone(disk.mount(), small()).unwrap())
}

fn load(store: Arc<dyn KvStore>) -> Result<ChangeSet, Error> {
    WalletPersister::initialize(&mut BdkPersister::new(store, "w").unwrap())
}

fn entries() -> Namespace {
    Namespace::new("bdk", "w").unwrap()
}

/// Persists the changes from this one on and notes every moment between two calls to the disk;
/// the progress says how many were acknowledged, and how many submitted.
fn record(disk: &SimDisk, changes: &[ChangeSet], from: usize) -> Vec<CrashPoint> {
    let store = open(disk);
    let mut persister = BdkPersister::new(store.clone(), "w").unwrap();
    for (n, change) in changes.iter().enumerate() {
        if n == from {
            disk.record();
        }
        let (acknowledged, submitted) = (n as u64, n as u64 + 1);
        disk.set_progress((acknowledged << 32) | submitted);
        WalletPersister::persist(&mut persister, change).unwrap();
        disk.set_progress((submitted << 32) | submitted);
        store.do_background();
    }
    let points = disk.recorded();
    disk.kill();
    points
}

/// Cuts the power at each moment, in up to so many ways, and loads; how many different disks.
fn crash_everywhere(points: &[CrashPoint], states: &[ChangeSet], ways: usize, seed: u64) -> usize {
    let mut random = Random::seeded(seed);
    let mut seen = HashSet::new();
    for point in points {
        let (acknowledged, submitted) = (point.progress >> 32, point.progress & 0xffff_ffff);
        let mut choices = point.disk().choices(random.draw());
        while choices.len() > ways {
            choices.swap_remove(random.below(choices.len() as u64) as usize);
        }
        for fates in choices {
            let disk = point.disk();
            disk.crash_keeping(&fates);
            if !seen.insert((disk.fingerprint(), point.progress)) {
                continue;
            }
            let store = open(&disk);
            let found = load(store.clone()).unwrap();
            let allowed = &states[acknowledged as usize..=submitted as usize];
            assert!(
                allowed.contains(&found),
                "after {} calls, {acknowledged} acknowledged, {submitted} submitted: {fates:?}",
                point.calls
            );
            // And it goes on from there.
            let lost = (submitted as usize).saturating_sub(1);
            let mut persister = BdkPersister::new(store, "w").unwrap();
            let step = Changes::seeded(77).nth(lost).unwrap();
            WalletPersister::persist(&mut persister, &step).unwrap();
        }
    }
    seen.len()
}

#[test]
fn a_power_cut_while_a_wallet_is_created_and_persisted() {
    // Enough of them that the log is changed for a new one and checkpoints come between.
    let changes: Vec<_> = Changes::seeded(77).take(40).collect();
    let points = record(&SimDisk::with_blocks(512), &changes, 0);
    let tried = crash_everywhere(&points, &states(&changes), usize::MAX, 1);
    println!("{tried} crash states at {} points", points.len());
    assert!(tried > 250, "{tried} crash states");
}

#[test]
fn a_power_cut_while_entries_are_replaced_by_their_merge() {
    // The 257th replaces the others; one more follows, and a checkpoint removes their files.
    let changes: Vec<_> = Changes::seeded(77).take(258).collect();
    let disk = SimDisk::with_blocks(512);
    let points = record(&disk, &changes, 256);
    let store = open(&disk);
    assert_eq!(store.list_all(&entries()).unwrap().len(), 2, "they were replaced");
    disk.kill();
    // While a checkpoint removes 256 files nothing happens here; a few of its moments are enough.
    let points: Vec<_> =
        points.into_iter().enumerate().filter(|(n, _)| *n < 30 || n % 24 == 0).collect();
    let points: Vec<_> = points.into_iter().map(|(_, point)| point).collect();
    let tried = crash_everywhere(&points, &states(&changes), 4, 2);
    println!("{tried} crash states at {} points", points.len());
    assert!(tried > 10, "{tried} crash states at {} points", points.len());
}

/// The entries that these changes make.
fn entries_of(changes: &[ChangeSet]) -> Batch {
    let store = Arc::new(MemStore::new());
    let mut persister = BdkPersister::new(store.clone(), "w").unwrap();
    for change in changes {
        WalletPersister::persist(&mut persister, change).unwrap();
    }
    let mut batch = Batch::new();
    for key in store.list_all(&entries()).unwrap() {
        let value = store.read_required(&entries(), &key).unwrap();
        batch = batch.put(&entries(), &key, value);
    }
    batch
}

#[test]
fn a_failure_at_every_operation() {
    // Creation; in the middle; around the 257th, which replaces the others.
    for from in [0, 2, 255] {
        let changes: Vec<_> = Changes::seeded(5).take(from + 3).collect();
        let states = states(&changes);
        let before = entries_of(&changes[..from]);
        for landing in [Landing::Absent, Landing::Landed] {
            let mut nth = 1;
            loop {
                let (inner, fault) = (Arc::new(MemStore::new()), Arc::new(Fault::default()));
                inner.submit(before.clone()).wait().unwrap();
                let faulty = Arc::new(FaultyStore::new(inner.clone(), fault.clone()));
                let mut persister = BdkPersister::new(faulty, "w").unwrap();
                fault.fail_nth(nth, landing);
                let mut done = from;
                let outcome = changes[from..].iter().try_for_each(|change| {
                    WalletPersister::persist(&mut persister, change).map(|()| done += 1)
                });
                let found = load(inner).unwrap();
                if !fault.fired() {
                    outcome.unwrap();
                    assert_eq!(found, states[from + 3]);
                    break;
                }
                assert!(matches!(outcome, Err(Error::Store(kv_core::Error::Io { .. }))));
                let landed = landing == Landing::Landed && found == states[done + 1];
                assert!(landed || found == states[done], "operation {nth}, {done} acknowledged");
                // Of the readings of single entries a few are enough.
                nth = match nth {
                    8..250 if from == 255 => (nth + 61).min(250),
                    268..510 if from == 255 => (nth + 61).min(510),
                    _ => nth + 1,
                };
            }
        }
    }
}

#[test]
fn a_failure_while_the_disk_is_waited_for_is_told() {
    let disk = SimDisk::new();
    let store = open(&disk);
    let changes: Vec<_> = Changes::seeded(6).take(2).collect();
    let mut persister = BdkPersister::new(store, "w").unwrap();
    WalletPersister::persist(&mut persister, &changes[0]).unwrap();
    disk.fail_nth(1, std::io::ErrorKind::StorageFull);
    for _ in 0..2 {
        let outcome = WalletPersister::persist(&mut persister, &changes[1]);
        assert!(matches!(outcome, Err(Error::Store(_))), "{outcome:?}");
    }
    assert!(disk.fired());
}

#[test]
fn a_dropped_future_loses_no_order() {
    let disk = SimDisk::new();
    let store = open(&disk);
    let changes: Vec<_> = Changes::seeded(6).take(259).collect();
    let mut persister = BdkPersister::new(store.clone(), "w").unwrap();
    let mut dropped = 0;
    for (n, change) in changes.iter().enumerate() {
        if (n % 3 == 1 && n < 255) || n == 255 {
            // Submitted, and never asked again. Nobody flushes for it, as on a busy disk.
            let mut future = AsyncWalletPersister::persist(&mut persister, change);
            let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
            dropped += u32::from(future.as_mut().poll(&mut cx).is_pending());
        } else {
            WalletPersister::persist(&mut persister, change).unwrap();
        }
    }
    assert!(dropped > 80, "{dropped} futures dropped");
    // The 256th was on its way when the 257th came, so that the 258th replaced them.
    assert_eq!(load(store.clone()).unwrap(), states(&changes)[259]);
    assert_eq!(store.list_all(&entries()).unwrap(), [258, 259].map(Key::number));
}
