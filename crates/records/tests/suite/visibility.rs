//! The indexes agree with what is durable: nothing earlier, nothing that failed, in order.

use std::{
    sync::{
        Arc, Barrier,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

use crate::common::{GateStore, HeldStore, Tx, hashes, mem, open, tx};
use kv_core::{
    Key, KvStore,
    testing::{Fault, FaultyStore, Landing, block_on},
};
use records::{Below, Error, Index, KeyRange, Query, Record, RecordKey};
use serde::{Deserialize, Serialize};

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
        let times = store.query(&Query::index("from")).unwrap().map(|tx| tx.time);
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
fn reading_asks_the_store_below_for_nothing() {
    let fault = Arc::new(Fault::default());
    let kv: Arc<dyn KvStore> = Arc::new(FaultyStore::new(mem(), Arc::clone(&fault)));
    let store = open::<Tx>(&kv);
    store.put_many(&[tx("a", 1), tx("b", 2), tx("c", 3)]).unwrap().wait().unwrap();
    fault.fail_nth(1, Landing::Absent);
    assert_eq!(store.get((1u64, "a")).unwrap().as_deref(), Some(&tx("a", 1)));
    assert_eq!(hashes(&store, &Query::index("from")), ["a", "b", "c"]);
    assert_eq!(store.cursor(&Query::all()).unwrap().record(), Some(&tx("a", 1)));
    assert!(store.get((1u64, "absent")).unwrap().is_none());
    assert!(!fault.fired());
    assert!(store.put(&tx("d", 4)).is_err() && fault.fired(), "the next call would have failed");
}

/// A store below that is full makes writers wait; readers go on.
#[test]
fn reading_does_not_wait_for_a_writer_that_the_store_below_holds_up() {
    let gate = Arc::new(GateStore::new(mem()));
    let kv: Arc<dyn KvStore> = gate.clone();
    let store = open::<Tx>(&kv);
    store.put(&tx("a", 1)).unwrap().wait().unwrap();
    gate.shut();
    thread::scope(|scope| {
        let writer = scope.spawn(|| store.put(&tx("b", 2)).unwrap().wait().unwrap());
        gate.wait_for_writer();
        assert_eq!(store.get((1u64, "a")).unwrap().as_deref(), Some(&tx("a", 1)));
        assert_eq!(hashes(&store, &Query::index("from")), ["a"]);
        gate.open();
        writer.join().unwrap();
    });
    assert_eq!(hashes(&store, &Query::index("from")), ["a", "b"]);
}

/// Counts how many of its kind are in memory.
#[derive(Debug)]
struct Alive(());

static ALIVE: AtomicUsize = AtomicUsize::new(0);

impl Default for Alive {
    fn default() -> Self {
        ALIVE.fetch_add(1, Ordering::SeqCst);
        Self(())
    }
}

impl Drop for Alive {
    fn drop(&mut self) {
        ALIVE.fetch_sub(1, Ordering::SeqCst);
    }
}

#[derive(Debug, Serialize, Deserialize)]
struct Counted {
    id: u32,
    #[serde(skip)]
    _alive: Alive,
}

impl Record for Counted {
    const STORE: &'static str = "counted";
    const VERSION: u32 = 1;
    const INDEXES: &'static [Index<Self>] = &[Index::new("id", |counted| Some(counted.id.into()))];

    fn key(&self) -> RecordKey {
        self.id.into()
    }
}

#[test]
fn a_closed_store_has_forgotten_everything() {
    let kv = mem();
    let store = open::<Counted>(&kv);
    for id in 0..200 {
        store.put(&Counted { id, _alive: Alive::default() }).unwrap().wait().unwrap();
    }
    let (clone, found) = (store.clone(), store.get(7u32).unwrap().unwrap());
    assert_eq!(ALIVE.load(Ordering::SeqCst), 200);
    store.close();
    assert_eq!(ALIVE.load(Ordering::SeqCst), 1, "what somebody holds stays");
    assert_eq!(found.id, 7);
    fn closed<T: std::fmt::Debug>(result: Result<T, Error>) {
        let source = result.unwrap_err();
        assert!(
            matches!(source, Error::Store { source: kv_core::Error::Closed { .. }, .. }),
            "{source:?}"
        );
    }
    closed(clone.get(7u32));
    closed(clone.query(&Query::all()));
    closed(clone.cursor(&Query::all()));
    closed(clone.count(&Query::all()));
    closed(clone.old());
    closed(clone.delete(7u32));
    closed(clone.follow(&[Below { name: Key::new("x").unwrap(), before: None }]));
    assert_eq!(open::<Counted>(&kv).count(&Query::all()).unwrap(), 200, "what is stored stays");
}

#[test]
fn an_open_that_cannot_read_fails() {
    let inner = mem();
    open::<Tx>(&inner).put(&tx("a", 1)).unwrap().wait().unwrap();
    for nth in 1..=2 {
        let fault = Arc::new(Fault::default());
        fault.fail_nth(nth, Landing::Absent);
        let kv: Arc<dyn KvStore> =
            Arc::new(FaultyStore::new(Arc::clone(&inner), Arc::clone(&fault)));
        let result = records::ObjectStore::<Tx>::open(kv);
        assert!(matches!(result, Err(Error::Store { .. })), "{nth}");
        assert!(fault.fired());
    }
}
