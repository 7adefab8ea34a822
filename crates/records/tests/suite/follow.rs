//! Changes made below, as merging makes them: the indexes follow, whatever is written meanwhile.

use std::sync::Arc;

use crate::common::{HeldStore, HookStore, Tx, hashes, labelled, mem, open};
use kv_core::{Batch, Key, KvStore, KvStoreExt, Namespace, Value};
use records::{Below, Error, ObjectStore, Query, Record};

fn by_label(store: &ObjectStore<Tx>) -> Vec<String> {
    hashes(store, &Query::index("label"))
}

/// The name and the bytes a record has in a store of its own.
fn stored(tx: &Tx) -> (Namespace, Key, Value) {
    let kv = mem();
    open::<Tx>(&kv).put(tx).unwrap().wait().unwrap();
    let ns = kv.namespaces().unwrap().remove(0);
    let name = kv.list_all(&ns).unwrap().remove(0);
    let value = kv.read_required(&ns, &name).unwrap();
    (ns, name, value)
}

/// Changes a record below; what to tell the object store.
fn change(kv: &Arc<dyn KvStore>, tx: &Tx, put: bool) -> Below {
    let (ns, name, value) = stored(tx);
    let before = kv.read(&ns, &name).unwrap();
    let batch =
        if put { Batch::new().put(&ns, &name, value) } else { Batch::new().remove(&ns, &name) };
    kv.submit(batch).wait().unwrap();
    Below { name, before }
}

#[test]
fn indexes_follow_what_is_changed_below() {
    let kv = mem();
    let store = open::<Tx>(&kv);
    store.put(&labelled("a", "rent")).unwrap().wait().unwrap();
    let new = change(&kv, &labelled("b", "food"), true);
    let other = change(&kv, &labelled("a", "zoo"), true);
    assert_eq!(by_label(&store), ["a"], "nobody has told it yet");
    let report = store.follow(&[new, other]).unwrap();
    assert!(report.is_clean());
    assert_eq!((report.records, store.count(&Query::all()).unwrap()), (2, 2));
    assert_eq!(by_label(&store), ["b", "a"]);
    let gone = change(&kv, &labelled("b", "food"), false);
    store.follow(&[gone]).unwrap();
    assert_eq!(by_label(&store), ["a"]);
    store.put(&labelled("c", "food")).unwrap().wait().unwrap();
    assert_eq!(by_label(&store), ["c", "a"], "the key is free again");
}

#[test]
fn what_is_written_meanwhile_stays() {
    let kv = mem();
    let store = open::<Tx>(&kv);
    let below = change(&kv, &labelled("a", "rent"), true);
    // Told late: meanwhile the record was written, and another one removed, through the store.
    let gone = change(&kv, &labelled("b", "zoo"), true);
    store.put(&labelled("a", "food")).unwrap().wait().unwrap();
    store.delete(labelled("b", "zoo").key()).unwrap().wait().unwrap();
    store.follow(&[below, gone]).unwrap();
    assert_eq!(by_label(&store), ["a"]);
    let found: Vec<_> = store.query(&Query::index("label")).unwrap().collect();
    assert_eq!(found, [labelled("a", "food")]);
}

/// The change below was read, and then a later one of ours lands: ours stays.
#[test]
fn what_lands_while_changes_are_read_stays() {
    for in_flight_before in [true, false] {
        let held = HeldStore::new();
        let kv = Arc::new(HookStore::new(held.clone()));
        let store = open::<Tx>(&(kv.clone() as Arc<dyn KvStore>));
        let (ns, name, value) = stored(&labelled("a", "rent"));
        drop(held.submit(Batch::new().put(&ns, &name, value)));
        held.land();
        let write = {
            let store = store.clone();
            move || drop(store.put(&labelled("a", "food")).unwrap())
        };
        if in_flight_before {
            write();
            kv.after_read(move || held.land());
        } else {
            kv.after_read(move || {
                write();
                held.land();
            });
        }
        store.follow(&[Below { name, before: None }]).unwrap();
        let found = store.query(&Query::index("label")).unwrap();
        assert_eq!(found.collect::<Vec<_>>(), [labelled("a", "food")], "{in_flight_before}");
    }
}

