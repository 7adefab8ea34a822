//! Names on a file system that does not tell upper case from lower case.

#![expect(clippy::unwrap_used, reason = "tests may panic")]

mod common;

use std::sync::Arc;

use common::{Contents, key, mapped::Mapped, ns, small, verify};
use kv_core::{Batch, KvStore, KvStoreExt, Namespace};
use kv_fs::{
    FsStore,
    disk::{Disk, SimDisk},
};

/// A disk on which a name is the same in any case: all are taken as lower case. (Real ones show
/// the case a file was created with; then even less can be told apart by accident.)
fn folding(disk: &SimDisk) -> Arc<dyn Disk> {
    Arc::new(Mapped { disk: disk.mount(), path: str::to_lowercase, time: |time| time })
}

/// Names that are one name on such a disk, and names that Windows takes for devices.
fn batches() -> Vec<Batch> {
    let spaces = [
        ns("monitors"),
        ns("Monitors"),
        Namespace::new("monitors", "Aux").unwrap(),
        Namespace::new("monitors", "aux").unwrap(),
        Namespace::reserved("~layer", "X").unwrap(),
        Namespace::reserved("~layer", "x").unwrap(),
        Namespace::reserved("~Layer", "x").unwrap(),
    ];
    let names = ["key", "Key", "kEY", "KEY", "con", "CON", "com1", "Strongroom"];
    let mut batches = Vec::new();
    for ns in &spaces {
        for name in names {
            let value = format!("{ns:?} {name}").into_bytes();
            // Every third is a big value.
            let value = value.repeat(if batches.len() % 3 == 0 { 700 } else { 1 });
            batches.push(Batch::new().put(ns, &key(name), value));
        }
        batches.push(Batch::new().remove(ns, &key("kEY")));
    }
    batches
}

fn expected() -> Contents {
    let mut contents = Contents::default();
    batches().iter().for_each(|batch| contents.apply(batch));
    contents
}

fn write(store: &FsStore) {
    for batch in batches() {
        store.submit(batch).wait().unwrap();
    }
}

#[test]
fn keys_that_differ_only_in_case_survive_where_case_is_lost() {
    let disk = SimDisk::new();
    for end in ["close", "kill", "close"] {
        let store = FsStore::open_on(folding(&disk), small()).unwrap();
        write(&store);
        store.checkpoint_now().unwrap();
        assert_eq!(Contents::of(&store).unwrap(), expected());
        if end == "close" {
            store.close().unwrap();
        } else {
            disk.kill();
        }
        drop(store);
        let store = FsStore::open_on(folding(&disk), small()).unwrap();
        assert_eq!(Contents::of(&store).unwrap(), expected(), "{end}");
        assert!(verify(&store).findings.is_empty());
        store.close().unwrap();
    }
    // What needs no other name has none.
    assert!(disk.files().contains(&"monitors/[empty]/key".to_owned()), "{:?}", disk.files());
}

/// The index remembers how names are written, wherever the folder is moved to.
#[test]
fn encoded_names_are_read_where_case_is_kept() {
    let disk = SimDisk::new();
    let store = FsStore::open_on(folding(&disk), small()).unwrap();
    write(&store);
    store.close().unwrap();
    for _ in 0..2 {
        let store = FsStore::open_on(disk.mount(), small()).unwrap();
        assert_eq!(Contents::of(&store).unwrap(), expected());
        store.write(&ns("monitors"), &key("Key"), b"again").unwrap();
        assert!(disk.files().iter().all(|path| *path == path.to_lowercase()), "{:?}", disk.files());
        store.write(&ns("monitors"), &key("Key"), expected_key()).unwrap();
        store.close().unwrap();
    }
}

fn expected_key() -> Vec<u8> {
    expected().values.remove(&(ns("monitors"), key("Key"))).unwrap()
}

/// A folder from elsewhere is rewritten at the first open, also if the power fails at any call.
#[test]
fn plain_names_are_moved_when_the_disk_needs_it() {
    let made = SimDisk::new();
    let store = FsStore::open_on(made.mount(), small()).unwrap();
    // One name of each, as a copy to such a disk leaves them.
    let mut expected = Contents::default();
    for (primary, name) in
        [("Monitors", "Key"), ("Monitors", "con"), ("plain", "key"), ("x", "NUL")]
    {
        let batch = Batch::new().put(&ns(primary), &key(name), name);
        expected.apply(&batch);
        store.submit(batch).wait().unwrap();
    }
    store.close().unwrap();
    for path in made.files() {
        let bytes = made.contents(&path).unwrap();
        made.delete(&path);
        made.overwrite(&path.to_lowercase(), &bytes);
    }
    for cut in 1.. {
        let disk = made.copy();
        disk.crash_nth(cut);
        let opened = FsStore::open_on(folding(&disk), small());
        let fired = disk.fired();
        disk.crash_nth(0);
        drop(opened);
        if fired {
            disk.crash();
        }
        let store = FsStore::open_on(folding(&disk), small()).unwrap();
        assert_eq!(Contents::of(&store).unwrap(), expected, "cut {cut}");
        store.close().unwrap();
        let store = FsStore::open_on(disk.mount(), small()).unwrap();
        assert_eq!(Contents::of(&store).unwrap(), expected, "cut {cut}");
        if !fired {
            assert!(cut > 30, "only {cut} calls");
            return;
        }
    }
}
