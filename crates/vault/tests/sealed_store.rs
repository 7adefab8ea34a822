//! What a sealed store hides, what it answers to damage, and how it unlocks and locks.

#![expect(clippy::unwrap_used, reason = "tests panic")]

mod common;

use std::sync::Arc;

use common::{Bed, change, everything, key, ns, root, values};
use kv_core::{
    Batch, Error, InvalidName, Key, KvStore, KvStoreExt, Namespace, Severity,
    testing::{Fault, FaultyStore, Landing, Testbed},
};
use kv_mem::{Medium, MemStore};
use vault::{RootSecret, SealedStore, UnlockError, Words};

fn report(store: &dyn KvStore) -> kv_core::Report {
    let verify = store.capabilities().verify.unwrap();
    verify.verify(&mut |_| ()).unwrap()
}

#[test]
fn nothing_below_is_in_clear() {
    let bed = Bed::default();
    let store = bed.open().unwrap();
    let (space, sub, name) = ("ACCOUNTSPACE", "subspace-of-it", "name-of-the-owner");
    let value = "0xd8dA6BF26964aF9D7eEd9e03E53415D37aA96045";
    store.write(&ns(space, sub), &key(name), value).unwrap();
    store.write(&ns("", ""), &key(name), value).unwrap();
    store.write(&ns("~records", sub), &key(name), value).unwrap();
    store.write(&ns("~backup", "log"), &Key::number(1), value).unwrap();
    for n in 0..600 {
        let batch = Batch::new().put(&ns(space, sub), &key(&format!("{name}-{n}")), value);
        drop(store.submit(batch));
    }
    store.close().unwrap();
    let needles = [space, sub, name, value, "records", "subspace", "owner"];
    let contains = |hay: &[u8], needle: &str| {
        let needle = needle.as_bytes();
        hay.windows(needle.len()).any(|w| w.eq_ignore_ascii_case(needle))
    };
    for (at, name, bytes) in everything(&bed.raw()) {
        let place = format!("{at:?}/{name:?}");
        for needle in needles {
            assert!(!contains(place.as_bytes(), needle), "{needle} in {place}");
            assert!(!contains(&bytes, needle), "{needle} under {place}");
        }
        let clear = ["~vault", "~backup"].contains(&at.primary());
        let hash = |text: &str| text.len() == 32 && *text == text.to_lowercase();
        let hashed = hash(at.primary()) && hash(at.secondary()) && hash(name.as_str());
        assert!(clear != hashed, "{place}");
        assert!(!clear || name.as_number().is_some());
    }
}

#[test]
fn equal_names_in_different_places_look_different() {
    let bed = Bed::default();
    let store = bed.open().unwrap();
    for (primary, secondary) in [("a", ""), ("a", "b"), ("b", "b"), ("ab", "")] {
        store.write(&ns(primary, secondary), &key("k"), b"x").unwrap();
    }
    store.close().unwrap();
    let mut parts = Vec::new();
    for (at, name) in values(&bed.raw()) {
        parts.extend([at.secondary().to_owned(), name.as_str().to_owned()]);
    }
    let count = parts.len();
    parts.sort_unstable();
    parts.dedup();
    assert_eq!(parts.len(), count);
}

#[test]
fn swapped_values_are_corrupt() {
    let bed = Bed::default();
    let store = bed.open().unwrap();
    let a = ns("a", "");
    store.write(&a, &key("one"), b"1").unwrap();
    store.write(&a, &key("two"), b"2").unwrap();
    store.close().unwrap();
    let raw = bed.raw();
    let places = values(&raw);
    let [one, two] = places.as_slice() else { panic!("{places:?}") };
    let bytes = [one, two].map(|(ns, key)| raw.read_required(ns, key).unwrap());
    change(&raw, &one.0, &one.1, |b| *b = bytes[1].to_vec());
    change(&raw, &two.0, &two.1, |b| *b = bytes[0].to_vec());
    drop(raw);
    let store = bed.open().unwrap();
    for name in ["one", "two"] {
        let read = store.read(&a, &key(name));
        assert!(matches!(read, Err(Error::Corrupt { .. })), "{read:?}");
    }
    assert!(report(&*store).is_damaged());
}

