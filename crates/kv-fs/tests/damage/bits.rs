//! Flipped bits.

use kv_core::{Batch, KvStore, KvStoreExt, Severity};
use kv_fs::{FsStore, disk::SimDisk};

use super::*;

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
    println!("{errors} flipped bits are errors, {healed} were healed and reported");
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
    println!("{errors} flipped bits are errors, {torn} cut the last flush and are reported");
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
