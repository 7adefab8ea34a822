//! Sealing ahead: what was prepared is used for exactly what it was prepared for.

#![expect(clippy::unwrap_used, reason = "a test panics")]

use std::sync::Arc;

use kv_core::{Batch, Key, KvStore, KvStoreExt, Namespace, Value};
use kv_mem::{Medium, MemStore};
use vault::{RootSecret, SealedStore};

fn store(root: u8, medium: &Medium) -> Arc<SealedStore> {
    let root = RootSecret::from_bytes([root; 32]);
    SealedStore::create(Arc::new(MemStore::open(medium.clone()).unwrap()), &root).unwrap()
}

fn place(key: &str) -> (Namespace, Key) {
    (Namespace::new("n", "").unwrap(), Key::new(key).unwrap())
}

fn prepare(store: &SealedStore, batch: Batch) -> Batch {
    store.capabilities().prepare.unwrap().prepare(batch)
}

#[test]
fn what_was_prepared_is_what_is_stored() {
    let store = store(1, &Medium::default());
    let ((ns, a), (_, b), (_, c)) = (place("a"), place("b"), place("c"));
    store.write(&ns, &c, b"goes").unwrap();
    let batch = Batch::new().put(&ns, &a, b"1").put(&ns, &b, b"").remove(&ns, &c);
    store.submit(prepare(&store, batch)).wait().unwrap();
    assert_eq!(store.list_all(&ns).unwrap(), [a.clone(), b.clone()]);
    assert_eq!(&*store.read_required(&ns, &a).unwrap(), b"1");
    assert_eq!(&*store.read_required(&ns, &b).unwrap(), b"");
}

#[test]
fn what_changes_after_it_was_prepared_counts() {
    let store = store(1, &Medium::default());
    let ((ns, a), (_, b), (_, c)) = (place("a"), place("b"), place("c"));
    let batch = Batch::new().put(&ns, &a, b"old").put(&ns, &b, b"old").remove(&ns, &c);
    // Same length, other bytes; a put becomes a removal and the other way.
    let batch = prepare(&store, batch).put(&ns, &a, b"new").remove(&ns, &b).put(&ns, &c, b"is");
    let before = Batch::new().put(&ns, &b, b"there");
    store.submit(before).wait().unwrap();
    store.submit(batch.put(&ns, &place("0").1, b"first")).wait().unwrap();
    assert_eq!(&*store.read_required(&ns, &a).unwrap(), b"new");
    assert_eq!(store.read(&ns, &b).unwrap(), None);
    assert_eq!(&*store.read_required(&ns, &c).unwrap(), b"is");
    assert_eq!(&*store.read_required(&ns, &place("0").1).unwrap(), b"first");
}

/// Each by itself, as one difference makes all that was prepared void.
#[test]
fn each_kind_of_change_after_it_was_prepared_counts() {
    let store = store(1, &Medium::default());
    let (ns, a) = place("a");
    let put = |value: &[u8]| Batch::new().put(&ns, &a, value);
    store.submit(prepare(&store, put(b"old")).put(&ns, &a, b"new")).wait().unwrap();
    assert_eq!(&*store.read_required(&ns, &a).unwrap(), b"new");
    store.submit(prepare(&store, put(b"old")).remove(&ns, &a)).wait().unwrap();
    assert_eq!(store.read(&ns, &a).unwrap(), None);
    let removal = Batch::new().remove(&ns, &a);
    store.submit(prepare(&store, removal).put(&ns, &a, b"back")).wait().unwrap();
    assert_eq!(&*store.read_required(&ns, &a).unwrap(), b"back");
}

#[test]
fn what_one_wallet_prepared_is_nothing_to_another() {
    let (one, other) = (store(1, &Medium::default()), store(2, &Medium::default()));
    let (ns, a) = place("a");
    let batch = prepare(&one, Batch::new().put(&ns, &a, Value::from("theirs")));
    other.submit(batch).wait().unwrap();
    assert_eq!(&*other.read_required(&ns, &a).unwrap(), b"theirs");
    assert_eq!(other.list_all(&ns).unwrap(), [a]);
}

#[test]
fn what_cannot_be_prepared_is_refused_at_the_submit() {
    let store = store(1, &Medium::default());
    let (ns, a) = place("a");
    let own = Namespace::reserved("~vault", "names").unwrap();
    let batch = prepare(&store, Batch::new().put(&ns, &a, b"x").put(&own, &a, b"x"));
    assert!(store.submit(batch).wait().unwrap_err().is_refusal());
    store.lock();
    let batch = prepare(&store, Batch::new().put(&ns, &a, b"x"));
    assert!(matches!(store.submit(batch).wait(), Err(kv_core::Error::Locked { .. })));
}
