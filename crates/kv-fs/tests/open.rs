//! Opening folders: new ones, ones that LDK wrote, ones that cannot be used; and what lies in them after a close.

mod common;

use std::{fs, path::Path};

use common::{Contents, key, ns, small, verify};
use kv_core::{Error, KvStore, KvStoreExt, Namespace};
use kv_fs::{FsStore, disk::SimDisk};
use tempfile::TempDir;

#[test]
fn looking_creates_nothing() {
    let dir = TempDir::new().unwrap();
    let folder = dir.path().join("not/there");
    assert!(!FsStore::exists(&folder).unwrap());
    let outcome = FsStore::open_existing(&folder, small());
    assert!(matches!(outcome, Err(Error::NotFound { .. })), "{outcome:?}");
    assert!(!dir.path().join("not").exists());

    FsStore::open(&folder, small()).unwrap().close().unwrap();
    assert!(FsStore::exists(&folder).unwrap());
    FsStore::open_existing(&folder, small()).unwrap();
}

#[test]
fn a_closed_store_has_ldks_layout() {
    let dir = TempDir::new().unwrap();
    let store = FsStore::open(dir.path(), small()).unwrap();
    let secondary = Namespace::new("monitors", "updates").unwrap();
    store.write(&ns(""), &key("manager"), b"0123").unwrap();
    store.write(&ns("monitors"), &key("Abc_1"), b"").unwrap();
    store.write(&secondary, &key("1"), vec![9; 20_000]).unwrap();
    store.write(&Namespace::reserved("~layer", "").unwrap(), &key("own"), b"x").unwrap();
    store.close().unwrap();
    let read = |path: &str| fs::read(dir.path().join(path)).unwrap();
    assert_eq!(read("[empty]/[empty]/manager"), b"0123");
    assert_eq!(read("monitors/[empty]/Abc_1"), b"");
    assert_eq!(read("monitors/updates/1"), vec![9; 20_000]);
    let names = |path: &Path| {
        let mut names: Vec<_> = fs::read_dir(path)
            .unwrap()
            .map(|e| e.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    };
    assert_eq!(names(dir.path()), ["[empty]", "monitors", "~strongroom"]);
    assert_eq!(names(&dir.path().join("~strongroom")), ["v1.tmp"]);
}

#[test]
fn a_folder_that_ldk_wrote_opens_in_place() {
    let dir = TempDir::new().unwrap();
    for (path, value) in
        [("[empty]/[empty]/manager", "m"), ("monitors/[empty]/b", "1"), ("monitors/[empty]/a", "2")]
    {
        let path = dir.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, value).unwrap();
    }
    // LDK's unfinished writes and files of others are no values.
    fs::write(dir.path().join("monitors/[empty]/c.1.tmp"), "x").unwrap();
    fs::write(dir.path().join("README.txt"), "x").unwrap();
    assert!(!FsStore::exists(dir.path()).unwrap());

    let store = FsStore::open(dir.path(), small()).unwrap();
    assert_eq!(store.namespaces().unwrap(), [ns(""), ns("monitors")]);
    assert_eq!(store.list_all(&ns("monitors")).unwrap(), [key("a"), key("b")]);
    assert_eq!(&*store.read_required(&ns(""), &key("manager")).unwrap(), b"m");
    store.write(&ns("monitors"), &key("c"), b"3").unwrap();
    drop(store);
    let store = FsStore::open(dir.path(), small()).unwrap();
    assert_eq!(Contents::of(&store).unwrap().values.len(), 4);
    assert!(!verify(&store).is_damaged());
}

#[test]
fn a_second_open_is_in_use_on_a_real_disk() {
    let dir = TempDir::new().unwrap();
    let store = FsStore::open(dir.path(), small()).unwrap();
    let second = FsStore::open(dir.path(), small());
    assert!(matches!(second, Err(Error::InUse { .. })), "{second:?}");
    store.write(&ns("a"), &key("k"), b"still alive").unwrap();
    drop(store);
    FsStore::open(dir.path(), small()).unwrap();
}

#[test]
fn a_read_only_disk_is_said_so_and_nothing_is_lost() {
    let disk = SimDisk::new();
    let store = FsStore::open_on(disk.mount(), small()).unwrap();
    store.write(&ns("a"), &key("k"), b"x").unwrap();
    disk.kill();
    drop(store);
    disk.set_read_only(true);
    let outcome = FsStore::open_on(disk.mount(), small());
    assert!(matches!(outcome, Err(Error::ReadOnly { .. })), "{outcome:?}");
    let outcome = FsStore::open_on(SimDisk::new().mount(), small());
    assert!(outcome.is_ok());
    disk.set_read_only(false);
    let store = FsStore::open_on(disk.mount(), small()).unwrap();
    assert_eq!(&*store.read_required(&ns("a"), &key("k")).unwrap(), b"x");
}

/// Not even root may create a folder in `/sys`.
#[cfg(target_os = "linux")]
#[test]
fn a_folder_without_permission_is_read_only() {
    let outcome = FsStore::open(Path::new("/sys/strongroom"), small());
    assert!(matches!(outcome, Err(Error::ReadOnly { .. })), "{outcome:?}");
}

#[test]
fn a_folder_of_a_newer_format_is_too_new() {
    let dir = TempDir::new().unwrap();
    fs::create_dir_all(dir.path().join("~strongroom/v2.tmp")).unwrap();
    let outcome = FsStore::open(dir.path(), small());
    assert!(matches!(outcome, Err(Error::TooNew { found: 2, newest: 1, .. })), "{outcome:?}");
    assert!(FsStore::exists(dir.path()).unwrap());
    assert!(!dir.path().join("~strongroom/v1.tmp").exists());
}

#[test]
fn the_footprint_counts_what_is_there() {
    let dir = TempDir::new().unwrap();
    let store = FsStore::open(dir.path(), small()).unwrap();
    store.write(&ns("a"), &key("k"), vec![1; 1000]).unwrap();
    store.write(&ns("a"), &key("big"), vec![1; 10_000]).unwrap();
    let size = store.capabilities().footprint.unwrap().footprint().unwrap();
    assert_eq!((size.keys, size.value_bytes), (2, 11_000));
    assert!(size.memory_bytes >= 1000 && size.disk_bytes >= 11_000, "{size:?}");
    store.close().unwrap();
    let store = FsStore::open(dir.path(), small()).unwrap();
    let size = store.capabilities().footprint.unwrap().footprint().unwrap();
    assert!(size.memory_bytes < 1000 && size.disk_bytes >= 11_000, "{size:?}");
}
