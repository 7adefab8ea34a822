//! Opening and closing: order of creation, what lies on the disk, copies.

mod common;

use std::{
    fs, thread,
    time::{Duration, Instant},
};

use common::{Contents, copy_store, file_in, key, log_of, ns, small, verify};
use kv_core::{Batch, Error, KvStore, KvStoreExt};
use kv_sqlite::{Settings, SqliteStore};
use tempfile::TempDir;

#[test]
fn newest_first_pages_are_stable() {
    let dir = TempDir::new().unwrap();
    let store = SqliteStore::open(&file_in(dir.path()), small()).unwrap();
    for name in ["b", "a", "c", "d"] {
        store.write(&ns("a"), &key(name), b"x").unwrap();
    }
    store.write(&ns("a"), &key("a"), b"kept its place").unwrap();
    let page = |store: &SqliteStore, cursor, limit| {
        let order = store.capabilities().creation_order.unwrap();
        order.list_newest_first(&ns("a"), cursor, limit).unwrap()
    };
    let first = page(&store, None, 2);
    assert_eq!(first.keys, [key("d"), key("c")]);
    store.write(&ns("a"), &key("e"), b"x").unwrap();
    store.close().unwrap();
    let store = SqliteStore::open(&file_in(dir.path()), small()).unwrap();
    let second = page(&store, first.next.as_ref(), 2);
    assert_eq!(second.keys, [key("a"), key("b")]);
    assert_eq!(second.next, None);
    // A key that comes back is a new one, also if it went in the same flush.
    drop(store.submit(Batch::new().remove(&ns("a"), &key("b"))));
    store.write(&ns("a"), &key("b"), b"x").unwrap();
    assert_eq!(page(&store, None, 1).keys, [key("b")]);
}

#[test]
fn a_closed_store_is_one_file_that_can_be_copied() {
    let dir = TempDir::new().unwrap();
    let store = SqliteStore::open(&file_in(dir.path()), small()).unwrap();
    for n in 0..50_u8 {
        store.write(&ns("a"), &key(&format!("key-{n}")), vec![n; 700]).unwrap();
    }
    let truth = Contents::of(&store).unwrap();
    store.close().unwrap();
    assert!(!log_of(&file_in(dir.path())).exists());
    let other = TempDir::new().unwrap();
    fs::copy(file_in(dir.path()), file_in(other.path())).unwrap();
    let copy = SqliteStore::open_existing(&file_in(other.path()), small()).unwrap();
    assert_eq!(Contents::of(&copy).unwrap(), truth);
    assert!(verify(&copy).findings.is_empty());
}

/// As `sqlite3 FILE ".backup COPY"` or `VACUUM INTO` do it while the store is open.
#[test]
fn sqlites_own_copy_of_an_open_store_is_a_store() {
    let dir = TempDir::new().unwrap();
    let store = SqliteStore::open(&file_in(dir.path()), small()).unwrap();
    for n in 0..50_u8 {
        store.write(&ns("a"), &key(&format!("key-{n}")), vec![n; 700]).unwrap();
    }
    let other = TempDir::new().unwrap();
    let reader = rusqlite::Connection::open(file_in(dir.path())).unwrap();
    let to = file_in(other.path());
    reader.execute("VACUUM INTO ?1", [to.to_str().unwrap()]).unwrap();
    drop(reader);
    store.write(&ns("a"), &key("later"), b"x").unwrap();
    // It was made of an open store, so it says that its log is missing: only its maker knows better.
    let outcome = SqliteStore::open(&to, small()).unwrap_err();
    assert!(matches!(outcome, Error::Corrupt { .. }), "{outcome:?}");
    let why = std::error::Error::source(&outcome).unwrap().to_string();
    assert!(why.contains("accepted"), "{why}");
    SqliteStore::accept_copy(&to).unwrap();
    let copy = SqliteStore::open(&to, small()).unwrap();
    assert_eq!(copy.list_all(&ns("a")).unwrap().len(), 50);
    assert!(verify(&copy).findings.is_empty());
}

#[test]
fn a_store_that_is_not_there_is_not_made() {
    let dir = TempDir::new().unwrap();
    let file = file_in(&dir.path().join("deep/er"));
    let outcome = SqliteStore::open_existing(&file, small());
    assert!(matches!(outcome, Err(Error::NotFound { .. })), "{outcome:?}");
    assert!(!file.parent().unwrap().exists());
    SqliteStore::open(&file, small()).unwrap().close().unwrap();
    assert!(SqliteStore::exists(&file).unwrap());
}

/// What a crash while the file was being made has left is no store yet.
#[test]
fn an_unfinished_store_is_made_anew() {
    let dir = TempDir::new().unwrap();
    let file = file_in(dir.path());
    fs::write(dir.path().join("store.sqlite-new"), b"half a").unwrap();
    fs::write(dir.path().join("store.sqlite-new-journal"), b"half a").unwrap();
    let store = SqliteStore::open(&file, small()).unwrap();
    store.write(&ns("a"), &key("k"), b"x").unwrap();
    assert!(!dir.path().join("store.sqlite-new").exists());
}

