//! Law 5 while commits are in flight: reads, listings and namespaces follow what is durable below.

#![expect(clippy::unwrap_used, reason = "tests panic")]

mod common;

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
};

use common::{key, ns, queued::Queued, root};
use kv_core::{Batch, Error, KvStore, KvStoreExt};
use vault::SealedStore;

fn sealed() -> (Arc<Queued>, Arc<SealedStore>) {
    let below = Arc::new(Queued::default());
    let store = SealedStore::create(below.clone(), &root()).unwrap();
    (below, store)
}

#[test]
fn names_show_when_their_batch_is_durable() {
    let (below, store) = sealed();
    let (a, b) = (ns("a", ""), ns("b", ""));
    let show = || {
        let listed = store.list_all(&a).unwrap();
        (listed, store.namespaces().unwrap(), store.read(&a, &key("k")).unwrap().is_some())
    };
    let first = store.submit(Batch::new().put(&a, &key("k"), b"1"));
    // A lazy commit resolves at once and makes nothing durable.
    store.submit(Batch::new().put(&b, &key("k"), b"1").lazy()).wait().unwrap();
    drop(store.submit(Batch::new().remove(&a, &key("k"))));
    assert_eq!(show(), (vec![], vec![], false));
    below.land(1);
    assert_eq!(show(), (vec![key("k")], vec![a.clone()], true));
    assert!(first.receipt().outcome().is_some());
    below.land(1);
    assert_eq!(show(), (vec![key("k")], vec![a.clone(), b.clone()], true));
    below.land(1);
    assert_eq!(show(), (vec![], vec![b.clone()], false));
}

#[test]
fn put_and_removed_in_flight_many_times() {
    let (below, store) = sealed();
    let (a, k) = (ns("a", ""), key("k"));
    for round in 0..6u8 {
        drop(store.submit(Batch::new().put(&a, &k, [round].as_slice())));
        drop(store.submit(Batch::new().remove(&a, &k)));
    }
    for step in 1..=12 {
        below.land(1);
        let there = step % 2 == 1;
        assert_eq!(store.read(&a, &k).unwrap().is_some(), there, "step {step}");
        assert_eq!(store.list_all(&a).unwrap().len(), usize::from(there));
    }
    assert!(store.namespaces().unwrap().is_empty());
}

#[test]
fn a_refusal_leaves_the_directory_untouched() {
    let (below, store) = sealed();
    let a = ns("a", "");
    drop(store.submit(Batch::new().put(&a, &key("k"), b"1")));
    let refused = Batch::new()
        .require_absent(&a, &key("k"))
        .put(&a, &key("other"), b"x")
        .remove(&a, &key("k"));
    let refused = store.submit(refused).wait();
    assert!(matches!(refused, Err(Error::Precondition { .. })));
    drop(store.submit(Batch::new().put(&a, &key("last"), b"1")));
    below.land(usize::MAX);
    assert_eq!(store.list_all(&a).unwrap(), [key("k"), key("last")]);
    drop(store);
    let store = SealedStore::open(below, &root()).unwrap();
    assert_eq!(store.list_all(&a).unwrap(), [key("k"), key("last")]);
}

#[test]
fn after_a_failure_below_reads_go_on_and_nothing_counts_as_missing() {
    let (below, store) = sealed();
    let a = ns("a", "");
    store.write(&a, &key("old"), b"1").unwrap();
    let failing = store.submit(Batch::new().remove(&a, &key("old")).put(&a, &key("new"), b"1"));
    below.break_down();
    assert!(matches!(failing.wait(), Err(Error::Io { .. })));
    assert_eq!(store.list_all(&a).unwrap(), [key("old")]);
    assert!(store.read(&a, &key("old")).unwrap().is_some());
    assert!(store.read(&a, &key("new")).unwrap().is_none());
    let refused = store.write(&a, &key("later"), b"1");
    assert!(matches!(refused, Err(Error::Poisoned { .. })));
    let flushed = store.submit(Batch::new()).wait();
    assert!(matches!(flushed, Err(Error::Poisoned { .. })));
}

