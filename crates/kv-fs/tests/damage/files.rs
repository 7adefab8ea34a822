//! Files cut short, missing, swapped, doubled, old or foreign.

use kv_core::{KvStore, KvStoreExt};
use kv_fs::{FsStore, disk::SimDisk};

use super::*;

#[test]
fn every_file_cut_short_or_missing_is_reported() {
    let (disk, states) = (closed(), states());
    let last = states.last().unwrap();
    let (mut errors, mut cut) = (0, 0);
    for path in disk.files() {
        let bytes = disk.contents(&path).unwrap();
        let dead = path.contains("/spare-") || path.ends_with("/lock");
        for len in (0..bytes.len()).map(Some).chain([None]) {
            let damaged = disk.copy();
            match len {
                Some(len) => damaged.overwrite(&path, &bytes[..len]),
                None => damaged.delete(&path),
            }
            let what = format!("{path} cut to {len:?} of {}", bytes.len());
            if let Some(found) = examine(&damaged, &what) {
                assert_eq!(&found.contents, last, "{what}");
                // The log of a closed store is dead space, but for the headers and a segment that
                // the index names.
                let log = path.contains("/log-");
                assert!(dead || log || found.worst.is_some(), "{what} was not reported");
                cut += u32::from(!dead && !log);
            } else {
                assert!(!dead, "{what} is dead space");
                errors += 1;
            }
        }
    }
    println!("{errors} shortened or missing files are errors, {cut} were healed and reported");
    assert!(errors > 900 && cut > 100, "{errors} errors, {cut} notices");
}

/// A log cut short anywhere is damage, or ends with a batch and says so.
#[test]
fn every_length_of_a_log_is_an_error_or_a_torn_end() {
    let (disk, states) = (killed(), states());
    let path = disk.files().into_iter().find(|path| path.ends_with("/log-1")).unwrap();
    let bytes = disk.contents(&path).unwrap();
    let live = live_len(&bytes).next_multiple_of(8);
    let (mut errors, mut torn, mut whole) = (0, 0, 0);
    for len in 0..bytes.len() {
        let damaged = disk.copy();
        damaged.overwrite(&path, &bytes[..len]);
        let what = format!("the log cut to {len}");
        match examine(&damaged, &what) {
            None => errors += 1,
            Some(found) if len >= live => {
                assert_eq!(Some(&found.contents), states.last(), "{what}");
                whole += 1;
            }
            Some(found) => {
                // A log that ends early looks like one that was not written further: no later
                // frame is left to prove the missing ones. What is there is whole and in order.
                assert!(states.contains(&found.contents), "{what}");
                torn += 1;
            }
        }
    }
    println!("lengths of a log: {errors} are errors, {torn} torn ends, {whole} whole");
    assert!(errors >= 64 && whole > 3_000);
}

/// Any two files in each other's place, any file in place of another, any file once more under a
/// name that was free.
#[test]
fn files_swapped_moved_or_doubled_are_reported() {
    for (disk, kind) in [(closed(), "closed"), (killed(), "killed")] {
        let files: Vec<_> = disk.files().into_iter().filter(|f| !f.ends_with("/lock")).collect();
        let intact = examine(&disk.copy(), kind).unwrap().contents;
        let (mut reported, mut harmless) = (0, 0);
        for (a, b) in files.iter().flat_map(|a| files.iter().map(move |b| (a, b))) {
            let (of_a, of_b) = (disk.contents(a).unwrap(), disk.contents(b).unwrap());
            if of_a == of_b {
                continue;
            }
            for swap in [true, false] {
                let damaged = disk.copy();
                damaged.overwrite(a, &of_b);
                if swap {
                    damaged.overwrite(b, &of_a);
                }
                let what = format!("{kind}: {b} in place of {a}, swapped: {swap}");
                match examine(&damaged, &what) {
                    None => reported += 1,
                    Some(found) => {
                        assert_eq!(found.contents, intact, "{what}");
                        let is_dead =
                            |path: &str| path.contains("/spare-") || path.contains("/log-");
                        assert!(is_dead(a) && (!swap || is_dead(b)), "{what} was not reported");
                        harmless += 1;
                    }
                }
            }
        }
        for path in &files {
            let bytes = disk.contents(path).unwrap();
            for copy in ["log-77", "spare-77", "big-77", "new-77", "own/~own/x/twin", "twin"] {
                let damaged = disk.copy();
                damaged.overwrite(&format!("~strongroom/v1.tmp/{copy}"), &bytes);
                let what = format!("{kind}: {path} once more as {copy}");
                match examine(&damaged, &what) {
                    None => reported += 1,
                    Some(found) => {
                        assert_eq!(found.contents, intact, "{what}");
                        harmless += 1;
                    }
                }
            }
        }
        println!(
            "{kind}, files swapped, moved or doubled: {reported} reported, {harmless} without effect"
        );
        assert!(reported > 20, "{kind}: {reported} reported");
    }
}

