//! Work in the background: checkpoints under load, back-pressure, lazy batches, awaited and dropped commits.

mod common;

use std::{
    future::Future,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Wake, Waker},
    thread,
    time::{Duration, Instant},
};

use common::{SimBed, key, ns, small, verify};
use kv_core::{Batch, KvStore, KvStoreExt, testing::block_on};
use kv_fs::{FsStore, disk::SimDisk};
use tempfile::TempDir;

/// Readers and a scrub meet files that checkpoints replace, move and remove all the time.
#[test]
fn checkpoints_under_load_disturb_nobody() {
    let dir = TempDir::new().unwrap();
    let mut settings = small();
    settings.segment_size = 8 << 10;
    settings.checkpoint_after = 8 << 10;
    settings.big_value = 2000;
    let store = FsStore::open(dir.path(), settings.clone()).unwrap();
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        for thread in 0..2u8 {
            let (store, stop) = (&store, &stop);
            scope.spawn(move || {
                let ns = ns(&format!("t{thread}"));
                for n in 0..150u8 {
                    let name = key(&format!("key-{}", n % 4));
                    if n % 7 == 3 {
                        store.remove(&ns, &name).unwrap();
                    } else {
                        let len = if n % 5 == 0 { 3000 } else { 600 };
                        store.write(&ns, &name, vec![n; len]).unwrap();
                    }
                }
                stop.store(true, Ordering::Relaxed);
            });
        }
        let (store, stop) = (&store, &stop);
        scope.spawn(move || {
            while !stop.load(Ordering::Relaxed) {
                for ns in store.namespaces().unwrap() {
                    for key in store.list_all(&ns).unwrap() {
                        let value = store.read(&ns, &key).unwrap().unwrap_or_default();
                        assert!(value.iter().all(|byte| Some(byte) == value.first()));
                    }
                }
                let report = verify(store);
                assert!(!report.is_damaged(), "{:?}", report.findings);
            }
        });
    });
    assert!(dir.path().join("t0/[empty]").exists(), "no checkpoint has run");
    let before = common::Contents::of(&store).unwrap();
    drop(store);
    let store = FsStore::open(dir.path(), settings).unwrap();
    assert_eq!(common::Contents::of(&store).unwrap(), before);
    assert!(verify(&store).findings.is_empty());
}

#[test]
fn writers_wait_rather_than_fill_the_memory() {
    let disk = SimDisk::new();
    let mut settings = small();
    settings.table_budget = 20_000;
    settings.checkpoint_after = 1 << 30;
    let store = FsStore::open_on(disk.mount(), settings).unwrap();
    for n in 0..100 {
        drop(store.submit(Batch::new().put(&ns("a"), &key(&format!("key-{n}")), vec![1; 2000])));
        let size = store.capabilities().footprint.unwrap().footprint().unwrap();
        assert!(size.memory_bytes < 20_000 + 60_000, "{size:?}");
    }
    // More at once than the budget allows is taken alone.
    store.write(&ns("a"), &key("a-batch"), vec![2; 8000]).unwrap();
    let mut batch = Batch::new();
    for n in 0..10 {
        batch = batch.put(&ns("b"), &key(&format!("key-{n}")), vec![1; 4000]);
    }
    store.submit(batch).wait().unwrap();
    store.flush().unwrap();
    assert_eq!(store.list_all(&ns("a")).unwrap().len(), 101);
}

#[test]
fn the_log_is_used_again() {
    let bed = SimBed::default();
    let store = bed.store().unwrap();
    for n in 0..10_000u32 {
        store.write(&ns("a"), &key(&format!("key-{}", n % 10)), vec![n as u8; 1000]).unwrap();
    }
    store.close().unwrap();
    // Ten thousand batches of 1 KiB went through a log of segments that begin with 16 KiB. How far
    // they grow depends on how soon a checkpoint gets its turn; the end of it is the next test's.
    assert!(bed.disk.used() < 6_000_000, "{} bytes on disk", bed.disk.used());
}

