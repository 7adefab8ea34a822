//! A unique index takes a key once; a violation is a typed error and changes nothing.

use std::{
    sync::{
        Arc, Barrier,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

use crate::common::{HeldStore, Tx, hashes, labelled, mem, open};
use kv_core::{Batch, KvStore, KvStoreExt};
use records::{Error, ObjectStore, Query, Transaction};

fn assert_not_unique<T: std::fmt::Debug>(result: Result<T, Error>) {
    assert!(matches!(result, Err(Error::NotUnique { index: "label", .. })), "{result:?}");
}

fn by_label(store: &ObjectStore<Tx>) -> Vec<String> {
    hashes(store, &Query::index("label"))
}

#[test]
fn a_second_record_with_the_key_is_refused_and_changes_nothing() {
    let kv = mem();
    let store = open::<Tx>(&kv);
    store.put(&labelled("a", "rent")).unwrap().wait().unwrap();
    assert_not_unique(store.put(&labelled("b", "rent")));
    // Of a batch with one violation nothing happens at all.
    assert_not_unique(store.put_many(&[labelled("c", "food"), labelled("d", "rent")]));
    assert_eq!(by_label(&store), ["a"]);
    assert_eq!(open::<Tx>(&kv).get_all().unwrap(), [labelled("a", "rent")]);
}

#[test]
fn a_record_may_keep_its_key_and_a_freed_key_may_be_taken() {
    let store = open::<Tx>(&mem());
    store.put(&labelled("a", "rent")).unwrap().wait().unwrap();
    store.put(&Tx { time: 9, ..labelled("a", "rent") }).unwrap().wait().unwrap();
    store.put(&labelled("a", "food")).unwrap().wait().unwrap();
    store.put(&labelled("b", "rent")).unwrap().wait().unwrap();
    store.delete((1u64, "a")).unwrap().wait().unwrap();
    store.put(&labelled("c", "food")).unwrap().wait().unwrap();
    assert_eq!(by_label(&store), ["c", "b"]);
}

#[test]
fn within_a_batch_only_the_end_counts() {
    let store = open::<Tx>(&mem());
    assert_not_unique(store.put_many(&[labelled("a", "rent"), labelled("b", "rent")]));
    store.put_many(&[labelled("a", "rent"), labelled("b", "food")]).unwrap().wait().unwrap();
    // Swapping two keys is fine: nobody ever sees both on one record.
    store.put_many(&[labelled("a", "food"), labelled("b", "rent")]).unwrap().wait().unwrap();
    assert_eq!(by_label(&store), ["a", "b"]);
    let mut transaction = store.transaction();
    transaction.put(&store, &labelled("c", "rent")).unwrap();
    transaction.delete(&store, (1u64, "b")).unwrap();
    transaction.submit().unwrap().wait().unwrap();
    assert_eq!(by_label(&store), ["a", "c"]);
}

#[test]
fn what_is_in_flight_counts() {
    let held = HeldStore::new();
    let kv: Arc<dyn KvStore> = held.clone();
    let store = open::<Tx>(&kv);
    let _first = store.put(&labelled("a", "rent")).unwrap();
    assert_not_unique(store.put(&labelled("b", "rent")));
    assert!(matches!(store.put_new(&labelled("a", "x")), Err(Error::Exists { .. })));
    // The key moves on in flight, and is free again before anything is durable.
    let _second = store.put(&labelled("a", "food")).unwrap();
    let _third = store.put(&labelled("b", "rent")).unwrap();
    assert_not_unique(store.put(&labelled("c", "food")));
    let _fourth = store.delete((1u64, "a")).unwrap();
    let _fifth = store.put_new(&labelled("a", "other")).unwrap();
    let _sixth = store.put(&labelled("c", "food")).unwrap();
    held.land(); // a has "rent" for the readers, and no longer for the writers
    assert_eq!(by_label(&store), ["a"]);
    assert_not_unique(store.put(&labelled("d", "rent")));
    while held.held() > 0 {
        held.land();
    }
    assert_eq!(by_label(&store), ["c", "a", "b"]);
}

#[test]
fn a_key_given_up_and_taken_back_in_flight_stays_taken() {
    let held = HeldStore::new();
    let kv: Arc<dyn KvStore> = held.clone();
    let store = open::<Tx>(&kv);
    for label in ["rent", "food", "rent"] {
        drop(store.put(&labelled("a", label)).unwrap());
    }
    for _ in 0..3 {
        assert_not_unique(store.put(&labelled("b", "rent")));
        held.land();
    }
    assert_not_unique(store.put(&labelled("b", "rent")));
    drop(store.put(&labelled("b", "food")).unwrap());
}

#[test]
fn of_many_threads_that_take_one_key_one_wins() {
    const THREADS: usize = 8;
    let store = open::<Tx>(&mem());
    let barrier = Barrier::new(THREADS);
    let wins = AtomicUsize::new(0);
    thread::scope(|scope| {
        for worker in 0..THREADS {
            let (store, barrier, wins) = (&store, &barrier, &wins);
            scope.spawn(move || {
                for round in 0..200 {
                    let record = labelled(&format!("{worker}-{round}"), &format!("l{round}"));
                    barrier.wait();
                    wins.fetch_add(usize::from(store.put(&record).is_ok()), Ordering::SeqCst);
                }
            });
        }
    });
    assert_eq!(wins.into_inner(), 200);
    assert_eq!(by_label(&store).len(), 200);
}

#[test]
fn what_failed_does_not_count() {
    let held = HeldStore::new();
    let kv: Arc<dyn KvStore> = held.clone();
    let store = open::<Tx>(&kv);
    let _landed = store.put(&labelled("a", "rent")).unwrap();
    held.land();
    let _moved = store.put(&labelled("a", "food")).unwrap();
    let _taken = store.put(&labelled("b", "rent")).unwrap();
    held.fail();
    assert_not_unique(store.put(&labelled("c", "rent")));
    let _free = store.put(&labelled("c", "food")).unwrap();
}

#[test]
fn a_conflict_found_at_open_is_reported_and_both_records_stay() {
    let (kv, other) = (mem(), mem());
    open::<Tx>(&kv).put(&labelled("a", "rent")).unwrap().wait().unwrap();
    open::<Tx>(&other).put(&labelled("b", "rent")).unwrap().wait().unwrap();
    // As a merge of two devices would bring it in.
    let mut merged = Batch::new();
    let mut names = Vec::new();
    for (from, ns) in [(&kv, kv.namespaces().unwrap()), (&other, other.namespaces().unwrap())] {
        let name = from.list_all(&ns[0]).unwrap().remove(0);
        let value = from.read_required(&ns[0], &name).unwrap();
        merged = merged.put(&ns[0], &name, value);
        names.push(name);
    }
    kv.submit(merged).wait().unwrap();
    let (store, report) = ObjectStore::<Tx>::open(Arc::clone(&kv)).unwrap();
    assert_eq!(report.records, 2);
    assert_eq!(report.conflicts.len(), 1);
    assert_eq!(
        (report.conflicts[0].index, report.conflicts[0].names.as_slice()),
        ("label", names.as_slice())
    );
    assert!(!report.is_clean());
    assert_eq!(by_label(&store), ["a", "b"]);
    // Settling it needs one change, and then all is as usual.
    let mut settle = Transaction::new(Arc::clone(&kv));
    settle.put(&store, &labelled("b", "food")).unwrap();
    settle.submit().unwrap().wait().unwrap();
    assert_eq!(by_label(&store), ["b", "a"]);
    assert_not_unique(store.put(&labelled("b", "rent")));
}