#[test]
fn a_missing_log_of_a_killed_store_is_an_error() {
    let disk = killed();
    disk.delete("~strongroom/v1.tmp/log-1");
    assert!(examine(&disk, "the log").is_none());
    // So is a missing later segment: the one before names it.
    let disk = SimDisk::new();
    let store = FsStore::open_on(disk.mount(), settings()).unwrap();
    for n in 0..12 {
        // Reserved names and plain ones, until the log has three segments.
        store.write(&ns("a"), &key(&format!("key-{n}")), vec![n; 250]).unwrap();
        for m in 0..3 {
            store.write(&ns("b"), &key(&format!("key-{m}")), vec![m; 250]).unwrap();
        }
    }
    disk.kill();
    drop(store);
    let logs: Vec<_> = disk.files().into_iter().filter(|path| path.contains("/log-")).collect();
    assert!(logs.len() >= 4, "{logs:?}");
    let intact = examine(&disk.copy(), "intact").unwrap().contents;
    for path in &logs {
        let damaged = disk.copy();
        damaged.delete(path);
        if let Some(found) = examine(&damaged, path) {
            // Only a segment that was made ready and never used may be missing.
            assert_eq!(found.contents, intact, "{path}");
            assert!(logs.last() == Some(path) || logs.len() > 4, "{path}");
        }
    }
}

#[test]
fn a_missing_index_is_not_taken_for_a_new_store() {
    for end in ["kill", "close"] {
        let disk = SimDisk::new();
        let store = FsStore::open_on(disk.mount(), settings()).unwrap();
        store.write(&ns("a"), &key("k"), b"x").unwrap();
        if end == "close" {
            store.close().unwrap();
        }
        disk.kill();
        drop(store);
        disk.delete(common::INDEX);
        assert!(examine(&disk, end).is_none(), "{end}");
    }
}

#[test]
fn an_old_index_put_back_is_an_error() {
    let disk = SimDisk::new();
    let mut old = Vec::new();
    for batch in batches() {
        let store = FsStore::open_on(disk.mount(), settings()).unwrap();
        store.submit(batch).wait().unwrap();
        store.close().unwrap();
        old.push(disk.contents(common::INDEX).unwrap());
    }
    disk.overwrite(common::INDEX, &old[0]);
    assert!(examine(&disk, "an old index").is_none());
}

#[test]
fn foreign_files_are_left_alone() {
    let disk = closed();
    let foreign =
        ["a/[empty]/.hidden", "a/[empty]/not ours", "a/stray", "stray.txt", "a/[empty]/new"];
    for path in foreign {
        disk.overwrite(path, b"foreign");
    }
    let found = examine(&disk, "foreign files").unwrap();
    assert_eq!(&found.contents, states().last().unwrap());
    for path in foreign {
        assert_eq!(disk.contents(path).unwrap(), b"foreign");
    }
}
