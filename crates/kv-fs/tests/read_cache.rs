//! The read cache never shows: but for the time a read takes, a store with one is like a store
//! without.

#![expect(clippy::unwrap_used, reason = "tests may panic")]

mod common;

use std::{
    fs,
    sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst},
    thread,
};

use common::{SimBed, key, ns, small, verify};
use kv_core::{Batch, Error, KvStore, KvStoreExt, Value};
use kv_fs::{
    FsStore, OutsideChanges, Settings,
    disk::{Again, Cause, DiskCall, Fault},
};
use tempfile::TempDir;

fn with_cache(bytes: usize) -> Settings {
    let mut settings = small();
    settings.read_cache = bytes;
    settings
}

/// Every file read fails from here on.
fn fail_reads(bed: &SimBed) {
    let cause = Cause::Kind(std::io::ErrorKind::Other);
    let again = Again::SameCall;
    bed.disk.fail(Some(Fault { nth: 1, only: &[DiskCall::Read], cause, short: false, again }));
}

fn read(store: &FsStore, name: &str) -> kv_core::Result<Option<Value>> {
    store.read(&ns("a"), &key(name))
}

/// A store with values in files that were read once.
fn read_once(bed: &SimBed, settings: Settings) -> FsStore {
    let store = FsStore::open_on(bed.disk.mount(), settings).unwrap();
    for name in ["k", "l", "m"] {
        store.write(&ns("a"), &key(name), format!("old {name}")).unwrap();
    }
    store.checkpoint_now().unwrap();
    for name in ["k", "l", "m"] {
        assert_eq!(&*read(&store, name).unwrap().unwrap(), format!("old {name}").as_bytes());
    }
    store
}

#[test]
fn what_was_read_is_read_again_without_the_disk() {
    let bed = SimBed::default();
    let store = read_once(&bed, with_cache(1 << 20));
    fail_reads(&bed);
    assert_eq!(&*read(&store, "k").unwrap().unwrap(), b"old k");
    drop(store);

    let bed = SimBed::default();
    let store = read_once(&bed, with_cache(0));
    fail_reads(&bed);
    assert!(matches!(read(&store, "k"), Err(Error::Io { .. })));
}

#[test]
fn a_value_read_from_memory_is_still_there_after_a_checkpoint() {
    let bed = SimBed::default();
    let store = read_once(&bed, with_cache(1 << 20));
    store.write(&ns("a"), &key("k"), "new").unwrap();
    assert_eq!(&*read(&store, "k").unwrap().unwrap(), b"new");
    store.checkpoint_now().unwrap();
    fail_reads(&bed);
    assert_eq!(&*read(&store, "k").unwrap().unwrap(), b"new");
}

#[test]
fn no_change_leaves_the_value_before_it_to_be_read() {
    let big = vec![7; 20_000];
    for checkpoint in [false, true] {
        let bed = SimBed::default();
        let store = read_once(&bed, with_cache(1 << 20));
        let put = |name, value: &[u8]| Batch::new().put(&ns("a"), &key(name), value);
        let settle = |batch: Batch| {
            store.submit(batch).wait().unwrap();
            store.flush().unwrap();
            if checkpoint {
                store.checkpoint_now().unwrap();
            }
        };
        settle(put("k", b"new"));
        assert_eq!(&*read(&store, "k").unwrap().unwrap(), b"new");
        // Of the same length, so that size and place say nothing.
        settle(put("k", b"own"));
        assert_eq!(&*read(&store, "k").unwrap().unwrap(), b"own");
        settle(put("k", &big).remove(&ns("a"), &key("l")));
        assert_eq!(&*read(&store, "k").unwrap().unwrap(), &*big);
        assert_eq!(read(&store, "l").unwrap(), None);
        settle(put("l", b"again").lazy());
        assert_eq!(&*read(&store, "l").unwrap().unwrap(), b"again");
        settle(Batch::new().remove(&ns("a"), &key("k")).lazy());
        assert_eq!(read(&store, "k").unwrap(), None);
        assert_eq!(&*read(&store, "m").unwrap().unwrap(), b"old m");
        drop(store);

        let store = FsStore::open_on(bed.disk.mount(), with_cache(1 << 20)).unwrap();
        assert_eq!(read(&store, "k").unwrap(), None);
        assert_eq!(&*read(&store, "l").unwrap().unwrap(), b"again");
    }
}

/// Its batch is not durable, so nobody may see it, and the value before it is.
#[test]
fn a_commit_that_fails_changes_nothing_that_is_read() {
    let bed = SimBed::default();
    let store = read_once(&bed, with_cache(1 << 20));
    let cause = Cause::Kind(std::io::ErrorKind::Other);
    let again = Again::SameCall;
    bed.disk.fail(Some(Fault { nth: 1, only: &[DiskCall::Sync], cause, short: false, again }));
    assert!(store.write(&ns("a"), &key("k"), "new").is_err());
    assert!(store.remove(&ns("a"), &key("l")).is_err());
    for name in ["k", "l", "m"] {
        assert_eq!(&*read(&store, name).unwrap().unwrap(), format!("old {name}").as_bytes());
    }
}

#[test]
fn a_closed_store_answers_so_for_what_was_read_before() {
    let store = read_once(&SimBed::default(), with_cache(1 << 20));
    store.close().unwrap();
    assert!(matches!(read(&store, "k"), Err(Error::Closed { .. })));
}