/// Whatever part of the queue a crash leaves, names and values agree, folds included.
#[test]
fn any_beginning_of_what_was_submitted_is_whole() {
    for landed in 0.. {
        let (below, store) = sealed();
        let a = ns("a", "");
        for round in 0..8u32 {
            let mut batch = Batch::new().put(&ns("pointer", ""), &key("p"), &round.to_le_bytes());
            for n in 0..150 {
                // Every name is written in one round and removed two rounds later.
                batch = batch.put(&a, &key(&format!("{round}-{n}")), b"x");
                if let Some(old) = round.checked_sub(2) {
                    batch = batch.remove(&a, &key(&format!("{old}-{n}")));
                }
            }
            drop(store.submit(batch));
        }
        below.land(landed);
        let left = below.land(0);
        drop(store);

        let store = SealedStore::open(below.durable(), &root()).unwrap();
        let pointer = store.read(&ns("pointer", ""), &key("p")).unwrap();
        let rounds = pointer.map_or(0, |p| u32::from_le_bytes((*p).try_into().unwrap()) + 1);
        let listed = store.list_all(&a).unwrap();
        assert_eq!(listed.len(), 150 * rounds.min(2) as usize, "{landed} landed");
        let newest = format!("{}-0", rounds.saturating_sub(1));
        assert!(rounds == 0 || listed.contains(&key(&newest)));
        let verify = store.capabilities().verify.unwrap();
        assert_eq!(verify.verify(&mut |_| ()).unwrap().findings, []);
        if left == 0 {
            assert!(landed > 9, "folds have batches of their own");
            break;
        }
    }
}

/// Raises its flag when dropped.
struct Finally<'a>(&'a AtomicBool);

impl Drop for Finally<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

/// Each batch writes a new key, a new namespace and a pointer to both. Whoever reads the pointer
/// must find them, at any moment and in any order of looks.
#[test]
fn a_batch_shows_as_a_whole_to_every_reader() {
    const BATCHES: u32 = 700;
    let (below, store) = sealed();
    let done = AtomicBool::new(false);
    let is_done = || done.load(Ordering::SeqCst);
    let (keys, pointer) = (ns("keys", ""), key("pointer"));
    thread::scope(|scope| {
        scope.spawn(|| {
            while !is_done() {
                below.land(3);
                thread::yield_now();
            }
        });
        let mut readers = Vec::new();
        for _ in 0..2 {
            readers.push(scope.spawn(|| {
                let mut last = 0;
                while last < BATCHES - 1 && !is_done() {
                    let Some(found) = store.read(&ns("pointer", ""), &pointer).unwrap() else {
                        continue;
                    };
                    let number = u32::from_le_bytes((*found).try_into().unwrap());
                    assert!(number >= last, "went back from {last} to {number}");
                    last = number;
                    let name = key(&format!("k{number:05}"));
                    let before = key(&format!("k{number:05}").replace('k', "j"));
                    match number % 3 {
                        0 => assert!(store.read(&keys, &name).unwrap().is_some()),
                        1 => {
                            let listed = store.list(&keys, Some(&before), usize::MAX).unwrap();
                            assert!(listed.contains(&name), "{number} is not listed");
                            let newest = listed.last().unwrap();
                            assert!(store.read(&keys, newest).unwrap().is_some());
                        }
                        _ => {
                            let own = ns(&format!("own-{number}"), "");
                            assert!(store.namespaces().unwrap().contains(&own));
                        }
                    }
                }
            }));
        }
        // Also if this thread panics: the others must end.
        let _done = Finally(&done);
        for number in 0..BATCHES {
            let batch = Batch::new().put(&keys, &key(&format!("k{number:05}")), b"x").put(
                &ns("pointer", ""),
                &pointer,
                &number.to_le_bytes(),
            );
            let batch = batch.put(&ns(&format!("own-{number}"), ""), &key("k"), b"x");
            drop(store.submit(if number % 5 == 0 { batch.lazy() } else { batch }));
        }
        store.submit(Batch::new()).wait().unwrap();
        for reader in readers {
            reader.join().unwrap();
        }
    });
    drop(store);
    let store = SealedStore::open(below, &root()).unwrap();
    assert_eq!(store.list_all(&keys).unwrap().len(), BATCHES as usize);
}
