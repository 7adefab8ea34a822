//! One folder, used by `kv-fs` and by LDK's `FilesystemStoreV2` in turn.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests may panic")]

mod common;

use std::{
    collections::BTreeMap,
    fs,
    path::Path,
    time::{Duration, UNIX_EPOCH},
};

use common::{Contents, key, ldk, ns, open, ours, settings, theirs};
use kv_core::{Batch, Error, Key, KvStore, KvStoreExt, Namespace};
use kv_fs::{FsStore, OutsideChanges};
use lightning::util::persist::KVStoreSync;
use tempfile::TempDir;

/// Numbers that look random and are the same in each run.
fn random(state: &mut u64, below: u64) -> u64 {
    *state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
    (*state >> 33) % below
}

fn namespaces() -> [Namespace; 4] {
    [ns("", ""), ns("monitors", ""), ns("monitors", "updates"), ns("Monitors", "A-z_9")]
}

/// Writes, overwrites and removes at random, in batches.
fn write_at_random(store: &FsStore, seed: &mut u64, batches: u64) {
    let own = Namespace::reserved("~layer", "").unwrap();
    for n in 0..batches {
        let mut batch = Batch::new().put(&own, &Key::number(n), b"of a layer");
        for _ in 0..=random(seed, 8) {
            let ns = &namespaces()[random(seed, 4) as usize];
            let key = key(&format!("key-{}", random(seed, 90)));
            batch = match random(seed, 5) {
                0 => batch.remove(ns, &key),
                1 => batch.put(ns, &key, vec![n as u8; 9 << 10]),
                _ => batch.put(ns, &key, format!("value {n}")),
            };
        }
        store.submit(batch).wait().unwrap();
    }
}

fn adopting() -> kv_fs::Settings {
    let mut settings = settings();
    settings.outside_changes = OutsideChanges::Adopt;
    settings
}

fn findings(store: &FsStore) -> usize {
    store.capabilities().verify.unwrap().verify(&mut |_| ()).unwrap().findings.len()
}

#[test]
fn ldk_opens_what_we_closed_with_all_values_in_our_order() {
    let dir = TempDir::new().unwrap();
    let mut seed = 1;
    let mut pages = false;
    for session in 0..6 {
        let store = open(dir.path());
        write_at_random(&store, &mut seed, 60);
        let expected = ours(&store);
        store.close().unwrap();
        assert_eq!(theirs(&ldk(dir.path())), expected, "session {session}");
        pages |= expected.newest_first.values().any(|keys| keys.len() > 50);
    }
    assert!(pages, "no listing was longer than a page of LDK's");
}

#[test]
fn we_open_what_ldk_wrote_with_all_values_in_its_order() {
    let dir = TempDir::new().unwrap();
    let store = ldk(dir.path());
    let mut seed = 2;
    // Many in one millisecond: LDK lists these by name.
    for n in 0..300 {
        let ns = &namespaces()[random(&mut seed, 4) as usize];
        let key = format!("key-{}", random(&mut seed, 90));
        if random(&mut seed, 4) == 0 {
            store.remove(ns.primary(), ns.secondary(), &key, false).unwrap();
        } else {
            store.write(ns.primary(), ns.secondary(), &key, vec![n as u8; 30]).unwrap();
        }
    }
    let expected = theirs(&store);
    let store = open(dir.path());
    assert_eq!(ours(&store), expected);
    assert_eq!(findings(&store), 0);
    // What we add is newer than anything of LDK's, and both agree on it.
    store.write(&ns("monitors", ""), &key("AAA-new"), b"new").unwrap();
    store.write(&ns("monitors", ""), &key("AA-newer"), b"newer").unwrap();
    let expected = ours(&store);
    let newest: Vec<_> = expected.newest_first[&ns("monitors", "")].iter().take(2).collect();
    assert_eq!(newest, [&key("AA-newer"), &key("AAA-new")]);
    store.close().unwrap();
    assert_eq!(theirs(&ldk(dir.path())), expected);
}

