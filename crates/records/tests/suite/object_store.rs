//! Records are put, found, changed, deleted and found again after reopening.

use std::{sync::Arc, thread};

use crate::common::{HeldStore, Tx, hashes, labelled, mem, open, tx};
use kv_core::{KvStore, KvStoreExt, Namespace};
use records::{Error, Index, KeyRange, ObjectStore, Query, Record, RecordKey};
use serde::{Deserialize, Serialize};

#[test]
fn a_record_is_put_read_replaced_and_deleted() {
    let store = open::<Tx>(&mem());
    assert!(store.get((1u64, "a")).unwrap().is_none());
    store.put(&tx("a", 1)).unwrap().wait().unwrap();
    let found = store.get((1u64, "a")).unwrap().unwrap();
    assert_eq!((found.key(), found.into_record()), ((1u64, "a").into(), tx("a", 1)));
    store.put(&tx("a", 2)).unwrap().wait().unwrap();
    assert_eq!(store.get_all().unwrap(), [tx("a", 2)]);
    store.delete((1u64, "a")).unwrap().wait().unwrap();
    store.delete((1u64, "a")).unwrap().wait().unwrap();
    assert!(store.get((1u64, "a")).unwrap().is_none());
    assert_eq!(store.count(&Query::all()).unwrap(), 0);
}

#[test]
fn an_update_moves_the_index_entries() {
    let store = open::<Tx>(&mem());
    let of =
        |account: &str| hashes(&store, &Query::index("from").range(KeyRange::prefix((account,))));
    let mut record = labelled("a", "rent");
    store.put(&record).unwrap().wait().unwrap();
    assert_eq!((of("alice"), of("carol")), (vec!["a".to_owned()], vec![]));
    record.from = "carol".to_owned();
    record.to = None;
    store.put(&record).unwrap().wait().unwrap();
    assert_eq!((of("alice"), of("carol")), (vec![], vec!["a".to_owned()]));
    assert_eq!(store.count(&Query::index("to")).unwrap(), 0, "no key, no entry");
    assert_eq!(store.count(&Query::index("label")).unwrap(), 1);
    store.delete(record.key()).unwrap().wait().unwrap();
    for index in Tx::INDEXES {
        assert_eq!(store.count(&Query::index(index.name())).unwrap(), 0, "{}", index.name());
    }
}

#[test]
fn queries_take_a_range_an_end_and_a_limit() {
    let store = open::<Tx>(&mem());
    let all: Vec<Tx> = (0..9).map(|time| tx(&format!("h{time}"), time)).collect();
    store.put_many(&all).unwrap().wait().unwrap();
    let alice = Query::index("from").range(KeyRange::prefix(("alice",)));
    assert_eq!(hashes(&store, &alice.clone().limit(2)), ["h0", "h1"]);
    assert_eq!(hashes(&store, &alice.clone().backward().limit(2)), ["h8", "h7"]);
    let (low, high) = (("alice", 3u64).into(), ("alice", 5u64).into());
    let between = Query::index("from").range(KeyRange::within(&low..&high));
    assert_eq!(hashes(&store, &between), ["h3", "h4"]);
    assert_eq!(store.count(&between).unwrap(), 2);
    // Equal keys stand in the order of the primary keys, and turn round with the direction.
    let block = Query::index("block").range(KeyRange::only(0u64));
    assert_eq!(hashes(&store, &block.clone().limit(3)), ["h0", "h1", "h2"]);
    assert_eq!(hashes(&store, &block.backward().limit(3)), ["h8", "h7", "h6"]);
    let keys = store.keys(&Query::all().backward().limit(1)).unwrap();
    assert_eq!(keys, [RecordKey::from((1u64, "h8"))]);
    assert!(hashes(&store, &Query::all().range(KeyRange::within(&high..&low))).is_empty());
}

#[test]
fn an_unknown_index_is_an_error() {
    let store = open::<Tx>(&mem());
    let error = store.query(&Query::index("nonce")).unwrap_err();
    assert!(matches!(error, Error::NoIndex { index, .. } if index == "nonce"));
}

