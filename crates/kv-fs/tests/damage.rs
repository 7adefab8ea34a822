//! Damage to every live byte and every file is reported, and never becomes a value; dead space may
//! be anything.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests may panic")]

mod common;

use common::{Contents, key, ns, small, verify};
use kv_core::{Batch, Error, KvStore, KvStoreExt, Namespace, Result, Severity};
use kv_fs::{FsStore, Settings, disk::SimDisk};

fn settings() -> Settings {
    let mut settings = small();
    settings.segment_size = 4 << 10;
    settings.big_value = 300;
    settings
}

fn batches() -> Vec<Batch> {
    let own = Namespace::reserved("~own", "x").unwrap();
    vec![
        Batch::new().put(&ns("a"), &key("one"), b"first").put(&own, &key("note"), b"1"),
        Batch::new().put(&ns("a"), &key("two"), vec![2; 200]).put(
            &ns("a"),
            &key("big"),
            vec![3; 400],
        ),
        Batch::new().put(&ns(""), &key("three"), b"").remove(&ns("a"), &key("one")),
        Batch::new().put(&ns("a"), &key("four"), b"4").put(&own, &key("note"), b"2"),
    ]
}

/// Contents after each batch.
fn states() -> Vec<Contents> {
    let mut states = vec![Contents::default()];
    for batch in batches() {
        let mut next = states.last().unwrap().clone();
        next.apply(&batch);
        states.push(next);
    }
    states
}

/// A store whose batches are all in files.
fn closed() -> SimDisk {
    let disk = SimDisk::new();
    // Two sessions, so that the index has a base and changes.
    for half in batches().chunks(2) {
        let store = FsStore::open_on(disk.mount(), settings()).unwrap();
        for batch in half {
            store.submit(batch.clone()).wait().unwrap();
        }
        store.close().unwrap();
    }
    disk
}

/// A store whose batches are all in the log, one flush each, and whose program was killed.
fn killed() -> SimDisk {
    let disk = SimDisk::new();
    let store = FsStore::open_on(disk.mount(), settings()).unwrap();
    for batch in batches() {
        store.submit(batch).wait().unwrap();
    }
    disk.kill();
    disk
}

/// What a damaged store answers.
#[derive(Debug)]
struct Found {
    contents: Contents,
    /// The worst finding of the scrub.
    worst: Option<Severity>,
}

/// Opens the store and reads everything. An error is fine, but only one that speaks of damage.
fn examine(disk: &SimDisk, what: &str) -> Option<Found> {
    let outcome: Result<Found> = (|| {
        let store = FsStore::open_on(disk.mount(), settings())?;
        let worst = verify(&store).findings.iter().map(|finding| finding.severity).max();
        let contents = Contents::of(&store);
        // The scrub sees whatever a read stumbles over.
        assert_eq!(contents.is_err(), worst == Some(Severity::Damage), "{what}: {contents:?}");
        Ok(Found { contents: contents?, worst })
    })();
    match outcome {
        Ok(found) => Some(found),
        Err(Error::Corrupt { .. }) => None,
        Err(error) => panic!("{what}: {error:?}"),
    }
}

fn flipped(disk: &SimDisk, path: &str, at: usize, bit: u32) -> SimDisk {
    let disk = disk.copy();
    let mut bytes = disk.contents(path).unwrap();
    bytes[at] ^= 1 << bit;
    disk.overwrite(path, &bytes);
    disk
}

/// Every bit of the first bytes of a file.
fn bits(len: usize) -> impl Iterator<Item = (usize, u32)> {
    (0..len).flat_map(|at| (0..8).map(move |bit| (at, bit)))
}

/// Where the frames of a log end: from there on it is zeros.
fn live_len(bytes: &[u8]) -> usize {
    bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1)
}

#[test]
fn every_flipped_bit_of_a_closed_store_is_reported() {
    let (disk, states) = (closed(), states());
    let last = states.last().unwrap();
    let (mut errors, mut healed) = (0, 0);
    for path in disk.files() {
        let bytes = disk.contents(&path).unwrap();
        let is_log = path.contains("/log-") || path.contains("/spare-");
        let len = if is_log { live_len(&bytes) } else { bytes.len() };
        for (at, bit) in bits(len) {
            let what = format!("bit {bit} of byte {at} of {path}");
            match examine(&flipped(&disk, &path, at, bit), &what) {
                None => errors += 1,
                Some(found) => {
                    assert_eq!(&found.contents, last, "{what} became a value");
                    // The log of a closed store is dead space, and makes a damaged end of the index good.
                    assert!(
                        is_log || found.worst == Some(Severity::Notice),
                        "{what} was not reported"
                    );
                    healed += usize::from(!is_log);
                }
            }
        }
    }
    assert!(errors > 5_000 && healed > 500, "{errors} errors, {healed} healed");
}

