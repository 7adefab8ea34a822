//! Stores that number their records themselves.

use std::sync::Arc;

use kv_core::{Key, KvStore, KvStoreExt, Namespace};
use records::{Below, Error, KeyRange, ObjectStore, Query, Record, RecordKey, Transaction};
use serde::{Deserialize, Serialize};

use crate::common::{HeldStore, Tx, mem, open, tx};

#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
struct Click {
    id: u64,
    on: String,
}

impl Record for Click {
    const STORE: &'static str = "clicks";
    const VERSION: u32 = 1;
    const NUMBERED: Option<fn(&mut Self, u64)> = Some(|click, number| click.id = number);

    fn key(&self) -> RecordKey {
        self.id.into()
    }
}

fn click(on: &str) -> Click {
    Click { id: 0, on: on.to_owned() }
}

fn add(store: &ObjectStore<Click>, on: &str) -> u64 {
    let (number, commit) = store.add(click(on)).unwrap();
    commit.wait().unwrap();
    assert_eq!(store.get(number).unwrap().unwrap(), Click { id: number, on: on.to_owned() });
    number
}

fn clicks() -> Namespace {
    Namespace::reserved("~records", "clicks").unwrap()
}

#[test]
fn new_records_are_numbered_from_one() {
    let store = open::<Click>(&mem());
    assert_eq!([add(&store, "a"), add(&store, "b")], [1, 2]);
    // An explicit number is a key like any other, and the count goes on behind it.
    store.put(&Click { id: 10, ..click("c") }).unwrap().wait().unwrap();
    store.put(&Click { id: 5, ..click("d") }).unwrap().wait().unwrap();
    assert_eq!(add(&store, "e"), 11);
    assert_eq!(store.keys(&Query::all()).unwrap(), [1u8, 2, 5, 10, 11].map(RecordKey::from));
}

/// W3C text, section 2.11: the current number never decreases, whatever is deleted.
#[test]
fn a_number_is_never_given_twice() {
    let kv = mem();
    let store = open::<Click>(&kv);
    for on in ["a", "b", "c"] {
        add(&store, on);
    }
    store.delete(3u8).unwrap().wait().unwrap();
    store.put(&Click { id: 7, ..click("d") }).unwrap().wait().unwrap();
    store.delete(7u8).unwrap().wait().unwrap();
    let again = open::<Click>(&kv);
    assert_eq!(add(&again, "e"), 8, "after reopening, though the greatest are gone");
    again.clear().unwrap().wait().unwrap();
    assert_eq!(add(&open(&kv), "f"), 9, "clearing does not begin anew");
    // Without the stored count what is there decides; nothing there is overwritten.
    kv.remove(&clicks(), &Key::new("next").unwrap()).unwrap();
    assert_eq!(add(&open(&kv), "g"), 10);
}