#[test]
fn every_damaged_byte_below_is_noticed() {
    let bed = Bed::default();
    let store = bed.open().unwrap();
    store.write(&ns("a", ""), &key("k"), b"a value").unwrap();
    store.write(&ns("~backup", "log"), &Key::number(1), b"log").unwrap();
    store.close().unwrap();
    let raw = bed.raw();
    let all = everything(&raw);
    drop(raw);
    for (at, name, bytes) in all {
        for position in 0..bytes.len() {
            change(&bed.raw(), &at, &name, |bytes| bytes[position] ^= 0x10);
            match bed.sealed() {
                Ok(store) => {
                    let findings = report(&*store).findings;
                    let expected = if at == ns("~vault", "header") {
                        Severity::Healed
                    } else {
                        Severity::Damage
                    };
                    assert_eq!(findings.len(), 1, "{at:?} byte {position}: {findings:?}");
                    assert_eq!(findings[0].severity, expected);
                    assert!(!findings[0].what.contains("a/k"), "true names in a report");
                }
                Err(UnlockError::Damaged { .. }) => {
                    assert_eq!(at, ns("~vault", "names"), "{at:?} byte {position}");
                }
                Err(other) => panic!("{other:?}"),
            }
            change(&bed.raw(), &at, &name, |b| *b = bytes.to_vec());
        }
    }
    assert_eq!(report(&*bed.open().unwrap()).findings, []);
}

#[test]
fn a_missing_value_is_corrupt_and_an_orphan_is_found() {
    let bed = Bed::default();
    let store = bed.open().unwrap();
    let a = ns("a", "");
    store.write(&a, &key("k"), b"1").unwrap();
    store.close().unwrap();
    let raw = bed.raw();
    let (at, name) = values(&raw).pop().unwrap();
    let bytes = raw.read_required(&at, &name).unwrap();
    raw.remove(&at, &name).unwrap();
    drop(raw);

    let store = bed.open().unwrap();
    assert!(matches!(store.read(&a, &key("k")), Err(Error::Corrupt { .. })));
    assert!(store.read(&a, &key("never-there")).unwrap().is_none());
    assert_eq!(report(&*store).findings.len(), 1);
    // Putting it anew repairs it.
    store.write(&a, &key("k"), b"2").unwrap();
    assert!(!report(&*store).is_damaged());
    store.remove(&a, &key("k")).unwrap();
    store.close().unwrap();

    // The removed value comes back below, where no name leads to it.
    bed.raw().write(&at, &name, bytes).unwrap();
    let store = bed.open().unwrap();
    let findings = report(&*store).findings;
    assert_eq!(findings.len(), 1, "{findings:?}");
    assert!(findings[0].what.contains("without a name"), "{findings:?}");
    assert!(store.list_all(&a).unwrap().is_empty());
}

#[test]
fn a_missing_part_of_the_directory_is_damage() {
    let fill = || {
        let bed = Bed::default();
        let store = bed.open().unwrap();
        for n in 0..1203 {
            let batch = Batch::new().put(&ns("a", ""), &key(&format!("{n:0>90}")), b"x");
            drop(store.submit(batch));
        }
        store.close().unwrap();
        bed
    };
    let whole = everything(&fill().raw());
    let parts: Vec<_> = whole
        .iter()
        .filter(|(at, ..)| *at == ns("~vault", "names") || *at == ns("~vault", "pages"))
        .collect();
    assert!(parts.iter().filter(|(at, ..)| at.secondary() == "pages").count() >= 2);
    let newest = parts.iter().filter(|(at, ..)| at.secondary() == "names").map(|(_, n, _)| n).max();
    // One small entry that is not the newest, and each page.
    let mut entries = 0;
    for (at, name, _) in &parts {
        if at.secondary() == "names" {
            entries += 1;
            if entries > 2 || Some(name) == newest {
                continue;
            }
        }
        let bed = fill();
        bed.raw().remove(at, name).unwrap();
        let opened = bed.sealed();
        assert!(matches!(opened, Err(UnlockError::Damaged { .. })), "{at:?}/{name:?}: {opened:?}");
    }
    // The newest entry is missed as soon as the values are looked at.
    let bed = fill();
    bed.raw().remove(&ns("~vault", "names"), newest.unwrap()).unwrap();
    assert!(report(&*bed.open().unwrap()).is_damaged());
}

#[test]
fn verify_misses_a_part_of_the_directory_that_vanished_meanwhile() {
    let below = Arc::new(MemStore::new());
    let store = SealedStore::create(below.clone(), &root()).unwrap();
    store.write(&ns("a", ""), &key("k"), b"x").unwrap();
    below.remove(&ns("~vault", "names"), &Key::number(1)).unwrap();
    let findings = report(&*store).findings;
    assert_eq!(findings.len(), 1, "{findings:?}");
    assert!(findings[0].what.contains("name directory"), "{findings:?}");
}