/// Whoever reads from memory sees no damage; a scrub reads the disk, and so does the next session.
#[test]
fn damage_is_found_when_the_file_is_read() {
    let bed = SimBed::default();
    let store = read_once(&bed, with_cache(1 << 20));
    bed.disk.overwrite("a/[empty]/k", b"OLD k");
    assert_eq!(&*read(&store, "k").unwrap().unwrap(), b"old k");
    assert!(verify(&store).is_damaged());
    // A scrub leaves nothing in the cache that was not there.
    assert_eq!(&*read(&store, "k").unwrap().unwrap(), b"old k");
    drop(store);
    let store = FsStore::open_on(bed.disk.mount(), with_cache(1 << 20)).unwrap();
    assert!(matches!(read(&store, "k"), Err(Error::Corrupt { .. })));
}

#[test]
fn what_another_program_has_changed_is_read() {
    let dir = TempDir::new().unwrap();
    let mut settings = with_cache(1 << 20);
    let store = FsStore::open(dir.path(), settings.clone()).unwrap();
    store.write(&ns("a"), &key("k"), "ours").unwrap();
    assert_eq!(&*read(&store, "k").unwrap().unwrap(), b"ours");
    store.close().unwrap();
    fs::write(dir.path().join("a/[empty]/new"), "theirs").unwrap();
    fs::rename(dir.path().join("a/[empty]/new"), dir.path().join("a/[empty]/k")).unwrap();
    let refused = FsStore::open(dir.path(), settings.clone());
    assert!(matches!(refused, Err(Error::ChangedOutside { .. })));
    settings.outside_changes = OutsideChanges::Adopt;
    let store = FsStore::open(dir.path(), settings).unwrap();
    assert_eq!(&*read(&store, "k").unwrap().unwrap(), b"theirs");
}

fn numbered(n: u64) -> Vec<u8> {
    [n.to_le_bytes().as_slice(), &[n as u8; 24]].concat()
}

/// One writer changes two keys in one batch, over and over, and removes a third. Readers see no
/// value after a newer one of the same key, and none of a batch before another of its values.
#[test]
fn readers_never_see_an_older_value_after_a_newer_one() {
    // Without room for both values, with room for them, and with room for everything.
    for cache in [1000, 4000, 1 << 20] {
        let dir = TempDir::new().unwrap();
        let mut settings = with_cache(cache);
        (settings.segment_size, settings.checkpoint_after) = (8 << 10, 8 << 10);
        let store = FsStore::open(dir.path(), settings).unwrap();
        let number = |value: &Value| {
            let n = u64::from_le_bytes(value.first_chunk().copied().unwrap());
            assert_eq!(&**value, &*numbered(n));
            n
        };
        let (done, durable) = (AtomicBool::new(false), AtomicU64::new(0));
        let put = |n| {
            let batch = Batch::new().put(&ns("a"), &key("k"), numbered(n));
            batch.put(&ns("a"), &key("l"), numbered(n)).put(&ns("b"), &key("gone"), numbered(n))
        };
        store.submit(put(0)).wait().unwrap();
        thread::scope(|scope| {
            for reader in 0..3 {
                let (store, done, durable) = (&store, &done, &durable);
                scope.spawn(move || {
                    let names = if reader % 2 == 0 { ["k", "l"] } else { ["l", "k"] };
                    let mut last = 0;
                    while !done.load(SeqCst) {
                        last = last.max(durable.load(SeqCst));
                        for name in names {
                            let n = number(&read(store, name).unwrap().unwrap());
                            assert!(n >= last, "{name} is {n}, after {last} was seen");
                            last = n;
                        }
                        if let Some(value) = store.read(&ns("b"), &key("gone")).unwrap() {
                            let n = number(&value);
                            assert!(n >= durable.load(SeqCst).min(last), "{n}");
                        }
                    }
                });
            }
            for n in 1..200 {
                store.submit(put(n)).wait().unwrap();
                durable.store(n, SeqCst);
                store.remove(&ns("b"), &key("gone")).unwrap();
                assert_eq!(store.read(&ns("b"), &key("gone")).unwrap(), None);
                if n % 15 == 0 {
                    store.checkpoint_now().unwrap();
                }
            }
            done.store(true, SeqCst);
        });
    }
}

/// A file of known size is read in one call. That call must see what is beyond and what is missing.
#[test]
fn a_file_that_is_longer_or_shorter_than_it_was_is_damage() {
    for len in [0, 1, 300, 5000, (1 << 20) - 1, 1 << 20, (1 << 20) + 1] {
        let dir = TempDir::new().unwrap();
        let (file, value) = (dir.path().join("a/[empty]/k"), vec![7; len]);
        let store = FsStore::open(dir.path(), with_cache(0)).unwrap();
        store.write(&ns("a"), &key("k"), value.clone()).unwrap();
        store.checkpoint_now().unwrap();
        assert_eq!(&*read(&store, "k").unwrap().unwrap(), &*value, "{len}");
        for other in [[&*value, b"x"].concat(), value[..len.saturating_sub(1)].to_vec()] {
            fs::write(&file, &other).unwrap();
            let damaged = matches!(read(&store, "k"), Err(Error::Corrupt { .. }));
            assert_eq!(damaged, other != value, "{len} bytes, now {}", other.len());
        }
        fs::write(&file, &value).unwrap();
        assert_eq!(&*read(&store, "k").unwrap().unwrap(), &*value, "{len}");
        fs::remove_file(&file).unwrap();
        assert!(matches!(read(&store, "k"), Err(Error::Corrupt { .. })));
    }
}
