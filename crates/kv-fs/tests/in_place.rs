//! Checkpoints write over the files that keys have: what that may leave behind never shows.
#![expect(clippy::unwrap_used, reason = "tests may panic")]

mod common;

use common::{ns, small};
use kv_core::{Key, KvStore, KvStoreExt, Value};
use kv_fs::{
    FsStore, Settings,
    disk::{Again, Cause, DiskCall, Fault, SimDisk},
};

fn settings(sync_disk_from: usize) -> Settings {
    let mut settings = small();
    settings.sync_disk_from = sync_disk_from;
    settings
}

fn key() -> Key {
    Key::new("k").unwrap()
}

fn read(store: &FsStore) -> Value {
    store.read_required(&ns("a"), &key()).unwrap()
}

fn fails_once(disk: &SimDisk, only: &'static [DiskCall]) {
    let cause = Cause::Kind(std::io::ErrorKind::Other);
    disk.fail(Some(Fault { nth: 1, only, cause, short: false, again: Again::Never }));
}

/// The file is the one it was, so that no inode is made, found or freed.
#[test]
fn a_value_that_is_not_shorter_is_written_over_the_old_one() {
    let disk = SimDisk::new();
    let store = FsStore::open_alone(disk.mount(), settings(usize::MAX)).unwrap();
    for (len, may_create) in [(100, true), (100, false), (300, false), (299, true), (300, false)] {
        store.write(&ns("a"), &key(), vec![len as u8; len]).unwrap();
        // If a file is created, it says so by failing.
        fails_once(&disk, &[DiskCall::Create]);
        let outcome = store.checkpoint_now();
        assert_eq!(outcome.is_err(), may_create, "{len}");
        disk.fail(None);
        if outcome.is_err() {
            store.checkpoint_now().unwrap();
        }
        assert_eq!(disk.contents("a/[empty]/k").unwrap(), vec![len as u8; len]);
    }
}

/// A checkpoint that failed, or was cut short by a crash, may have left a longer value in the file
/// than the index knows of.
#[test]
fn what_a_failed_checkpoint_wrote_over_a_file_never_shows() {
    for (sync_disk_from, sync) in [(usize::MAX, DiskCall::SyncAll), (1, DiskCall::SyncDisk)] {
        for is_killed in [false, true] {
            let disk = SimDisk::new();
            let open = || FsStore::open_alone(disk.mount(), settings(sync_disk_from)).unwrap();
            let mut store = open();
            store.write(&ns("a"), &key(), vec![1; 100]).unwrap();
            store.checkpoint_now().unwrap();
            store.write(&ns("a"), &key(), vec![2; 300]).unwrap();
            let only: &'static [DiskCall] = if sync == DiskCall::SyncAll {
                &[DiskCall::SyncAll]
            } else {
                &[DiskCall::SyncDisk]
            };
            fails_once(&disk, only);
            store.checkpoint_now().unwrap_err();
            assert!(disk.fired());
            assert_eq!(disk.contents("a/[empty]/k").unwrap().len(), 300, "written over");
            if is_killed {
                disk.kill();
                drop(store);
                store = open();
                assert_eq!(*read(&store), [2; 300]);
            }
            // Longer than what the index knows, shorter than what is there.
            store.write(&ns("a"), &key(), vec![3; 200]).unwrap();
            store.checkpoint_now().unwrap();
            assert_eq!(*read(&store), [3; 200]);
            disk.crash();
            drop(store);
            let store = open();
            assert_eq!(*read(&store), [3; 200]);
            store.close().unwrap();
            assert_eq!(disk.contents("a/[empty]/k").unwrap(), vec![3; 200]);
        }
    }
}

/// Every block of the file may be the old one, the new one, or torn: the log has the value.
#[test]
fn a_power_cut_while_a_file_is_written_over_leaves_the_value() {
    let disk = SimDisk::with_blocks(512);
    let store = FsStore::open_alone(disk.mount(), settings(usize::MAX)).unwrap();
    store.write(&ns("a"), &key(), vec![1; 3000]).unwrap();
    store.checkpoint_now().unwrap();
    store.write(&ns("a"), &key(), vec![2; 3000]).unwrap();
    disk.record();
    store.checkpoint_now().unwrap();
    let (mut states, mut torn) = (0, 0);
    for point in disk.recorded() {
        for fates in point.disk().choices(7) {
            let disk = point.disk();
            disk.crash_keeping(&fates);
            let file = disk.contents("a/[empty]/k").unwrap();
            torn += usize::from(file != vec![1; 3000] && file != vec![2; 3000]);
            let store = FsStore::open_alone(disk.mount(), settings(usize::MAX)).unwrap();
            assert_eq!(*read(&store), [2; 3000]);
            store.close().unwrap();
            assert_eq!(disk.contents("a/[empty]/k").unwrap(), vec![2; 3000]);
            states += 1;
        }
    }
    assert!(torn > 20, "{torn} of {states} crashes have torn the file");
}