#[test]
fn a_query_and_a_cursor_see_the_state_as_of_their_opening() {
    let store = open::<Tx>(&mem());
    let before: Vec<Tx> = (0..300).map(|time| tx(&format!("h{time:03}"), time)).collect();
    store.put_many(&before).unwrap().wait().unwrap();
    let alice = Query::index("from").range(KeyRange::prefix(("alice",)));
    let found = store.query(&alice).unwrap();
    let mut cursor = store.cursor(&alice).unwrap();
    store.delete((1u64, "h000")).unwrap().wait().unwrap();
    store.put(&Tx { from: "carol".to_owned(), ..tx("h001", 1) }).unwrap().wait().unwrap();
    store.put(&tx("later", 4)).unwrap().wait().unwrap();
    store.delete_range(KeyRange::within(&(1u64, "h100").into()..)).unwrap().wait().unwrap();
    assert_eq!(found.collect::<Vec<_>>(), before);
    let mut seen = Vec::new();
    while let Some(found) = cursor.found() {
        seen.push(found);
        cursor.step();
    }
    assert_eq!(seen, before);
    assert_eq!(store.count(&alice).unwrap(), 98, "those who ask now see what is there now");
    // One change under an open query, many times over.
    for time in 0..50 {
        let found = store.query(&Query::all()).unwrap();
        let before = store.keys(&Query::all()).unwrap();
        store.put(&tx(&format!("n{time}"), time)).unwrap().wait().unwrap();
        assert_eq!(found.map(|found| found.key()).collect::<Vec<_>>(), before);
    }
}

#[test]
fn pages_are_parts_of_the_whole() {
    let store = open::<Tx>(&mem());
    let all: Vec<Tx> = (0..9).map(|time| tx(&format!("h{time}"), time)).collect();
    store.put_many(&all).unwrap().wait().unwrap();
    let hashes = |query: &Query| hashes(&store, query).concat();
    let from = Query::index("from");
    assert_eq!(hashes(&from.clone().offset(2).limit(3)), "h2h3h4");
    assert_eq!(hashes(&from.clone().offset(7).limit(3)), "h7h8");
    assert_eq!(hashes(&from.clone().backward().offset(2).limit(3)), "h6h5h4");
    assert_eq!(hashes(&from.clone().backward().offset(8).limit(3)), "h0");
    assert_eq!(hashes(&from.clone().offset(9)), "");
    assert_eq!(hashes(&from.clone().limit(0)), "");
    assert_eq!(store.count(&from.offset(7).limit(5)).unwrap(), 2);
}

#[test]
fn a_range_of_keys_is_deleted_in_one_batch() {
    let held = HeldStore::new();
    let kv: Arc<dyn KvStore> = held.clone();
    let store = open::<Tx>(&kv);
    drop(store.put_many(&[tx("a", 1), tx("b", 2), tx("c", 3), tx("d", 4)]).unwrap());
    held.land();
    // What is in flight, and what the transaction does before, counts.
    drop(store.put(&tx("bb", 5)).unwrap());
    drop(store.delete((1u64, "c")).unwrap());
    let (low, high) = ((1u64, "b").into(), (1u64, "d").into());
    let mut transaction = store.transaction();
    transaction.put(&store, &tx("bbb", 6)).unwrap();
    transaction.delete_range(&store, KeyRange::within(&low..&high)).unwrap();
    transaction.put(&store, &tx("cc", 7)).unwrap();
    drop(transaction.submit().unwrap());
    assert_eq!(held.held(), 3);
    while held.held() > 0 {
        held.land();
    }
    assert_eq!(hashes(&store, &Query::all()), ["a", "cc", "d"]);
    assert_eq!(hashes(&store, &Query::index("from")), ["a", "d", "cc"]);
    assert_eq!(open::<Tx>(&kv).get_all().unwrap().len(), 3);
}

#[test]
fn put_new_refuses_a_record_that_is_there() {
    let store = open::<Tx>(&mem());
    store.put_new(&tx("a", 1)).unwrap().wait().unwrap();
    let error = store.put_new(&tx("a", 2)).unwrap_err();
    assert!(matches!(error, Error::Exists { store: "transactions" }), "{error:?}");
    assert_eq!(store.get_all().unwrap(), [tx("a", 1)]);
    store.delete((1u64, "a")).unwrap().wait().unwrap();
    store.put_new(&tx("a", 3)).unwrap().wait().unwrap();
    assert_eq!(store.get_all().unwrap(), [tx("a", 3)]);
}

#[test]
fn of_sixteen_threads_that_put_one_new_record_one_wins() {
    let store = open::<Tx>(&mem());
    let wins = thread::scope(|scope| {
        let threads: Vec<_> = (0..16)
            .map(|time| {
                let store = store.clone();
                scope.spawn(move || store.put_new(&tx("a", time)).is_ok())
            })
            .collect();
        threads.into_iter().map(|thread| usize::from(thread.join().unwrap())).sum::<usize>()
    });
    assert_eq!(wins, 1);
}

#[test]
fn reopening_rebuilds_equal_indexes() {
    let kv = mem();
    let before = open::<Tx>(&kv);
    // More than one page of names.
    let all: Vec<Tx> =
        (0..2500).map(|n| labelled(&format!("h{n}"), &format!("l{}", n % 7919))).collect();
    before.put_many(&all).unwrap().wait().unwrap();
    before.put(&Tx { to: None, ..tx("h7", 1) }).unwrap().wait().unwrap();
    before.delete((1u64, "h8")).unwrap().wait().unwrap();
    let (after, report) = ObjectStore::<Tx>::open(Arc::clone(&kv)).unwrap();
    assert_eq!((report.records, report.old, report.is_clean()), (2499, 0, true));
    assert_eq!(after.keys(&Query::all()).unwrap(), before.keys(&Query::all()).unwrap());
    for index in Tx::INDEXES {
        let query = Query::index(index.name());
        assert_eq!(after.keys(&query).unwrap(), before.keys(&query).unwrap(), "{}", index.name());
    }
}