#[test]
fn the_log_does_not_grow_without_end() {
    let dir = TempDir::new().unwrap();
    let store = SqliteStore::open(&file_in(dir.path()), small()).unwrap();
    for n in 0..300_u64 {
        store.write(&ns("a"), &key(&format!("key-{}", n % 10)), vec![n as u8; 3000]).unwrap();
    }
    let log = fs::metadata(log_of(&file_in(dir.path()))).unwrap().len();
    assert!(log < 4 * (64 << 10), "the log has {log} bytes");
    let size = store.capabilities().footprint.unwrap().footprint().unwrap();
    assert_eq!((size.keys, size.value_bytes), (10, 30_000));
    assert!(size.disk_bytes > 30_000 && size.disk_bytes < 1 << 20, "{size:?}");
}

/// While batch after batch is written it may grow beyond its length, and no further than that.
#[test]
fn a_log_that_has_grown_is_moved_and_cut_in_a_pause() {
    let dir = TempDir::new().unwrap();
    let mut settings = small();
    settings.wal_most = 1 << 20;
    let store = SqliteStore::open(&file_in(dir.path()), settings).unwrap();
    let len = |file| fs::metadata(file).unwrap().len();
    for n in 0..400_u64 {
        store.write(&ns("a"), &key(&format!("key-{n}")), vec![n as u8; 3000]).unwrap();
        let log = len(log_of(&file_in(dir.path())));
        assert!(log < (1 << 20) + (128 << 10), "the log has {log} bytes");
    }
    // Nobody writes: what is in the log comes to the database, and the next write begins it anew.
    let begun = Instant::now();
    while len(log_of(&file_in(dir.path()))) > 2 * (64 << 10) {
        assert!(begun.elapsed() < Duration::from_secs(60), "the log was not cut");
        thread::sleep(Duration::from_millis(300));
        store.write(&ns("a"), &key("last"), b"x").unwrap();
    }
    assert!(len(file_in(dir.path())) > 400 * 3000);
    assert!(verify(&store).findings.is_empty());
}

#[test]
fn a_value_that_is_too_large_is_refused() {
    let dir = TempDir::new().unwrap();
    let store = SqliteStore::open(&file_in(dir.path()), Settings::default()).unwrap();
    let refused = store.write(&ns("a"), &key("k"), vec![0; 999_000_001]);
    assert!(matches!(&refused, Err(error @ Error::Refused { .. }) if error.is_refusal()));
    store.write(&ns("a"), &key("k"), b"x").unwrap();
}

/// Two opens of the files of a killed process find the same.
#[test]
fn opening_twice_finds_the_same() {
    let dir = TempDir::new().unwrap();
    let store = SqliteStore::open(&file_in(dir.path()), small()).unwrap();
    for n in 0..30_u8 {
        store.write(&ns("a"), &key(&format!("key-{}", n % 7)), vec![n; 2000]).unwrap();
    }
    let truth = Contents::of(&store).unwrap();
    let other = TempDir::new().unwrap();
    // Nothing is on its way: as if it were killed now.
    copy_store(&file_in(dir.path()), &file_in(other.path()));
    for _ in 0..2 {
        let copy = SqliteStore::open(&file_in(other.path()), small()).unwrap();
        assert_eq!(Contents::of(&copy).unwrap(), truth);
        copy.close().unwrap();
    }
}

/// A disk of which less is free than the reserve; `cargo xtask kernels` fills a real one.
#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_refuses_and_takes_removals_and_a_close() {
    let dir = TempDir::new().unwrap();
    let store = SqliteStore::open(&file_in(dir.path()), small()).unwrap();
    for name in ["k", "l"] {
        store.write(&ns("a"), &key(name), vec![1; 5000]).unwrap();
    }
    store.close().unwrap();
    let mut full = small();
    full.reserve = 1 << 60;
    let store = SqliteStore::open(&file_in(dir.path()), full).unwrap();
    let own = kv_core::Namespace::reserved("~layer", "").unwrap();
    for _ in 0..3 {
        let commit = store.submit(Batch::new().put(&ns("a"), &key("m"), b"x"));
        let refused = commit.receipt().outcome();
        assert!(matches!(refused, Some(Err(Error::Full { .. }))), "{refused:?}");
        let both = Batch::new().remove(&ns("a"), &key("k")).put(&ns("a"), &key("m"), b"x");
        assert!(matches!(store.submit(both).wait(), Err(Error::Full { .. })));
    }
    let removal =
        Batch::new().remove(&ns("a"), &key("k")).put(&own, &kv_core::Key::number(1), b"n");
    store.submit(removal).wait().unwrap();
    store.close().unwrap();
    let store = SqliteStore::open(&file_in(dir.path()), small()).unwrap();
    assert_eq!(store.list_all(&ns("a")).unwrap(), [key("l")]);
    store.write(&ns("a"), &key("m"), b"x").unwrap();
}