#[test]
fn what_ldk_changed_meanwhile_is_refused_and_then_adopted() {
    let dir = TempDir::new().unwrap();
    let mut seed = 3;
    for round in 0..5 {
        let store = FsStore::open(dir.path(), adopting()).unwrap();
        write_at_random(&store, &mut seed, 20);
        store.write(&ns("monitors", ""), &key("kept"), b"kept").unwrap();
        store.write(&ns("monitors", ""), &key("gone"), b"gone").unwrap();
        let before = ours(&store);
        store.close().unwrap();

        let other = ldk(dir.path());
        other.write("monitors", "", &format!("of-ldk-{round}"), b"new".to_vec()).unwrap();
        other.write("monitors", "", "kept", b"changed".to_vec()).unwrap();
        other.remove("monitors", "", "gone", false).unwrap();
        other.write("elsewhere", &format!("r{round}"), "k", b"first".to_vec()).unwrap();
        let expected = theirs(&other);
        assert_ne!(expected, before);

        for _ in 0..2 {
            let outcome = FsStore::open(dir.path(), settings());
            assert!(matches!(outcome, Err(Error::ChangedOutside { .. })), "{outcome:?}");
        }
        assert_eq!(theirs(&other), expected, "a refusal changes nothing");

        let store = FsStore::open(dir.path(), adopting()).unwrap();
        assert_eq!(ours(&store), expected, "round {round}");
        // Taken over for good: the next open need not be told.
        store.close().unwrap();
        let store = open(dir.path());
        assert_eq!(ours(&store), expected);
        assert_eq!(findings(&store), 0);
        store.close().unwrap();
        assert_eq!(theirs(&ldk(dir.path())), expected);
    }
}

/// Each kind of change by itself, made at once after the close: no clock is coarse enough to hide it.
#[test]
fn no_change_of_ldks_goes_unnoticed() {
    type Change = fn(&Path);
    let changes: [(&str, Change); 5] = [
        ("monitors/[empty]/a", |dir| {
            ldk(dir).write("monitors", "", "a", b"2".to_vec()).unwrap();
        }),
        ("monitors/[empty]/new", |dir| {
            ldk(dir).write("monitors", "", "new", b"1".to_vec()).unwrap();
        }),
        ("monitors/[empty]/b", |dir| ldk(dir).remove("monitors", "", "b", false).unwrap()),
        ("other/x/k", |dir| ldk(dir).write("other", "x", "k", b"1".to_vec()).unwrap()),
        ("monitors/updates/u", |dir| fs::remove_dir_all(dir.join("monitors/updates")).unwrap()),
    ];
    for (file, change) in changes {
        for _ in 0..10 {
            let dir = TempDir::new().unwrap();
            let store = open(dir.path());
            store.write(&ns("monitors", ""), &key("a"), b"1").unwrap();
            store.write(&ns("monitors", ""), &key("b"), b"1").unwrap();
            store.write(&ns("monitors", "updates"), &key("u"), b"1").unwrap();
            store.close().unwrap();
            change(dir.path());
            match FsStore::open(dir.path(), settings()) {
                Err(Error::ChangedOutside { file: found, .. }) => assert_eq!(found, file),
                other => panic!("{file}: {other:?}"),
            }
        }
    }
}

#[test]
fn reading_with_ldk_changes_nothing() {
    let dir = TempDir::new().unwrap();
    let mut seed = 4;
    for _ in 0..3 {
        let store = open(dir.path());
        assert_eq!(findings(&store), 0);
        write_at_random(&store, &mut seed, 10);
        store.close().unwrap();
        theirs(&ldk(dir.path()));
    }
}

/// A copy that loses times loses LDK's order; we give it back.
#[test]
fn a_copy_without_its_times_gets_them_back() {
    let (from, to) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    let store = open(from.path());
    for name in ["b", "c", "a"] {
        store.write(&ns("monitors", ""), &key(name), name).unwrap();
    }
    let expected = ours(&store);
    store.close().unwrap();
    copy(from.path(), to.path());
    // As a copy made in another order.
    for (second, name) in [(1, "c"), (2, "b"), (3, "a")] {
        let file = fs::File::open(to.path().join("monitors/[empty]").join(name)).unwrap();
        let time = UNIX_EPOCH + Duration::from_secs(1_800_000_000 + second);
        file.set_times(fs::FileTimes::new().set_modified(time)).unwrap();
    }
    assert_ne!(theirs(&ldk(to.path())), expected);
    let store = open(to.path());
    assert_eq!(ours(&store), expected);
    assert_eq!(findings(&store), 1);
    store.close().unwrap();
    assert_eq!(theirs(&ldk(to.path())), expected);
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let to = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &to);
        } else {
            fs::copy(entry.path(), to).unwrap();
        }
    }
}

/// The layers' own names, big values and the log stay out of LDK's sight.
#[test]
fn ldk_sees_nothing_of_our_own() {
    let dir = TempDir::new().unwrap();
    let store = open(dir.path());
    let own = Namespace::reserved("~vault", "names").unwrap();
    store.write(&own, &Key::number(1), b"own").unwrap();
    store.write(&ns("a", ""), &key("big"), vec![1; 100_000]).unwrap();
    store.close().unwrap();
    let mut expected = Contents::default();
    expected.values.insert((ns("a", ""), key("big")), vec![1; 100_000]);
    expected.newest_first = BTreeMap::from([(ns("a", ""), vec![key("big")])]);
    assert_eq!(theirs(&ldk(dir.path())), expected);
}
