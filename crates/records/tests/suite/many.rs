//! So many records that they are read, and sorted, on several threads.

use std::sync::Arc;

use kv_core::{
    Batch, Capabilities, Commit, Error, Key, KvStore, KvStoreExt, Namespace, Result, Value,
};
use records::{ObjectStore, Query};

use crate::common::{SpoiltStore, Tx, hashes, labelled, mem, open, tx};

const MANY: usize = 5000;

fn transactions() -> Namespace {
    Namespace::reserved("~records", "transactions").unwrap()
}

fn many() -> Vec<Tx> {
    (0..MANY).map(|n| tx(&format!("{:05}", n * 7919 % MANY), n as u64 / 3)).collect()
}

/// What every query finds, by each index.
fn everything(store: &ObjectStore<Tx>) -> Vec<Vec<String>> {
    let indexes = ["from", "to", "label", "block", "party"];
    let queries = indexes.map(Query::index).into_iter().chain([Query::all()]);
    queries.map(|query| hashes(store, &query)).collect()
}

#[test]
fn what_is_opened_is_what_was_written() {
    let kv = mem();
    let first = open::<Tx>(&kv);
    for batch in many().chunks(1000) {
        first.put_many(batch).unwrap().wait().unwrap();
    }
    first.put(&labelled("labelled", "rent")).unwrap().wait().unwrap();
    let again = open::<Tx>(&kv);
    assert_eq!(again.count(&Query::all()).unwrap(), MANY + 1);
    assert_eq!(everything(&again), everything(&first));
}

#[test]
fn the_last_of_many_with_one_key_counts() {
    let kv = mem();
    let store = open::<Tx>(&kv);
    let twice: Vec<Tx> = (0..MANY as u64).map(|n| tx("one", n)).chain(many()).collect();
    store.put_many(&twice).unwrap().wait().unwrap();
    assert_eq!(store.count(&Query::all()).unwrap(), MANY + 1);
    assert_eq!(store.get((1u64, "one")).unwrap().unwrap().time, MANY as u64 - 1);
}

#[test]
fn one_of_many_that_cannot_be_stored_changes_nothing() {
    let kv = mem();
    let store = open::<Tx>(&kv);
    let mut records = many();
    records.extend([labelled("x", "rent"), labelled("y", "rent")]);
    assert!(matches!(store.put_many(&records), Err(records::Error::NotUnique { .. })));
    assert_eq!(store.count(&Query::all()).unwrap(), 0);
    assert!(kv.list_all(&transactions()).unwrap().is_empty());
}

#[test]
fn what_cannot_be_used_among_many_is_named_and_the_others_are_there() {
    let inner = mem();
    open::<Tx>(&inner).put_many(&many()).unwrap().wait().unwrap();
    let names: Vec<Key> = inner.list_all(&transactions()).unwrap();
    // One that does not parse, one of a newer version, and one that the store below cannot give.
    let (damaged, newer, lost) = (&names[4000], &names[17], &names[2500]);
    inner.write(&transactions(), damaged, b"not json").unwrap();
    inner.write(&transactions(), newer, br#"{"v":9,"r":{}}"#).unwrap();
    let why = Error::corrupt("test", "spoilt");
    let kv: Arc<dyn KvStore> = Arc::new(SpoiltStore { inner, name: lost.clone(), why });
    let (store, report) = ObjectStore::<Tx>::open(kv).unwrap();
    assert_eq!((report.records as usize, report.too_new()), (MANY - 3, 1));
    let named: Vec<&Key> = report.skipped.iter().map(|skipped| &skipped.name).collect();
    assert_eq!(named, [newer, lost, damaged], "ascending by name");
    assert_eq!(store.count(&Query::all()).unwrap(), MANY - 3);
    for found in everything(&store) {
        assert!([0, MANY - 3, 2 * (MANY - 3)].contains(&found.len()));
    }
}

#[test]
fn a_store_that_fails_is_no_damaged_record() {
    let inner = mem();
    open::<Tx>(&inner).put_many(&many()).unwrap().wait().unwrap();
    let name = inner.list_all(&transactions()).unwrap().remove(3000);
    let why = Error::Closed { store: "test" };
    let kv: Arc<dyn KvStore> = Arc::new(SpoiltStore { inner, name, why });
    let opened = ObjectStore::<Tx>::open(kv).map(|_| ());
    assert!(matches!(opened, Err(records::Error::Store { source: Error::Closed { .. }, .. })));
}

/// A store that tells its names and gives nothing.
#[derive(Debug)]
struct Mute(Arc<dyn KvStore>);

impl KvStore for Mute {
    fn read(&self, _: &Namespace, _: &Key) -> Result<Option<Value>> {
        Err(Error::Closed { store: "test" })
    }

    fn list(&self, ns: &Namespace, after: Option<&Key>, limit: usize) -> Result<Vec<Key>> {
        self.0.list(ns, after, limit)
    }

    fn namespaces(&self) -> Result<Vec<Namespace>> {
        self.0.namespaces()
    }

    fn submit(&self, batch: Batch) -> Commit {
        self.0.submit(batch)
    }

    fn capabilities(&self) -> Capabilities<'_> {
        Capabilities::default()
    }

    fn close(&self) -> Result<()> {
        self.0.close()
    }
}

/// When all threads that read have failed, the one that lists must not wait for them.
#[test]
fn an_open_ends_though_every_read_fails() {
    let inner = mem();
    let put = |batch: Batch, n| batch.put(&transactions(), &Key::number(n), b"x");
    inner.submit((0..30_000).fold(Batch::new(), put)).wait().unwrap();
    let opened = ObjectStore::<Tx>::open(Arc::new(Mute(inner))).map(|_| ());
    assert!(matches!(opened, Err(records::Error::Store { source: Error::Closed { .. }, .. })));
}