#[test]
fn every_flipped_bit_of_a_log_is_an_error_or_a_torn_end() {
    let (disk, states) = (killed(), states());
    let path = disk.files().into_iter().find(|path| path.ends_with("/log-1")).unwrap();
    let bytes = disk.contents(&path).unwrap();
    let (mut errors, mut torn) = (0, 0);
    for (at, bit) in bits(live_len(&bytes)) {
        let what = format!("bit {bit} of byte {at} of the log");
        match examine(&flipped(&disk, &path, at, bit), &what) {
            None => errors += 1,
            Some(found) => {
                // Only the last flush before an unclean end can be cut, and never silently.
                assert_eq!(found.contents, states[states.len() - 2], "{what}");
                assert_eq!(found.worst, Some(Severity::Notice), "{what} was cut silently");
                torn += 1;
            }
        }
    }
    assert!(errors > 2_400 && torn > 320, "{errors} errors, {torn} torn ends");
}

#[test]
fn after_a_recovery_even_the_last_flush_is_known() {
    let disk = killed();
    let store = FsStore::open_on(disk.mount(), settings()).unwrap();
    disk.kill();
    drop(store);
    let path = disk.files().into_iter().find(|path| path.ends_with("/log-3")).unwrap();
    let bytes = disk.contents(&path).unwrap();
    for (at, bit) in bits(live_len(&bytes)) {
        let what = format!("bit {bit} of byte {at} of the log");
        assert!(examine(&flipped(&disk, &path, at, bit), &what).is_none(), "{what}");
    }
}

#[test]
fn dead_space_changes_nothing() {
    for disk in [closed(), killed()] {
        for path in
            disk.files().iter().filter(|path| path.contains("/log-") || path.contains("/spare-"))
        {
            let bytes = disk.contents(path).unwrap();
            for at in (live_len(&bytes).next_multiple_of(8)..bytes.len()).step_by(37) {
                let found = examine(&flipped(&disk, path, at, at as u32 % 8), path).unwrap();
                assert_eq!(&found.contents, states().last().unwrap(), "byte {at} of {path}");
                assert_ne!(found.worst, Some(Severity::Damage));
            }
        }
    }
}

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
    println!("{errors} errors, {torn} torn ends, {whole} whole");
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
        println!("{kind}: {reported} reported, {harmless} without effect");
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

/// Links between segments are live bytes, too.
#[test]
fn every_flipped_byte_of_a_log_of_several_segments() {
    let disk = SimDisk::new();
    let store = FsStore::open_on(disk.mount(), settings()).unwrap();
    let mut states = vec![Contents::default()];
    for n in 0..28u8 {
        let batch = Batch::new().put(&ns("a"), &key(&format!("key-{n}")), vec![n | 0x80; 250]);
        store.submit(batch.clone()).wait().unwrap();
        let mut next = states.last().unwrap().clone();
        next.apply(&batch);
        states.push(next);
    }
    disk.kill();
    drop(store);
    let logs: Vec<_> = disk.files().into_iter().filter(|path| path.contains("/log-")).collect();
    assert!(logs.len() >= 3, "{logs:?}");
    for path in logs {
        let bytes = disk.contents(&path).unwrap();
        for at in 0..live_len(&bytes) {
            // Inside of values every seventh byte will do.
            if at % 7 != 0 && bytes[at] >= 0x80 && bytes.get(at + 1) == Some(&bytes[at]) {
                continue;
            }
            let what = format!("byte {at} of {path}");
            if let Some(found) = examine(&flipped(&disk, &path, at, at as u32 % 8), &what) {
                let state = states.iter().position(|state| *state == found.contents);
                let unused = live_len(&bytes) == 64;
                let cut = state == Some(27) && found.worst == Some(Severity::Notice);
                assert!(cut || unused && state == Some(28), "{what}: {state:?} {:?}", found.worst);
            }
        }
    }
}

#[test]
fn the_scrub_sees_damage_under_a_running_store() {
    for (file, at) in [(common::INDEX, 20), ("~strongroom/v1.tmp/log-1", 70)] {
        let disk = SimDisk::new();
        let store = FsStore::open_on(disk.mount(), settings()).unwrap();
        store.write(&ns("a"), &key("k"), b"x").unwrap();
        assert!(verify(&store).findings.is_empty());
        let mut bytes = disk.contents(file).unwrap();
        bytes[at] ^= 1;
        disk.overwrite(file, &bytes);
        assert!(verify(&store).is_damaged(), "{file}");
        assert_eq!(&*store.read_required(&ns("a"), &key("k")).unwrap(), b"x");
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
