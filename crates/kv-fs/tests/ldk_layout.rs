//! What LDK's `FilesystemStoreV2` goes by: places and times of files. The real LDK is asked in the
//! crate `kv-fs-compat`; here is what it needs, and the power cuts in between.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests may panic")]

mod common;

use std::{fs, path::Path, sync::Arc};

use common::{Contents, key, mapped::Mapped, ns, small, verify};
use kv_core::{Batch, Error, KvStore, KvStoreExt, Severity};
use kv_fs::{
    FsStore, OutsideChanges, Settings,
    disk::{Disk, SimDisk},
    import_v1,
};
use tempfile::TempDir;

fn adopting() -> Settings {
    let mut settings = small();
    settings.outside_changes = OutsideChanges::Adopt;
    settings
}

fn without_thread(disk: &SimDisk, settings: Settings) -> kv_core::Result<FsStore> {
    FsStore::open_alone(disk.mount(), settings)
}

/// The keys of a namespace as LDK lists them: by whole milliseconds, then by name, descending.
fn by_times(disk: &SimDisk, dir: &str) -> Vec<String> {
    let mut files = disk.mount().list(dir).unwrap();
    files.retain(|file| !file.is_dir);
    files.sort_by_key(|file| (file.modified / 1_000_000, file.name.clone()));
    files.into_iter().rev().map(|file| file.name).collect()
}

fn ours(contents: &Contents, primary: &str) -> Vec<String> {
    let keys = &contents.newest_first[&ns(primary)];
    keys.iter().map(|key| key.as_str().to_owned()).collect()
}

/// Writes that create, overwrite, remove and create again, some of them big.
fn write(store: &FsStore, round: u64) {
    for n in 0..12u64 {
        let name = key(&format!("k{}", (n * 7 + round * 5) % 17));
        let size = if n % 4 == 1 { 9_000 } else { 40 };
        let batch = match n % 5 {
            4 => Batch::new().remove(&ns("a"), &name),
            _ => Batch::new().put(&ns("a"), &name, vec![n as u8; size]),
        };
        store.submit(batch).wait().unwrap();
        if n % 6 == 5 {
            store.checkpoint_now().unwrap();
        }
    }
}

#[test]
fn times_of_files_tell_the_order_of_creation() {
    for at_once in [usize::MAX, 1] {
        let mut settings = small();
        settings.sync_disk_from = at_once;
        let disk = SimDisk::new();
        for round in 0..8 {
            let store = without_thread(&disk, settings.clone()).unwrap();
            write(&store, round);
            let expected = Contents::of(&store).unwrap();
            // Every other session ends without a close: then the next one sets the times.
            if round % 2 == 0 {
                store.close().unwrap();
            } else {
                disk.crash();
                drop(store);
                without_thread(&disk, settings.clone()).unwrap().close().unwrap();
            }
            disk.crash();
            assert_eq!(by_times(&disk, "a/[empty]"), ours(&expected, "a"), "round {round}");
        }
    }
}

/// What a program without the store's help does to its folder.
fn change_outside(disk: &SimDisk) {
    let mount = disk.mount();
    for (path, bytes) in [("a/[empty]/k1", "changed"), ("a/[empty]/of-ldk", "new")] {
        let mut file = mount.create(path).unwrap();
        file.write_at(0, bytes.as_bytes()).unwrap();
        file.sync_all().unwrap();
    }
    mount.remove("a/[empty]/k2").unwrap();
    mount.sync_dir("a/[empty]").unwrap();
}

fn closed() -> SimDisk {
    let disk = SimDisk::new();
    let store = without_thread(&disk, small()).unwrap();
    for name in ["k2", "k3", "k1"] {
        store.write(&ns("a"), &key(name), name).unwrap();
    }
    store.write(&ns("b"), &key("k1"), b"elsewhere").unwrap();
    store.close().unwrap();
    disk
}

#[test]
fn a_changed_folder_is_refused_until_it_is_adopted() {
    let disk = closed();
    change_outside(&disk);
    for _ in 0..2 {
        let outcome = without_thread(&disk, small());
        assert!(matches!(outcome, Err(Error::ChangedOutside { .. })), "{outcome:?}");
    }
    let store = without_thread(&disk, adopting()).unwrap();
    let contents = Contents::of(&store).unwrap();
    assert_eq!(ours(&contents, "a"), ["of-ldk", "k1", "k3"]);
    assert_eq!(contents.values[&(ns("a"), key("k1"))], b"changed");
    assert!(verify(&store).findings.iter().all(|f| f.severity == Severity::Notice));
    drop(store);
    assert_eq!(Contents::of(&without_thread(&disk, small()).unwrap()).unwrap(), contents);
}