/// Of ten keys no write over and over fills the memory, so a checkpoint that does not get its turn
/// must be waited for in another way.
#[test]
fn writers_wait_rather_than_let_the_log_grow() {
    let disk = SimDisk::new();
    let store = FsStore::open_alone(disk.mount(), small()).unwrap();
    let mut most = 0;
    for n in 0..10_000u32 {
        store.write(&ns("a"), &key(&format!("key-{}", n % 10)), vec![n as u8; 1000]).unwrap();
        most = most.max(disk.used());
    }
    // 40 times `checkpoint_after`, what is ready and what is spare.
    assert!(most < 3_000_000, "{most} bytes on disk");
    assert_eq!(store.list_all(&ns("a")).unwrap().len(), 10);
}

#[test]
fn many_commits_share_a_sync() {
    let bed = SimBed::default();
    let store = bed.store().unwrap();
    store.write(&ns("a"), &key("warm"), b"x").unwrap();
    let before = bed.disk.calls();
    let batch = |n: u32| Batch::new().put(&ns("a"), &key(&format!("key-{n}")), b"small");
    let commits: Vec<_> = (0..100).map(|n| store.submit(batch(n))).collect();
    for commit in commits {
        block_on(commit).unwrap();
    }
    let calls = bed.disk.calls() - before;
    assert!(calls < 60, "a hundred commits cost {calls} disk calls");
}

#[test]
fn a_lazy_batch_is_invisible_until_flushed_and_lands_by_itself() {
    let bed = SimBed::default();
    let store = bed.store().unwrap();
    let commit = store.submit(Batch::new().put(&ns("a"), &key("k"), b"lazy").lazy());
    let receipt = commit.receipt();
    commit.wait().unwrap();
    let begun = Instant::now();
    while receipt.outcome().is_none() {
        assert!(begun.elapsed() < Duration::from_secs(5), "a lazy batch did not land");
        thread::yield_now();
    }
    assert_eq!(&*store.read_required(&ns("a"), &key("k")).unwrap(), b"lazy");
    bed.disk.crash();
    drop(store);
    assert!(bed.store().unwrap().read(&ns("a"), &key("k")).unwrap().is_some());
}

/// A commit that outlives its store still knows what became of its batch.
#[test]
fn closing_decides_every_commit() {
    let bed = SimBed::default();
    let store = bed.store().unwrap();
    let synced = store.submit(Batch::new().put(&ns("a"), &key("k"), b"1"));
    let lazy = store.submit(Batch::new().put(&ns("a"), &key("l"), b"2").lazy());
    let receipt = lazy.receipt();
    drop(store);
    assert!(matches!(receipt.outcome(), Some(Ok(()))));
    synced.wait().unwrap();
    assert_eq!(bed.store().unwrap().list_all(&ns("a")).unwrap(), [key("k"), key("l")]);
}

/// A flush shares its place in the order with the batch before it: both tasks are woken.
#[test]
fn everyone_who_awaits_is_woken() {
    let dir = TempDir::new().unwrap();
    let store = FsStore::open(dir.path(), small()).unwrap();
    let mut both_waited = 0;
    for n in 0..200 {
        let batch = Batch::new().put(&ns("a"), &key("k"), vec![n; 2000]);
        let mut commits = [store.submit(batch), store.submit(Batch::new())];
        let woken = [Arc::new(Woken::default()), Arc::new(Woken::default())];
        let mut waits = [false; 2];
        for ((commit, woken), waits) in commits.iter_mut().zip(&woken).zip(&mut waits) {
            let waker = Waker::from(Arc::clone(woken));
            let polled = Pin::new(commit).poll(&mut Context::from_waker(&waker));
            *waits = polled.is_pending();
        }
        both_waited += u32::from(waits == [true; 2]);
        let begun = Instant::now();
        for (woken, _) in woken.iter().zip(waits).filter(|(_, waits)| *waits) {
            while !woken.0.load(Ordering::Relaxed) {
                assert!(begun.elapsed() < Duration::from_secs(5), "a task was never woken");
                thread::yield_now();
            }
        }
    }
    assert!(both_waited > 0, "the flushes were too quick to show anything");
}

#[derive(Default)]
struct Woken(AtomicBool);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::Relaxed);
    }
}
