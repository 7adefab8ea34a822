//! The indexes agree with what is durable: nothing earlier, nothing that failed, in order.

use std::{
    sync::{Arc, Barrier},
    thread,
};

use crate::common::{HeldStore, Tx, hashes, mem, open, tx};
use kv_core::{
    KvStore,
    testing::{Fault, FaultyStore, Landing, block_on},
};
use records::{Error, KeyRange, Query};

#[test]
fn a_query_sees_a_record_once_its_batch_is_decided() {
    let held = HeldStore::new();
    let kv: Arc<dyn KvStore> = held.clone();
    let store = open::<Tx>(&kv);
    let commit = store.put(&tx("a", 1)).unwrap();
    assert!(store.get_all().unwrap().is_empty());
    assert_eq!(store.count(&Query::all()).unwrap(), 0);
    assert!(store.get((1u64, "a")).unwrap().is_none());
    held.land();
    assert_eq!(store.get_all().unwrap(), [tx("a", 1)]);
    assert_eq!(store.count(&Query::index("from")).unwrap(), 1);
    block_on(commit).unwrap();
}

#[test]
fn changes_in_flight_take_effect_in_the_order_of_their_submission() {
    let held = HeldStore::new();
    let kv: Arc<dyn KvStore> = held.clone();
    let store = open::<Tx>(&kv);
    for time in [5, 3, 8] {
        drop(store.put(&tx("a", time)).unwrap());
    }
    drop(store.delete((1u64, "a")).unwrap());
    drop(store.put(&tx("a", 1)).unwrap());
    let mut seen = Vec::new();
    while held.held() > 0 {
        held.land();
        let times = store.query(&Query::index("from")).unwrap().map(|tx| tx.unwrap().time);
        seen.push(times.collect::<Vec<_>>());
        assert_eq!(
            store.count(&Query::index("from")).unwrap(),
            store.count(&Query::all()).unwrap()
        );
    }
    assert_eq!(seen, [vec![5], vec![3], vec![8], vec![], vec![1]]);
}

#[test]
fn threads_that_change_one_record_leave_the_indexes_as_it_is_stored() {
    const THREADS: u64 = 4;
    let kv = mem();
    let store = open::<Tx>(&kv);
    let barrier = Barrier::new(THREADS as usize);
    for round in 0..200 {
        thread::scope(|scope| {
            for worker in 0..THREADS {
                let (store, barrier) = (&store, &barrier);
                scope.spawn(move || {
                    barrier.wait();
                    drop(store.put(&tx("a", round * THREADS + worker)).unwrap());
                });
            }
        });
        let stored = store.get((1u64, "a")).unwrap().unwrap();
        let range = KeyRange::prefix(("alice", stored.time));
        assert_eq!(store.count(&Query::index("from").range(range)).unwrap(), 1, "{round}");
    }
}

#[test]
fn a_failed_batch_leaves_the_indexes_as_they_were() {
    let held = HeldStore::new();
    let kv: Arc<dyn KvStore> = held.clone();
    let store = open::<Tx>(&kv);
    drop(store.put_many(&[tx("a", 1), tx("b", 2)]).unwrap());
    held.land();
    let moved = store.put(&tx("a", 9)).unwrap();
    let deleted = store.delete((1u64, "b")).unwrap();
    let added = store.put(&tx("c", 3)).unwrap();
    held.fail();
    for commit in [moved, deleted, added] {
        assert!(commit.wait().is_err());
    }
    assert_eq!(store.get_all().unwrap(), [tx("a", 1), tx("b", 2)]);
    assert_eq!(hashes(&store, &Query::index("from")), ["a", "b"]);
    // The state that was submitted is forgotten too: "c" is free, "b" is not.
    assert!(matches!(store.put_new(&tx("b", 4)), Err(Error::Exists { .. })));
    drop(store.put_new(&tx("c", 4)).unwrap());
}

#[test]
fn a_refused_batch_leaves_the_indexes_as_they_were() {
    let held = HeldStore::new();
    let fault = Arc::new(Fault::default());
    let kv: Arc<dyn KvStore> = Arc::new(FaultyStore::new(held.clone(), Arc::clone(&fault)));
    let store = open::<Tx>(&kv);
    let before = store.put(&tx("a", 1)).unwrap();
    fault.fail_nth(1, Landing::Absent);
    // Decided at once, while an earlier batch is still in flight.
    let error = store.put_many(&[tx("a", 2), tx("b", 2)]).unwrap_err();
    assert!(matches!(error, Error::Store { source: kv_core::Error::Io { .. }, .. }), "{error:?}");
    let error = store.put(&tx("c", 2)).unwrap_err();
    assert!(
        matches!(error, Error::Store { source: kv_core::Error::Poisoned { .. }, .. }),
        "{error:?}"
    );
    held.land();
    before.wait().unwrap();
    assert_eq!(store.get_all().unwrap(), [tx("a", 1)]);
    assert_eq!(hashes(&store, &Query::index("from")), ["a"]);
}

#[test]
fn a_precondition_of_the_caller_refuses_the_whole_transaction() {
    let kv = mem();
    let store = open::<Tx>(&kv);
    store.put(&tx("a", 1)).unwrap().wait().unwrap();
    let ns = kv.namespaces().unwrap().remove(0);
    let name = kv.list(&ns, None, 1).unwrap().remove(0);
    let mut transaction = store.transaction();
    transaction.put(&store, &tx("b", 2)).unwrap();
    transaction.batch().insert_require_absent(ns, name);
    let error = transaction.submit().unwrap_err();
    assert!(matches!(error, Error::Store { source: kv_core::Error::Precondition { .. }, .. }));
    assert_eq!(hashes(&store, &Query::index("from")), ["a"]);
}

#[test]
fn a_read_that_fails_is_an_error_in_its_place() {
    let fault = Arc::new(Fault::default());
    let kv: Arc<dyn KvStore> = Arc::new(FaultyStore::new(mem(), Arc::clone(&fault)));
    let store = open::<Tx>(&kv);
    store.put_many(&[tx("a", 1), tx("b", 2), tx("c", 3)]).unwrap().wait().unwrap();
    fault.fail_nth(2, Landing::Absent);
    let found: Vec<_> =
        store.query(&Query::all()).unwrap().map(|tx| tx.map(|tx| tx.hash).ok()).collect();
    assert_eq!(found, [Some("a".to_owned()), None, Some("c".to_owned())]);
}

#[test]
fn an_open_that_cannot_read_fails() {
    let inner = mem();
    open::<Tx>(&inner).put(&tx("a", 1)).unwrap().wait().unwrap();
    for nth in 1..=3 {
        let fault = Arc::new(Fault::default());
        fault.fail_nth(nth, Landing::Absent);
        let kv: Arc<dyn KvStore> =
            Arc::new(FaultyStore::new(Arc::clone(&inner), Arc::clone(&fault)));
        let result = records::ObjectStore::<Tx>::open(kv);
        assert!(matches!(result, Err(Error::Store { .. })), "{nth}");
        assert!(fault.fired());
    }
}