/// A session that changed no file leaves the note of the close before it good.
#[test]
fn a_killed_session_that_wrote_nothing_hides_no_change() {
    let disk = closed();
    let store = without_thread(&disk, small()).unwrap();
    disk.kill();
    drop(store);
    change_outside(&disk);
    let outcome = without_thread(&disk, small());
    assert!(matches!(outcome, Err(Error::ChangedOutside { .. })), "{outcome:?}");
}

/// Times in steps of two seconds, as on FAT, and a change right after the close.
#[test]
fn no_clock_is_too_coarse_to_show_a_change() {
    let coarse = |disk: &SimDisk| -> Arc<dyn Disk> {
        let time = |time: u64| time - time % 2_000_000_000;
        Arc::new(Mapped { disk: disk.mount(), path: str::to_owned, time })
    };
    let disk = SimDisk::new();
    let store = FsStore::open_alone(coarse(&disk), small()).unwrap();
    for name in ["k1", "k2"] {
        store.write(&ns("a"), &key(name), name).unwrap();
    }
    store.close().unwrap();
    FsStore::open_alone(coarse(&disk), small()).unwrap().close().unwrap();
    change_outside(&disk);
    let outcome = FsStore::open_alone(coarse(&disk), small());
    assert!(matches!(outcome, Err(Error::ChangedOutside { .. })), "{outcome:?}");
}

#[test]
fn a_power_cut_at_every_call_of_an_adoption() {
    let changed = closed();
    change_outside(&changed);
    let store = without_thread(&changed.copy(), adopting()).unwrap();
    let expected = Contents::of(&store).unwrap();
    for cut in 1.. {
        let disk = changed.copy();
        disk.crash_nth(cut);
        drop(without_thread(&disk, adopting()).and_then(|store| store.close()));
        let fired = disk.fired();
        disk.crash_nth(0);
        disk.crash();
        // Adopted, or still to be.
        if let Err(error) = without_thread(&disk, small()) {
            assert!(matches!(error, Error::ChangedOutside { .. }), "cut {cut}: {error:?}");
        }
        let store = without_thread(&disk, adopting()).unwrap();
        assert_eq!(Contents::of(&store).unwrap(), expected, "cut {cut}");
        if !fired {
            assert!(cut > 30, "only {cut} calls");
            return;
        }
    }
}

/// Between any two calls of a session the note of the last close holds or is void: the store's own
/// changes are never taken for another's.
#[test]
fn a_kill_or_power_cut_at_every_call_is_no_change_from_outside() {
    for power in [false, true] {
        for cut in 1.. {
            let disk = closed();
            disk.crash_nth(cut);
            let ran = without_thread(&disk, small()).and_then(|store| {
                store.write(&ns("a"), &key("k9"), b"9")?;
                store.remove(&ns("a"), &key("k3"))?;
                store.checkpoint_now()?;
                store.write(&ns("c"), &key("k1"), b"1")?;
                store.close()
            });
            drop(ran);
            let fired = disk.fired();
            disk.crash_nth(0);
            if power {
                disk.crash();
            } else {
                disk.kill();
            }
            let store = without_thread(&disk, small()).unwrap();
            assert!(!verify(&store).is_damaged(), "cut {cut}");
            if !fired {
                assert!(cut > 40, "only {cut} calls");
                break;
            }
        }
    }
}

/// Many files, one sync: as safe as many syncs, at every call.
#[test]
fn a_power_cut_at_every_call_of_checkpoints_that_sync_all_at_once() {
    let mut settings = small();
    settings.sync_disk_from = 1;
    let batches: Vec<_> = (0..9u64)
        .map(|n| {
            let size = if n % 3 == 0 { 9_000 } else { 30 };
            let batch =
                Batch::new().put(&ns("a"), &key(&format!("k{}", n % 4)), vec![n as u8; size]);
            batch.put(&ns("b"), &key(&format!("k{n}")), n.to_string()).remove(&ns("a"), &key("k1"))
        })
        .collect();
    let run = |disk: &SimDisk, acked: &mut usize| {
        let store = without_thread(disk, settings.clone())?;
        for batch in &batches {
            store.submit(batch.clone()).wait()?;
            *acked += 1;
            if acked.is_multiple_of(3) {
                // A failure keeps the log; the next one does it again.
                store.checkpoint_now().ok();
            }
        }
        store.close()
    };
    for fails in [false, true] {
        for at in 1.. {
            let (disk, mut acked) = (SimDisk::new(), 0);
            if fails {
                disk.fail_nth(at, std::io::ErrorKind::Other);
            } else {
                disk.crash_nth(at);
            }
            drop(run(&disk, &mut acked));
            let fired = disk.fired();
            disk.crash_nth(0);
            disk.fail_nth(0, std::io::ErrorKind::Other);
            disk.crash();
            let mut state = Contents::default();
            let mut states = vec![state.clone()];
            for batch in &batches {
                state.apply(batch);
                states.push(state.clone());
            }
            for _ in 0..2 {
                let store = without_thread(&disk, settings.clone()).unwrap();
                let found = Contents::of(&store).unwrap();
                let at_least = states.get(acked..).unwrap_or_default();
                assert!(at_least.contains(&found), "call {at}: {acked} acknowledged");
                assert!(!verify(&store).is_damaged());
            }
            if !fired {
                assert!(at > 60, "only {at} calls");
                break;
            }
        }
    }
}