#[test]
fn unlocking_tells_its_failures_apart() {
    let below = Arc::new(MemStore::new());
    let open = |root: &RootSecret| SealedStore::open(below.clone(), root);
    assert!(matches!(open(&root()), Err(UnlockError::Empty)));
    let words = Words::generate().unwrap();
    let store = SealedStore::create(below.clone(), &RootSecret::from_words(&words)).unwrap();
    store.write(&ns("a", ""), &key("k"), b"x").unwrap();
    drop(store);
    assert!(matches!(open(&root()), Err(UnlockError::OtherWallet)));
    let again = SealedStore::create(below.clone(), &root());
    assert!(matches!(again, Err(UnlockError::NotEmpty)));
    let store = open(&RootSecret::from_words(&words)).unwrap();
    assert!(store.read(&ns("a", ""), &key("k")).unwrap().is_some());
    drop(store);
    for copy in 0..2 {
        below.remove(&ns("~vault", "header"), &Key::number(copy)).unwrap();
    }
    assert!(matches!(open(&root()), Err(UnlockError::Damaged { .. })));
    let in_use = UnlockError::from(Error::InUse { store: "mem" });
    assert!(matches!(in_use, UnlockError::InUse));
    assert!(matches!(open_closed(), Err(UnlockError::Store(Error::Closed { .. }))));
}

fn open_closed() -> Result<Arc<SealedStore>, UnlockError> {
    let below = Arc::new(MemStore::new());
    below.close().unwrap();
    SealedStore::open(below, &root())
}

#[test]
fn messages_of_unlocking() {
    let source = Error::corrupt("vault", "a value is missing");
    let messages = [
        UnlockError::OtherWallet,
        UnlockError::Damaged { source: source.clone() },
        UnlockError::Empty,
        UnlockError::NotEmpty,
        UnlockError::TooNew { found: 2, newest: 1 },
        UnlockError::InUse,
        UnlockError::Store(source),
    ]
    .map(|e| e.to_string());
    assert_eq!(
        messages,
        [
            "this key belongs to another wallet",
            "the sealed store is damaged",
            "there is no wallet here",
            "there is already something here",
            "sealed format 2 is too new, this version knows formats up to 1",
            "the store is open elsewhere",
            "the store below failed",
        ]
    );
}

#[test]
fn after_locking_everything_answers_locked() {
    let below = Arc::new(MemStore::new());
    let store = SealedStore::create(below.clone(), &root()).unwrap();
    let (a, k) = (ns("a", ""), key("k"));
    store.write(&a, &k, b"x").unwrap();
    store.lock();
    store.lock();
    let locked = |error: Error| matches!(error, Error::Locked { .. });
    assert!(locked(store.read(&a, &k).unwrap_err()));
    assert!(locked(store.list(&a, None, 1).unwrap_err()));
    assert!(locked(store.namespaces().unwrap_err()));
    assert!(locked(store.write(&a, &k, b"y").unwrap_err()));
    assert!(locked(store.flush().unwrap_err()));
    assert!(locked(store.keys().unwrap_err()));
    let abilities = store.capabilities();
    assert!(locked(abilities.verify.unwrap().verify(&mut |_| ()).unwrap_err()));
    assert!(locked(abilities.footprint.unwrap().footprint().unwrap_err()));
    let newest = abilities.creation_order.unwrap();
    assert!(locked(newest.list_newest_first(&a, None, 1).unwrap_err()));
    // The store below is open until it is closed.
    assert!(below.namespaces().is_ok());
    store.close().unwrap();
    assert!(below.namespaces().is_err());
    assert!(matches!(store.read(&a, &k), Err(Error::Closed { .. })));
}

#[test]
fn its_own_namespace_is_out_of_reach() {
    let bed = Bed::default();
    let store = bed.open().unwrap();
    for class in ["header", "names", "pages", ""] {
        let own = ns("~vault", class);
        assert!(store.read(&own, &Key::number(0)).unwrap().is_none());
        assert!(store.list_all(&own).unwrap().is_empty());
        let refused = [
            Batch::new().put(&own, &Key::number(0), b"x"),
            Batch::new().remove(&own, &Key::number(0)),
            Batch::new().require_absent(&own, &Key::number(0)),
        ];
        for batch in refused {
            let refused = store.submit(batch).wait();
            let Err(Error::InvalidName { source }) = refused else {
                panic!("{refused:?}");
            };
            assert_eq!(source, InvalidName::Taken);
        }
    }
    assert!(store.namespaces().unwrap().is_empty());
    store.write(&ns("a", ""), &key("k"), b"it goes on").unwrap();
}

