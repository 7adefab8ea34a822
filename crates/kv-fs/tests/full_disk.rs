//! A full disk refuses what needs room, loses nothing, and still takes removals and a close.

mod common;

use common::{Contents, key, ns, small, verify};
use kv_core::{Batch, Error, KvStore, KvStoreExt, Namespace};
use kv_fs::{FsStore, Settings, disk::SimDisk};

fn settings() -> Settings {
    let mut settings = small();
    settings.segment_size = 8 << 10;
    settings
}

#[test]
fn a_full_disk_refuses_and_goes_on() {
    let disk = SimDisk::new();
    let store = FsStore::open_on(disk.mount(), settings()).unwrap();
    let bookkeeping = Namespace::reserved("~layer", "").unwrap();
    disk.set_quota(Some(150_000));
    let mut expected = Contents::default();
    let mut refused = 0;
    // Small values, big ones, and such that a whole segment is too small for.
    for n in 0..400u32 {
        let len = [700, 3000, 9000, 12_000][n as usize % 4];
        let batch = Batch::new().put(&ns("a"), &key(&format!("key-{n}")), vec![n as u8; len]);
        match store.submit(batch.clone()).wait() {
            Ok(()) => expected.apply(&batch),
            Err(error) => {
                assert!(matches!(error, Error::Full { .. }) && error.is_refusal(), "{error:?}");
                refused += 1;
            }
        }
    }
    assert!(refused > 100, "the disk was never full");
    assert!(expected.values.len() > 5);
    assert_eq!(Contents::of(&store).unwrap(), expected);

    // Removals still work, also with a decorator's bookkeeping beside them.
    let names: Vec<_> = expected.values.keys().cloned().collect();
    for (n, (ns, key)) in names.iter().take(5).enumerate() {
        let note = vec![n as u8; 200];
        let batch = Batch::new().remove(ns, key).put(&bookkeeping, &kv_core::Key::number(1), note);
        store.submit(batch.clone()).wait().unwrap();
        expected.apply(&batch);
    }
    assert_eq!(Contents::of(&store).unwrap(), expected);

    // What was removed has made room.
    let batch = Batch::new().put(&ns("b"), &key("again"), vec![7; 700]);
    store.submit(batch.clone()).wait().unwrap();
    expected.apply(&batch);
    store.close().unwrap();
    drop(store);

    disk.crash();
    // The close could not move everything to files, so the open needs room to begin the log anew.
    disk.set_quota(None);
    let store = FsStore::open_on(disk.mount(), settings()).unwrap();
    assert_eq!(Contents::of(&store).unwrap(), expected);
    assert!(!verify(&store).is_damaged());
}

#[test]
fn what_was_removed_makes_room_for_the_next_value() {
    let disk = SimDisk::new();
    let store = FsStore::open_on(disk.mount(), settings()).unwrap();
    store.write(&ns("a"), &key("old"), vec![1; 50_000]).unwrap();
    store.close().unwrap();
    let store = FsStore::open_on(disk.mount(), settings()).unwrap();
    disk.set_quota(Some(disk.used() + 1000));
    let refused = store.write(&ns("a"), &key("new"), vec![2; 50_000]);
    assert!(matches!(refused, Err(Error::Full { .. })), "{refused:?}");
    store.remove(&ns("a"), &key("old")).unwrap();
    store.write(&ns("a"), &key("new"), vec![2; 50_000]).unwrap();
}

#[test]
fn a_disk_without_a_free_byte_takes_removals_and_a_close() {
    let disk = SimDisk::new();
    let store = FsStore::open_on(disk.mount(), settings()).unwrap();
    for n in 0..20 {
        store.write(&ns("a"), &key(&format!("key-{n}")), vec![1; 500]).unwrap();
    }
    disk.set_quota(Some(disk.used()));
    for n in 0..19 {
        store.remove(&ns("a"), &key(&format!("key-{n}"))).unwrap();
    }
    assert_eq!(store.list_all(&ns("a")).unwrap(), [key("key-19")]);
    store.close().unwrap();
    drop(store);
    disk.crash();
    disk.set_quota(None);
    let store = FsStore::open_on(disk.mount(), settings()).unwrap();
    assert_eq!(store.list_all(&ns("a")).unwrap(), [key("key-19")]);
    assert!(!verify(&store).is_damaged());
}

#[test]
fn a_disk_that_is_full_at_open_says_so_and_loses_nothing() {
    let disk = SimDisk::new();
    let store = FsStore::open_on(disk.mount(), settings()).unwrap();
    for n in 0..20 {
        store.write(&ns("a"), &key(&format!("key-{n}")), vec![1; 500]).unwrap();
    }
    disk.kill();
    drop(store);
    disk.set_quota(Some(disk.used()));
    for _ in 0..3 {
        let outcome = FsStore::open_on(disk.mount(), settings());
        assert!(matches!(outcome, Err(Error::Full { .. })), "{outcome:?}");
    }
    disk.set_quota(None);
    let store = FsStore::open_on(disk.mount(), settings()).unwrap();
    assert_eq!(store.list_all(&ns("a")).unwrap().len(), 20);
}

/// Also after the first session, which has used no segment up.
#[test]
fn a_store_that_was_closed_cleanly_opens_on_a_full_disk_and_takes_removals() {
    let disk = SimDisk::new();
    let open = || FsStore::open_on(disk.mount(), settings());
    let store = open().unwrap();
    for n in 0..3 {
        store.write(&ns("a"), &key(&format!("key-{n}")), vec![1; 500]).unwrap();
    }
    store.close().unwrap();
    drop(store);
    disk.crash();
    disk.set_quota(Some(disk.used()));
    for _ in 0..3 {
        let store = open().unwrap();
        assert_eq!(store.list_all(&ns("a")).unwrap().len(), 3);
        store.close().unwrap();
        drop(store);
        disk.crash();
    }
    let store = open().unwrap();
    store.remove(&ns("a"), &key("key-1")).unwrap();
    assert_eq!(store.list_all(&ns("a")).unwrap(), [key("key-0"), key("key-2")]);
}

/// A full table with a checkpoint that cannot make room is a full disk, too.
#[test]
fn a_table_that_cannot_be_emptied_refuses() {
    let disk = SimDisk::new();
    let mut settings = settings();
    settings.segment_size = 64 << 10;
    settings.checkpoint_after = 1 << 20;
    settings.table_budget = 20_000;
    let store = FsStore::open_on(disk.mount(), settings).unwrap();
    store.write(&ns("a"), &key("first"), vec![1; 5000]).unwrap();
    disk.set_quota(Some(disk.used()));
    let mut outcomes =
        (0..10).map(|n| store.write(&ns("a"), &key(&format!("key-{n}")), vec![1; 5000]));
    assert!(outcomes.any(|outcome| matches!(outcome, Err(Error::Full { .. }))));
    drop(outcomes);
    store.remove(&ns("a"), &key("first")).unwrap();
    disk.set_quota(None);
    store.write(&ns("a"), &key("last"), vec![1; 5000]).unwrap();
}
