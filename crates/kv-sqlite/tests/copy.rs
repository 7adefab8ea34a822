//! Copying between all kinds of stores: bytes and order kept, compared, and resumed.

#![expect(clippy::unwrap_used, reason = "tests may panic")]

mod common;

use std::{path::Path, sync::Arc};

use common::{Contents, file_in, key, ns, small};
use kv_core::{
    Batch, CopyError, Error, KvStore, KvStoreExt, Namespace, Side, copy, digest,
    testing::{Fault, FaultyStore, Landing, Random},
};
use kv_fs::FsStore;
use kv_mem::MemStore;
use kv_sqlite::{LdkNodeFile, SqliteStore};
use tempfile::TempDir;

const KINDS: [&str; 3] = ["mem", "fs", "sqlite"];

fn open(kind: &str, dir: &Path) -> Arc<dyn KvStore> {
    match kind {
        "mem" => Arc::new(MemStore::new()),
        "fs" => Arc::new(FsStore::open(dir, kv_fs::Settings::default()).unwrap()),
        _ => Arc::new(SqliteStore::open(&file_in(dir), small()).unwrap()),
    }
}

/// Keys created in no order of names, overwritten and removed, in a user's and a layer's namespace.
fn fill(store: &dyn KvStore) {
    let mut random = Random::seeded(5);
    let own = Namespace::reserved("~layer", "log").unwrap();
    for n in 0..300_u64 {
        let name = key(&format!("key-{}", random.below(200)));
        let len = random.below(900) as usize;
        let mut batch = Batch::new().put(&ns("a"), &name, random.bytes(len));
        if n % 3 == 0 {
            batch = batch.put(&own, &kv_core::Key::number(n), b"note");
            batch = batch.remove(&ns("a"), &key(&format!("key-{}", random.below(200))));
        }
        drop(store.submit(batch));
    }
    store.write(&ns(""), &key("large"), vec![7; 3 << 20]).unwrap();
}

#[test]
fn every_store_is_copied_into_every_other_with_bytes_and_order() {
    for from_kind in KINDS {
        let dir = TempDir::new().unwrap();
        let from = open(from_kind, dir.path());
        fill(&*from);
        let truth = Contents::of(&*from).unwrap();
        for to_kind in KINDS {
            let dir = TempDir::new().unwrap();
            let to = open(to_kind, dir.path());
            let mut last = kv_core::CopyProgress::default();
            let copied = copy(&*from, &*to, |progress| last = progress).unwrap();
            assert_eq!(Contents::of(&*to).unwrap(), truth, "{from_kind} to {to_kind}");
            assert_eq!(copied.entries, truth.values.len() as u64);
            assert_eq!(copied.there_before, 0);
            assert_eq!(last.total, copied.entries);
            assert_eq!(copied.digest, digest(&*from).unwrap());
            // Once more finds everything there.
            let again = copy(&*from, &*to, |_| ()).unwrap();
            assert_eq!((again.there_before, again.digest), (copied.entries, copied.digest));
        }
    }
}

#[test]
fn an_interrupted_copy_goes_on() {
    let dir = TempDir::new().unwrap();
    let from = open("sqlite", dir.path());
    fill(&*from);
    let truth = Contents::of(&*from).unwrap();
    let mut resumed = 0;
    for nth in (1..).step_by(7) {
        let to: Arc<dyn KvStore> = Arc::new(MemStore::new());
        let fault = Arc::new(Fault::default());
        let faulty = FaultyStore::new(to.clone(), fault.clone());
        let landing = if nth % 2 == 0 { Landing::Landed } else { Landing::Absent };
        fault.fail_nth(nth, landing);
        match copy(&*from, &faulty, |_| ()) {
            Err(CopyError::Store {
                side: Side::To,
                source: Error::Io { .. } | Error::Poisoned { .. },
            }) => {}
            Ok(_) => {
                assert!(!fault.fired());
                break;
            }
            Err(other) => panic!("{other:?}"),
        }
        let copied = copy(&*from, &*to, |_| ()).unwrap();
        resumed += u64::from(copied.there_before > 0);
        assert_eq!(Contents::of(&*to).unwrap(), truth);
    }
    assert!(resumed > 3, "nothing was ever there before");
}

#[test]
fn a_store_that_holds_something_else_is_left_alone() {
    let (from, to) = (MemStore::new(), MemStore::new());
    for name in ["b", "a"] {
        from.write(&ns("a"), &key(name), b"1").unwrap();
    }
    to.write(&ns("other"), &key("k"), b"mine").unwrap();
    assert!(matches!(copy(&from, &to, |_| ()), Err(CopyError::NotEmpty)));
    // The right namespace, but not as a copy would have begun.
    let to = MemStore::new();
    to.write(&ns("a"), &key("a"), b"mine").unwrap();
    assert!(matches!(copy(&from, &to, |_| ()), Err(CopyError::NotEmpty)));
    // As it would have begun, but with another value.
    let to = MemStore::new();
    to.write(&ns("a"), &key("b"), b"mine").unwrap();
    assert!(matches!(copy(&from, &to, |_| ()), Err(CopyError::Differs)));
}

#[test]
fn a_file_of_ldk_node_becomes_a_store() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("ldk_node_data.sqlite");
    let connection = rusqlite::Connection::open(&path).unwrap();
    connection
        .execute_batch(
            "PRAGMA user_version = 3;
             CREATE TABLE ldk_node_data (primary_namespace TEXT NOT NULL,
                 secondary_namespace TEXT DEFAULT '' NOT NULL, key TEXT NOT NULL CHECK (key <> ''),
                 value BLOB, sort_order INTEGER NOT NULL DEFAULT 0,
                 PRIMARY KEY (primary_namespace, secondary_namespace, key));
             INSERT INTO ldk_node_data VALUES ('', '', 'manager', x'01', 1),
                 ('monitors', '', 'b', x'02', 2), ('monitors', '', 'a', x'0303', 3)",
        )
        .unwrap();
    drop(connection);
    let from = LdkNodeFile::open(&path).unwrap();
    let to = open("sqlite", dir.path());
    let copied = copy(&from, &*to, |_| ()).unwrap();
    assert_eq!((copied.entries, copied.bytes), (3, 4));
    let newest = to.capabilities().creation_order.unwrap();
    let newest = newest.list_newest_first(&ns("monitors"), None, 9).unwrap().keys;
    assert_eq!(newest, [key("a"), key("b")]);
}