#[test]
fn a_unique_key_that_two_devices_gave_stays_with_both_and_goes_to_nobody_else() {
    let kv = mem();
    let store = open::<Tx>(&kv);
    store.put(&labelled("b", "rent")).unwrap().wait().unwrap();
    let below = change(&kv, &labelled("a", "rent"), true);
    let report = store.follow(&[below]).unwrap();
    let [conflict] = &report.conflicts[..] else { panic!("{report:?}") };
    let names = [stored(&labelled("a", "")).1, stored(&labelled("b", "")).1];
    assert_eq!((conflict.index, &conflict.names), ("label", &names));
    // The other device has them the other way round and says the same.
    let (other, again) = ObjectStore::<Tx>::open(Arc::clone(&kv)).unwrap();
    assert_eq!(again.conflicts, report.conflicts);
    assert_eq!(by_label(&other), ["a", "b"]);
    assert_eq!(by_label(&store), ["a", "b"], "both are found, the owner first");
    // Each may be saved with the key that it has, alone or together; nobody else may take it.
    let later = |hash| Tx { time: 9, ..labelled(hash, "rent") };
    for twins in [&[later("a")][..], &[later("b")], &["a", "b"].map(later)] {
        store.put_many(twins).unwrap().wait().unwrap();
    }
    for batch in [&[labelled("0", "rent")][..], &["a", "b", "c"].map(later)] {
        let third = store.put_many(batch);
        assert!(matches!(third, Err(Error::NotUnique { index: "label", .. })), "{third:?}");
    }
    // Once it is given up it cannot be taken back.
    store.put(&labelled("b", "food")).unwrap().wait().unwrap();
    assert_eq!(by_label(&store), ["b", "a"]);
    let back = store.put(&later("b"));
    assert!(matches!(back, Err(Error::NotUnique { .. })), "{back:?}");
}

/// Nobody could refuse it: it was on its way before the merged record was known here.
#[test]
fn a_write_in_flight_shares_its_key_with_what_was_merged() {
    let held = HeldStore::new();
    let store = open::<Tx>(&(held.clone() as Arc<dyn KvStore>));
    let (ns, name, value) = stored(&labelled("a", "rent"));
    drop(held.submit(Batch::new().put(&ns, &name, value)));
    held.land();
    drop(store.put(&labelled("b", "rent")).unwrap());
    // One that gives its key up is no conflict.
    let below = Below { name: name.clone(), before: None };
    let report = store.follow(std::slice::from_ref(&below)).unwrap();
    let [conflict] = &report.conflicts[..] else { panic!("{report:?}") };
    assert_eq!((conflict.index, &conflict.names[0]), ("label", &name));
    drop(store.put(&labelled("b", "food")).unwrap());
    assert_eq!(store.follow(&[below]).unwrap().conflicts, []);
    held.land();
    held.land();
    assert_eq!(by_label(&store), ["b", "a"]);
}

#[test]
fn a_record_that_cannot_be_used_leaves_the_indexes() {
    let kv = mem();
    let store = open::<Tx>(&kv);
    store.put(&labelled("a", "rent")).unwrap().wait().unwrap();
    let (ns, name, value) = stored(&labelled("a", "rent"));
    for (bytes, is_too_new) in [(&b"{}"[..], false), (b"{\"v\":99,\"r\":{}}", true)] {
        kv.write(&ns, &name, bytes).unwrap();
        let below = Below { name: name.clone(), before: Some(value.clone()) };
        let report = store.follow(&[below]).unwrap();
        assert_eq!((report.skipped.len(), report.skipped[0].is_too_new()), (1, is_too_new));
        assert_eq!(by_label(&store), [] as [&str; 0]);
        let [unusable] = &store.unusable().unwrap()[..] else { panic!("one") };
        assert_eq!((&unusable.name, unusable.is_too_new()), (&name, is_too_new));
        assert_eq!(store.put(&labelled("a", "x")).is_err(), is_too_new, "nothing is lost by it");
    }
    kv.write(&ns, &name, value.clone()).unwrap();
    store.follow(&[Below { name, before: None }]).unwrap();
    assert_eq!(by_label(&store), ["a"]);
    assert!(store.unusable().unwrap().is_empty());
}

#[test]
fn who_was_lent_a_store_does_not_close_it() {
    let kv = mem();
    let store = open::<Tx>(&kv);
    store.put(&labelled("a", "rent")).unwrap().wait().unwrap();
    let lent = store.lent();
    lent.close();
    lent.clone().close();
    assert_eq!((by_label(&store), by_label(&lent)), (vec!["a".into()], vec!["a".into()]));
    store.close();
    assert!(matches!(lent.get_all(), Err(Error::Store { .. })));
}