#[test]
fn the_log_keeps_its_numbers() {
    let bed = Bed::default();
    let store = bed.open().unwrap();
    let log = ns("~backup", "log");
    for n in [3, 1, 2] {
        store.write(&log, &Key::number(n), b"x").unwrap();
    }
    let numbers = [1, 2, 3].map(Key::number);
    assert_eq!(store.list_all(&log).unwrap(), numbers);
    assert_eq!(store.namespaces().unwrap(), std::slice::from_ref(&log));
    let named = store.write(&log, &key("a-name-would-show"), b"x");
    assert!(matches!(named, Err(Error::InvalidName { .. })));
    assert!(store.read(&log, &key("a-name-would-show")).unwrap().is_none());
    store.close().unwrap();
    assert_eq!(bed.raw().list_all(&log).unwrap(), numbers);
}

#[test]
fn creation_order_is_told_in_true_names() {
    let bed = Bed::default();
    let store = bed.sealed().unwrap();
    let a = ns("a", "");
    let newest = |limit: usize| {
        let order = store.capabilities().creation_order.unwrap();
        let mut keys: Vec<Key> = Vec::new();
        let mut cursor = None;
        loop {
            let page = order.list_newest_first(&a, cursor.as_ref(), limit).unwrap();
            keys.extend(page.keys);
            cursor = page.next;
            if cursor.is_none() {
                return keys;
            }
        }
    };
    assert!(newest(10).is_empty());
    for name in ["b", "a", "c"] {
        store.write(&a, &key(name), b"x").unwrap();
    }
    assert_eq!(newest(2), ["c", "a", "b"].map(key));
    store.write(&a, &key("d"), b"x").unwrap();
    store.remove(&a, &key("a")).unwrap();
    store.write(&a, &key("b"), b"kept its place").unwrap();
    assert_eq!(newest(1), ["d", "c", "b"].map(key));
    store.write(&a, &key("a"), b"anew").unwrap();
    assert_eq!(newest(10), ["a", "d", "c", "b"].map(key));
}

#[test]
fn a_healed_header_is_reported_by_verify() {
    let bed = Bed::default();
    bed.open().unwrap().close().unwrap();
    change(&bed.raw(), &ns("~vault", "header"), &Key::number(1), |b| b[20] ^= 1);
    let store = bed.open().unwrap();
    let findings = report(&*store).findings;
    assert_eq!(findings.len(), 1);
    assert_eq!(findings[0].severity, Severity::Healed);
    store.close().unwrap();
    assert_eq!(report(&*bed.open().unwrap()).findings, []);
}

#[test]
fn preconditions_are_translated() {
    let bed = Bed::default();
    let store = bed.open().unwrap();
    let a: Namespace = ns("a", "");
    store.write_if_absent(&a, &key("k"), b"1").unwrap();
    let again = store.write_if_absent(&a, &key("k"), b"2");
    assert!(matches!(again, Err(Error::Precondition { .. })));
    assert!(matches!(store.read(&a, &key("k")).unwrap().as_deref(), Some(b"1")));
}

#[test]
fn a_store_is_made_with_the_first_entries_of_the_log_or_not_at_all() {
    let (log, data) = (ns("~backup", "state"), ns("accounts", ""));
    for landing in [Landing::Absent, Landing::Landed] {
        let (medium, fault) = (Medium::default(), Arc::new(Fault::default()));
        let open = || {
            let store = Arc::new(MemStore::open(medium.clone()).unwrap());
            Arc::new(FaultyStore::new(store, fault.clone()))
        };
        let first = Batch::new().put(&log, &Key::number(1), b"first");
        for nth in 1.. {
            fault.fail_nth(nth, landing);
            let made = SealedStore::create_with(open(), &root(), first.clone());
            fault.fail_nth(0, landing);
            match SealedStore::open(open(), &root()) {
                Ok(store) => {
                    let found = store.read(&log, &Key::number(1)).unwrap();
                    assert_eq!(found.as_deref(), Some(&b"first"[..]), "operation {nth}");
                    assert_eq!(store.namespaces().unwrap(), std::slice::from_ref(&log));
                    break;
                }
                Err(error) => assert!(made.is_err() && matches!(error, UnlockError::Empty)),
            }
        }
    }
    // A name that has to be hidden would need the directory.
    let store = Arc::new(MemStore::new());
    let refused = SealedStore::create_with(
        store.clone(),
        &root(),
        Batch::new().put(&data, &key("one"), b"value"),
    );
    assert!(matches!(refused, Err(UnlockError::Store(Error::InvalidName { .. }))));
    assert!(store.namespaces().unwrap().is_empty());
}