#[test]
fn records_lie_under_reserved_names_only() {
    let kv = mem();
    open::<Tx>(&kv).put(&tx("a", 1)).unwrap().wait().unwrap();
    let ns = Namespace::reserved("~records", "transactions").unwrap();
    assert_eq!(kv.namespaces().unwrap(), std::slice::from_ref(&ns));
    assert_eq!(kv.list_all(&ns).unwrap()[0].as_str().len(), 52);
}

/// A type that JSON does not keep as it is.
#[derive(Debug, Serialize, Deserialize)]
struct Lossy {
    #[serde(skip)]
    id: u32,
    weight: f64,
}

impl Record for Lossy {
    const STORE: &'static str = "lossy";
    const VERSION: u32 = 1;
    fn key(&self) -> RecordKey {
        self.id.into()
    }
}

#[test]
fn a_record_that_would_not_come_back_is_refused() {
    let kv = mem();
    let store = open::<Lossy>(&kv);
    let skipped = store.put(&Lossy { id: 1, weight: 1.0 }).unwrap_err();
    assert!(matches!(skipped, Error::NotReadable { .. }), "{skipped:?}");
    let nan = store.put(&Lossy { id: 0, weight: f64::NAN }).unwrap_err();
    assert!(matches!(nan, Error::NotReadable { .. }), "{nan:?}");
    assert!(kv.namespaces().unwrap().is_empty());
}

#[derive(Debug, Serialize, Deserialize)]
struct Measured(f64);

impl Record for Measured {
    const STORE: &'static str = "measured";
    const VERSION: u32 = 1;
    fn key(&self) -> RecordKey {
        RecordKey::try_from(self.0).unwrap()
    }
}

#[test]
fn a_double_comes_back_exactly() {
    let kv = mem();
    let store = open::<Measured>(&kv);
    // A text that a reader of JSON gets wrong in the last bit unless it takes care.
    let number = 51.24817837550540_4_f64;
    store.put(&Measured(number)).unwrap().wait().unwrap();
    assert_eq!(open::<Measured>(&kv).get_all().unwrap()[0].0, number);
}

#[derive(Debug, Serialize, Deserialize)]
struct Twice;

impl Record for Twice {
    const STORE: &'static str = "twice";
    const VERSION: u32 = 1;
    const INDEXES: &'static [Index<Self>] = &[Index::new("a", |_| None), Index::new("a", |_| None)];
    fn key(&self) -> RecordKey {
        0u8.into()
    }
}

#[derive(Debug, Serialize, Deserialize)]
struct Misnamed;

impl Record for Misnamed {
    const STORE: &'static str = "a/b";
    const VERSION: u32 = 1;
    fn key(&self) -> RecordKey {
        0u8.into()
    }
}

#[test]
fn a_type_that_contradicts_itself_is_refused_at_open() {
    assert!(matches!(ObjectStore::<Twice>::open(mem()), Err(Error::Schema { .. })));
    let misnamed = ObjectStore::<Misnamed>::open(mem()).unwrap_err();
    assert!(matches!(misnamed, Error::Store { source: kv_core::Error::InvalidName { .. }, .. }));
}

#[test]
fn handles_are_shared_between_threads() {
    fn shared<T: Send + Sync + 'static>() {}
    shared::<ObjectStore<Tx>>();
    shared::<records::Found<Tx>>();
    shared::<records::Records<Tx>>();
    shared::<records::Cursor<Tx>>();
    shared::<records::Transaction>();
    shared::<records::Fields>();
    shared::<Error>();
}

#[test]
fn debug_shows_no_content() {
    let kv = mem();
    let store = open::<Tx>(&kv);
    store.put(&tx("secrethash", 1)).unwrap().wait().unwrap();
    let query = Query::index("from").range(KeyRange::only("secrethash"));
    let mut transaction = store.transaction();
    transaction.put(&store, &tx("secrethash", 2)).unwrap();
    let (found, cursor) = (store.query(&query).unwrap(), store.cursor(&query).unwrap());
    let shown = format!("{store:?} {query:?} {found:?} {cursor:?} {transaction:?}");
    assert!(!shown.contains("secrethash") && !shown.contains("alice"), "{shown}");
    let bytes = format!("{:?}", RecordKey::from("secrethash").encode());
    assert!(!shown.contains(bytes.trim_matches(['[', ']'])), "{shown}");
}
