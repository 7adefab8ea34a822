//! Importing what LDK's `FilesystemStore`, version 1, wrote.

mod common;

use std::fs;

use common::{key, ldk, ns, open, ours, settings, theirs, version_1};
use kv_core::{Error, KvStore, KvStoreExt};
use kv_fs::{FsStore, import_v1};
use lightning::util::persist::KVStoreSync;
use lightning_persister::fs_store::v1::FilesystemStore;
use tempfile::TempDir;

#[test]
fn every_value_of_version_1_is_imported_and_ldk_reads_it_as_version_2() {
    let (from, to) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    let expected = version_1(from.path());
    // Left behind by a killed LDK, and by anything else.
    fs::write(from.path().join("monitors/Chan_1.5.tmp"), b"half").unwrap();
    fs::write(from.path().join("monitors/deep/.DS_Store"), b"?").unwrap();
    let store = open(to.path());
    let imported = import_v1(from.path(), &store).unwrap();
    assert_eq!((imported.written, imported.present), (expected.len() as u64, 0));
    assert_eq!(imported.skipped, ["monitors/deep/.DS_Store"]);
    assert_eq!(ours(&store).values, expected);
    let newest = store.capabilities().creation_order.unwrap();
    let page = newest.list_newest_first(&ns("monitors", ""), None, 2).unwrap();
    assert_eq!(page.keys, [key("Chan_69"), key("Chan_68")], "the order of their times");
    // A second time nothing is left to do.
    let imported = import_v1(from.path(), &store).unwrap();
    assert_eq!((imported.written, imported.present), (0, expected.len() as u64));
    let all = ours(&store);
    store.close().unwrap();
    assert_eq!(theirs(&ldk(to.path())), all);
    // The old folder is as it was.
    let old = FilesystemStore::new(from.path().to_owned());
    assert_eq!(old.read("", "", "manager").unwrap(), b"m");
}

#[test]
fn an_import_over_other_values_is_refused() {
    let (from, to) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    version_1(from.path());
    let store = open(to.path());
    store.write(&ns("monitors", ""), &key("Chan_3"), b"newer").unwrap();
    let outcome = import_v1(from.path(), &store);
    assert!(matches!(outcome, Err(Error::Precondition { .. })), "{outcome:?}");
    assert_eq!(&*store.read_required(&ns("monitors", ""), &key("Chan_3")).unwrap(), b"newer");
}

#[test]
fn the_versions_are_not_taken_for_one_another() {
    let (one, two) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    let before = version_1(one.path());
    let outcome = FsStore::open(one.path(), settings());
    assert!(matches!(outcome, Err(Error::Corrupt { .. })), "{outcome:?}");
    let store = FilesystemStore::new(one.path().to_owned());
    for ((ns, key), value) in before {
        assert_eq!(store.read(ns.primary(), ns.secondary(), key.as_str()).unwrap(), value);
    }

    ldk(two.path()).write("", "", "manager", b"m".to_vec()).unwrap();
    let target = TempDir::new().unwrap();
    let target = open(target.path());
    let empty = TempDir::new().unwrap();
    open(empty.path()).close().unwrap();
    for folder in [two.path(), empty.path()] {
        let outcome = import_v1(folder, &target);
        assert!(matches!(outcome, Err(Error::Corrupt { .. })), "{outcome:?}");
    }
    let outcome = import_v1(&two.path().join("absent"), &target);
    assert!(matches!(outcome, Err(Error::NotFound { .. })), "{outcome:?}");
}