#[test]
fn a_damaged_count_is_reported_and_the_records_are_served() {
    let kv = mem();
    add(&open(&kv), "a");
    let name = Key::new("next").unwrap();
    for (bytes, is_too_new) in [("{}", false), (r#"{"v":2,"r":1}"#, true)] {
        kv.write(&clicks(), &name, bytes).unwrap();
        let (store, report) = ObjectStore::<Click>::open(Arc::clone(&kv)).unwrap();
        assert_eq!(
            (report.records, report.skipped.len(), report.too_new()),
            (1, 1, usize::from(is_too_new))
        );
        assert_eq!(report.skipped[0].name, name);
        assert_eq!(store.count(&Query::all()).unwrap(), 1);
        let added = store.add(click("b"));
        assert_eq!(matches!(added, Err(Error::TooNew { .. })), is_too_new, "{added:?}");
        store.delete(2u8).unwrap().wait().unwrap();
    }
}

#[test]
fn the_count_is_one_batch_with_the_record() {
    let held = HeldStore::new();
    let kv: Arc<dyn KvStore> = held.clone();
    let (clicks, txs) = (open::<Click>(&kv), open::<Tx>(&kv));
    let mut transaction = Transaction::new(Arc::clone(&kv));
    let numbers = ["a", "b"].map(|on| transaction.add(&clicks, click(on)).unwrap());
    transaction.put(&txs, &tx("t", 1)).unwrap();
    drop(transaction.submit().unwrap());
    assert_eq!((numbers, held.held()), ([1, 2], 1));
    assert_eq!(clicks.add(click("c")).unwrap().0, 3, "what is in flight counts");
    held.land();
    assert_eq!((clicks.get_all().unwrap().len(), txs.get_all().unwrap().len()), (2, 1));
    held.fail();
    // Refused or failed, a number is gone.
    let mut dropped = Transaction::new(Arc::clone(&kv));
    assert_eq!(dropped.add(&clicks, click("d")).unwrap(), 4);
    drop(dropped);
    let (number, commit) = clicks.add(click("e")).unwrap();
    drop(commit);
    held.land();
    assert_eq!((number, clicks.count(&Query::all()).unwrap()), (5, 3));
    assert_eq!(add_held(&held, &open(&kv)), 6);
}

fn add_held(held: &HeldStore, store: &ObjectStore<Click>) -> u64 {
    let (number, commit) = store.add(click("x")).unwrap();
    held.land();
    commit.wait().unwrap();
    number
}

#[test]
fn the_count_of_another_device_is_followed() {
    let (kv, other) = (mem(), mem());
    let (store, theirs) = (open::<Click>(&kv), open::<Click>(&other));
    add(&store, "a");
    for on in ["a", "b", "c"] {
        add(&theirs, on);
    }
    theirs.delete(3u8).unwrap().wait().unwrap();
    let mut changes = Vec::new();
    for name in other.list_all(&clicks()).unwrap() {
        let before = kv.read(&clicks(), &name).unwrap();
        kv.write(&clicks(), &name, other.read_required(&clicks(), &name).unwrap()).unwrap();
        changes.push(Below { name, before });
    }
    assert!(store.follow(&changes).unwrap().is_clean());
    assert_eq!(store.count(&Query::all()).unwrap(), 2);
    assert_eq!(add(&store, "d"), 4);
}

/// Another device has counted less far, and its count is the later one.
#[test]
fn a_lesser_count_of_another_device_takes_no_number_back() {
    let name = Key::new("next").unwrap();
    for deleted_before in [false, true] {
        let kv = mem();
        let store = open::<Click>(&kv);
        for _ in 1..=9 {
            add(&store, "a");
        }
        let delete = || {
            store.delete_range(KeyRange::within(RecordKey::from(5u8)..)).unwrap().wait().unwrap()
        };
        if deleted_before {
            delete();
        }
        let before = kv.read(&clicks(), &name).unwrap();
        kv.write(&clicks(), &name, r#"{"v":1,"r":4}"#).unwrap();
        store.follow(&[Below { name: name.clone(), before }]).unwrap();
        if !deleted_before {
            delete();
        }
        assert_eq!(add(&open(&kv), "b"), 10, "{deleted_before}");
    }
}

/// What is removed may be all that told of its number: here the count is of a version that did not
/// know, or was damaged.
#[test]
fn a_removal_keeps_the_number_of_what_it_removes() {
    let kv = mem();
    let store = open::<Click>(&kv);
    for _ in 1..=3 {
        add(&store, "a");
    }
    kv.write(&clicks(), &Key::new("next").unwrap(), r#"{"v":1,"r":2}"#).unwrap();
    open::<Click>(&kv).delete(3u8).unwrap().wait().unwrap();
    assert_eq!(add(&open(&kv), "b"), 4);
}

/// A type whose key is not what it is numbered with.
#[derive(Debug, Serialize, Deserialize)]
struct Crooked(u64);

impl Record for Crooked {
    const STORE: &'static str = "crooked";
    const VERSION: u32 = 1;
    const NUMBERED: Option<fn(&mut Self, u64)> = Some(|crooked, number| crooked.0 = number + 1);

    fn key(&self) -> RecordKey {
        self.0.into()
    }
}

#[test]
fn only_a_type_that_takes_a_number_is_numbered() {
    assert!(matches!(open::<Tx>(&mem()).add(tx("a", 1)), Err(Error::Schema { .. })));
    let kv = mem();
    assert!(matches!(open(&kv).add(Crooked(0)), Err(Error::Schema { .. })));
    assert!(kv.namespaces().unwrap().is_empty());
}

/// As `records-v1` says.
#[test]
fn the_stored_count_is_the_golden_one() {
    let kv = mem();
    let store = open::<Click>(&kv);
    assert_eq!(["a", "b", "c"].map(|on| add(&store, on)), [1, 2, 3]);
    let name = Key::new("next").unwrap();
    let value = kv.read_required(&clicks(), &name).unwrap();
    let line =
        format!("~records/clicks {} {}\n", name.as_str(), std::str::from_utf8(&value).unwrap());
    assert_eq!(line, include_str!("../golden/v1/counts.txt"));
}
