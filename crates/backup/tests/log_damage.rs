//! Damage to the log and to what lies beside it: an error that says so, never a panic, and never believed.

mod common;

use std::sync::Arc;

use backup::Recorder;
use common::{budget, clock, key, ns, numbered, own, recorder, rules};
use kv_core::{Error, Key, KvStore, KvStoreExt};
use kv_mem::{Medium, MemStore};
use proptest::prelude::*;

#[test]
fn a_hole_in_the_log_is_damage() {
    let written = |count| {
        let medium = Medium::default();
        let recorder = recorder(MemStore::open(medium.clone()).unwrap());
        (0..count).for_each(|i| recorder.write(&ns("s"), &numbered(i), b"x").unwrap());
        drop(recorder);
        medium
    };
    let reopen = |medium: Medium| {
        let store = Arc::new(MemStore::open(medium).unwrap());
        Recorder::open(store, rules(), clock(), budget(0))
    };
    assert!(reopen(written(100)).is_ok());
    for lost in [0, 1, 50, 98] {
        let medium = written(100);
        MemStore::open(medium.clone()).unwrap().remove(&own("log"), &Key::number(lost)).unwrap();
        assert!(matches!(reopen(medium), Err(Error::Corrupt { .. })), "{lost} is missing");
    }
    // An old copy of a slot is a hole too.
    let medium = written(300);
    let store = MemStore::open(medium.clone()).unwrap();
    let slots = store.list_all(&own("log")).unwrap();
    let old = store.read_required(&own("log"), &slots[7]).unwrap();
    drop(store);
    let recorder = recorder(MemStore::open(medium.clone()).unwrap());
    (300..400).for_each(|i| recorder.write(&ns("s"), &numbered(i), b"x").unwrap());
    drop(recorder);
    let store = MemStore::open(medium.clone()).unwrap();
    if store.read_required(&own("log"), &slots[7]).unwrap() != old {
        store.write(&own("log"), &slots[7], old).unwrap();
        drop(store);
        assert!(matches!(reopen(medium), Err(Error::Corrupt { .. })), "an old slot");
    }
    let medium = written(1);
    MemStore::open(medium.clone()).unwrap().remove(&own("state"), &Key::number(0)).unwrap();
    assert!(matches!(reopen(medium), Err(Error::Corrupt { .. })), "the state is missing");
    let medium = written(1);
    let store = MemStore::open(medium.clone()).unwrap();
    store.write(&own("state"), &Key::number(0), &[2, 0, 0, 0, 9]).unwrap();
    drop(store);
    assert!(matches!(reopen(medium), Err(Error::TooNew { found: 2, .. })));
}

#[test]
fn a_missing_value_is_damage_and_not_a_removal() {
    let medium = Medium::default();
    recorder(MemStore::open(medium.clone()).unwrap()).write(&ns("s"), &key("k"), b"x").unwrap();
    MemStore::open(medium.clone()).unwrap().remove(&ns("s"), &key("k")).unwrap();
    let recorder = recorder(MemStore::open(medium).unwrap());
    assert!(matches!(recorder.cut(0), Err(Error::Corrupt { .. })));
}

#[test]
fn a_mergeable_value_without_a_frame_is_damage() {
    let store = Arc::new(MemStore::new());
    let recorder = recorder(store.clone());
    for bad in [&b""[..], &[1; 28], &[0; 40]] {
        store.write(&ns("m"), &key("k"), bad).unwrap();
        assert!(matches!(recorder.read(&ns("m"), &key("k")), Err(Error::Corrupt { .. })));
    }
    store.write(&ns("m"), &key("k"), &[2; 40]).unwrap();
    let newer = recorder.read(&ns("m"), &key("k"));
    assert!(matches!(newer, Err(Error::TooNew { found: 2, newest: 1, .. })), "{newer:?}");
}

#[test]
fn bookkeeping_of_a_newer_version_is_too_new() {
    // The state, the fence and what is known of other writers: each begins with its version.
    for number in [0, 2, 3] {
        for (version, is_newer) in [(0u32, false), (2, true), (u32::MAX, true)] {
            let store = Arc::new(MemStore::new());
            drop(recorder(store.clone()));
            let bytes = [&version.to_le_bytes()[..], &[0; 100]].concat();
            store.write(&own("state"), &Key::number(number), bytes).unwrap();
            let opened = Recorder::open(store, rules(), clock(), budget(0));
            match opened {
                Err(Error::TooNew { found, newest: 1, .. }) => {
                    assert!(is_newer && found == version)
                }
                Err(Error::Corrupt { .. }) => assert!(!is_newer),
                other => panic!("{number} of version {version}: {other:?}"),
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    /// Bookkeeping that was never written by us is an error, never a panic and never believed.
    #[test]
    fn damaged_bookkeeping_is_an_error(
        place in 0..4usize,
        bytes in proptest::collection::vec(any::<u8>(), 0..200),
        flip in any::<(u16, u8)>(),
        arbitrary in any::<bool>(),
    ) {
        let medium = Medium::default();
        let first = recorder(MemStore::open(medium.clone()).unwrap());
        first.write(&ns("m"), &key("k"), b"value").unwrap();
        first.remove(&ns("m"), &key("gone")).unwrap();
        // Acknowledged in the middle, so that there is a dirty page.
        first.acknowledge({ let mut state = first.state(); state.backed_up = 1; state }).unwrap();
        first.write(&ns("m"), &key("k2"), b"value").unwrap();
        drop(first);
        let store = Arc::new(MemStore::open(medium).unwrap());
        let (name, number) = [("state", 0), ("log", 0), ("dirty", 1), ("tombstones", 2)][place];
        let (ns, number) = (own(name), Key::number(number));
        let mut damaged = store.read_required(&ns, &number).unwrap().to_vec();
        if arbitrary {
            damaged = bytes;
        } else {
            let at = usize::from(flip.0) % damaged.len();
            damaged[at] ^= flip.1;
        }
        store.write(&ns, &number, damaged).unwrap();
        if let Ok(recorder) = Recorder::open(store, rules(), clock(), budget(0)) {
            let _ = recorder.lag();
            let _ = recorder.cut(0);
            if let Ok(mut dump) = recorder.dump() {
                while let Ok(Some(_)) = dump.next_page() {}
            }
        }
    }
}