fn put(dir: &Path, path: &str, value: &str, second: u64) {
    let path = dir.join(path);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(&path, value).unwrap();
    let time = std::time::UNIX_EPOCH + std::time::Duration::from_secs(1_700_000_000 + second);
    let file = fs::File::open(path).unwrap();
    file.set_times(fs::FileTimes::new().set_modified(time)).unwrap();
}

#[test]
fn an_ldk_folder_opens_in_the_order_of_its_times() {
    let dir = TempDir::new().unwrap();
    for (second, name) in [(5, "a"), (3, "b"), (9, "c"), (5, "A")] {
        put(dir.path(), &format!("monitors/[empty]/{name}"), name, second);
    }
    let store = FsStore::open(dir.path(), small()).unwrap();
    assert_eq!(ours(&Contents::of(&store).unwrap(), "monitors"), ["c", "a", "A", "b"]);
    store.close().unwrap();
    // A change in place leaves the folder's time: it is damage, never a value.
    fs::write(dir.path().join("monitors/[empty]/a"), b"other").unwrap();
    let store = FsStore::open(dir.path(), small()).unwrap();
    let outcome = store.read(&ns("monitors"), &key("a"));
    assert!(matches!(outcome, Err(Error::Corrupt { .. })), "{outcome:?}");
}

/// Files from the future: whatever the clock says, what is created next is newer.
#[test]
fn a_clock_behind_the_files_changes_no_order() {
    let dir = TempDir::new().unwrap();
    put(dir.path(), "a/[empty]/k1", "of ldk", 3_000_000_000);
    for name in ["k2", "k3"] {
        let store = FsStore::open(dir.path(), small()).unwrap();
        store.write(&ns("a"), &key(name), name).unwrap();
        store.close().unwrap();
    }
    let modified = |name: &str| {
        let file = fs::metadata(dir.path().join("a/[empty]").join(name)).unwrap();
        file.modified().unwrap()
    };
    assert!(modified("k1") < modified("k2") && modified("k2") < modified("k3"));
}

#[test]
fn a_folder_of_version_1_is_imported_and_not_opened() {
    let (from, to) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    for (second, path) in
        [(9, "manager"), (5, "monitors/a"), (7, "monitors/b"), (6, "monitors/deep/c")]
    {
        put(from.path(), path, path, second);
    }
    put(from.path(), "monitors/a.0.tmp", "unfinished", 8);
    put(from.path(), "monitors/what is this", "?", 8);
    put(from.path(), "monitors/deep/deeper/x", "?", 8);
    let outcome = FsStore::open(from.path(), small());
    assert!(matches!(outcome, Err(Error::Corrupt { .. })), "{outcome:?}");
    assert!(!from.path().join("~strongroom").exists());

    let store = FsStore::open(to.path(), small()).unwrap();
    let imported = import_v1(from.path(), &store).unwrap();
    assert_eq!((imported.written, imported.present), (4, 0));
    assert_eq!(imported.skipped, ["monitors/deep/deeper", "monitors/what is this"]);
    let contents = Contents::of(&store).unwrap();
    assert_eq!(contents.values.len(), 4);
    assert_eq!(ours(&contents, "monitors"), ["b", "a"]);
    assert_eq!(contents.values[&(ns(""), key("manager"))], b"manager");
    let again = import_v1(from.path(), &store).unwrap();
    assert_eq!((again.written, again.present), (0, 4));
    put(from.path(), "monitors/a", "other", 5);
    let outcome = import_v1(from.path(), &store);
    assert!(matches!(outcome, Err(Error::Precondition { .. })), "{outcome:?}");
}
