//! Several changes are one batch: several object stores, fields, entries of the caller.

use std::{sync::Arc, thread};

use kv_core::{Key, KvStore, KvStoreExt, Namespace};
use records::{Error, Fields, Index, ObjectStore, Query, Record, RecordKey, Transaction};
use serde::{Deserialize, Serialize};

use crate::common::{HeldStore, Tx, labelled, mem, open, tx};

/// The newest transaction known of an account.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Latest {
    account: String,
    hash: String,
}

impl Record for Latest {
    const STORE: &'static str = "latest";
    const VERSION: u32 = 1;
    const INDEXES: &'static [Index<Self>] =
        &[Index::unique("hash", |latest| Some((&latest.hash).into()))];

    fn key(&self) -> RecordKey {
        (&self.account).into()
    }
}

fn latest(account: &str, hash: &str) -> Latest {
    Latest { account: account.to_owned(), hash: hash.to_owned() }
}

#[test]
fn a_transaction_over_several_stores_is_one_batch() {
    let held = HeldStore::new();
    let kv: Arc<dyn KvStore> = held.clone();
    let (txs, newest, fields) =
        (open::<Tx>(&kv), open::<Latest>(&kv), Fields::open(Arc::clone(&kv)).unwrap());
    let (ns, key) = (Namespace::new("app", "").unwrap(), Key::new("cursor").unwrap());
    let mut transaction = Transaction::new(Arc::clone(&kv));
    transaction.put(&txs, &tx("a", 1)).unwrap();
    transaction.put(&newest, &latest("alice", "a")).unwrap();
    transaction.set_field(&fields, "imported", &1).unwrap();
    transaction.batch().insert(ns.clone(), key.clone(), kv_core::Change::Put("7".into()));
    let commit = transaction.submit().unwrap();
    assert_eq!(held.held(), 1);
    assert_eq!((txs.count(&Query::all()).unwrap(), newest.count(&Query::all()).unwrap()), (0, 0));
    held.land();
    commit.wait().unwrap();
    assert_eq!(txs.get_all().unwrap(), [tx("a", 1)]);
    assert_eq!(newest.get_all().unwrap(), [latest("alice", "a")]);
    assert_eq!(fields.get::<u32>("imported").unwrap(), Some(1));
    assert_eq!(&*kv.read_required(&ns, &key).unwrap(), b"7");
}

#[test]
fn a_violation_in_one_store_changes_nothing_in_any() {
    let kv = mem();
    let (txs, newest) = (open::<Tx>(&kv), open::<Latest>(&kv));
    newest.put(&latest("alice", "a")).unwrap().wait().unwrap();
    let before = kv.list_all(&kv.namespaces().unwrap()[0]).unwrap();
    for order in [false, true] {
        let mut transaction = txs.transaction();
        if order {
            transaction.put(&txs, &tx("a", 1)).unwrap();
        }
        transaction.put(&newest, &latest("bob", "a")).unwrap();
        if !order {
            transaction.put(&txs, &tx("a", 1)).unwrap();
        }
        let error = transaction.submit().unwrap_err();
        assert!(matches!(error, Error::NotUnique { store: "latest", index: "hash" }), "{error:?}");
    }
    assert!(txs.get_all().unwrap().is_empty());
    assert_eq!(kv.namespaces().unwrap().len(), 1);
    assert_eq!(kv.list_all(&kv.namespaces().unwrap()[0]).unwrap(), before);
    // Nothing of the refused ones is remembered either.
    newest.put(&latest("bob", "b")).unwrap().wait().unwrap();
    txs.put_new(&tx("a", 1)).unwrap().wait().unwrap();
}

#[test]
fn the_last_change_of_a_record_wins() {
    let kv = mem();
    let txs = open::<Tx>(&kv);
    let mut transaction = txs.transaction();
    transaction.put_new(&txs, &labelled("a", "rent")).unwrap();
    transaction.put(&txs, &labelled("a", "food")).unwrap();
    transaction.put(&txs, &labelled("b", "x")).unwrap();
    transaction.delete(&txs, (1u64, "b")).unwrap();
    transaction.submit().unwrap().wait().unwrap();
    assert_eq!(txs.get_all().unwrap(), [labelled("a", "food")]);
    assert_eq!(txs.count(&Query::index("label")).unwrap(), 1);
    // Deleted and new again in one transaction.
    let mut transaction = txs.transaction();
    transaction.delete(&txs, (1u64, "a")).unwrap();
    transaction.put_new(&txs, &labelled("a", "new")).unwrap();
    transaction.submit().unwrap().wait().unwrap();
    assert_eq!(txs.get_all().unwrap(), [labelled("a", "new")]);
    // Twice new in one transaction.
    let mut transaction = txs.transaction();
    transaction.put_new(&txs, &tx("c", 1)).unwrap();
    transaction.put_new(&txs, &tx("c", 2)).unwrap();
    assert!(matches!(transaction.submit(), Err(Error::Exists { .. })));
    assert_eq!(txs.count(&Query::all()).unwrap(), 1);
}

#[test]
fn a_dropped_transaction_changes_nothing() {
    let kv = mem();
    let txs = open::<Tx>(&kv);
    let mut transaction = txs.transaction();
    transaction.put(&txs, &labelled("a", "rent")).unwrap();
    drop(transaction);
    assert!(kv.namespaces().unwrap().is_empty());
    txs.put_new(&labelled("b", "rent")).unwrap().wait().unwrap();
}

#[test]
fn a_store_over_another_store_is_refused() {
    let (kv, other) = (mem(), mem());
    let txs = open::<Tx>(&other);
    let mut transaction = Transaction::new(Arc::clone(&kv));
    assert!(matches!(
        transaction.put(&txs, &tx("a", 1)),
        Err(Error::OtherStore { store: "transactions" })
    ));
    let fields = Fields::open(other).unwrap();
    assert!(matches!(
        transaction.set_field(&fields, "a", &1),
        Err(Error::OtherStore { store: "~fields" })
    ));
    transaction.submit().unwrap().wait().unwrap();
    assert!(txs.get_all().unwrap().is_empty());
}

#[test]
fn transactions_that_meet_the_stores_in_any_order_do_not_block_each_other() {
    let kv = mem();
    let (txs, newest) = (open::<Tx>(&kv), open::<Latest>(&kv));
    thread::scope(|scope| {
        for worker in 0..4 {
            let (kv, txs, newest) = (&kv, &txs, &newest);
            scope.spawn(move || {
                for n in 0..200 {
                    let hash = format!("{worker}-{n}");
                    let (record, last) = (tx(&hash, n), latest(&format!("account{worker}"), &hash));
                    let mut transaction = Transaction::new(Arc::clone(kv));
                    if worker % 2 == 0 {
                        transaction.put(txs, &record).unwrap();
                        transaction.put(newest, &last).unwrap();
                    } else {
                        transaction.put(newest, &last).unwrap();
                        transaction.put(txs, &record).unwrap();
                    }
                    transaction.submit().unwrap().wait().unwrap();
                    assert!(txs.count(&Query::index("from")).unwrap() > 0);
                }
            });
        }
    });
    assert_eq!((txs.count(&Query::all()).unwrap(), newest.count(&Query::all()).unwrap()), (800, 4));
    let (again, report) = ObjectStore::<Tx>::open(kv).unwrap();
    assert_eq!(report.records, 800);
    assert_eq!(
        again.keys(&Query::index("from")).unwrap(),
        txs.keys(&Query::index("from")).unwrap()
    );
}

#[test]
fn a_field_is_set_read_listed_and_cleared() {
    let kv = mem();
    let fields = Fields::open(Arc::clone(&kv)).unwrap();
    assert_eq!(fields.get::<String>("givenName").unwrap(), None);
    fields.set("givenName", "Ada").unwrap().wait().unwrap();
    fields.set("age", &36).unwrap().wait().unwrap();
    fields.set("age", &37).unwrap().wait().unwrap();
    assert_eq!(fields.get::<String>("givenName").unwrap().as_deref(), Some("Ada"));
    assert_eq!(fields.list().unwrap(), ["age", "givenName"]);
    assert_eq!(Fields::open(Arc::clone(&kv)).unwrap().get::<u8>("age").unwrap(), Some(37));
    fields.clear("age").unwrap().wait().unwrap();
    assert_eq!(fields.get::<u8>("age").unwrap(), None);
    assert_eq!(fields.list().unwrap(), ["givenName"]);
    assert!(matches!(fields.set("given name", "x"), Err(Error::Store { .. })));
    assert!(matches!(fields.get::<u8>("givenName"), Err(Error::Damaged { .. })));
    assert!(open::<Tx>(&kv).get_all().unwrap().is_empty(), "fields are no records");
}

#[test]
fn a_field_is_seen_once_it_is_durable() {
    let held = HeldStore::new();
    let fields = Fields::open(held.clone()).unwrap();
    let commit = fields.set("age", &36).unwrap();
    assert_eq!(fields.get::<u8>("age").unwrap(), None);
    held.land();
    commit.wait().unwrap();
    assert_eq!(fields.get::<u8>("age").unwrap(), Some(36));
    drop(fields.clear("age").unwrap());
    held.fail();
    assert_eq!(fields.get::<u8>("age").unwrap(), Some(36));
}

/// What is in flight counts, so of two who change a record at once neither undoes the other.
#[test]
fn an_update_changes_the_record_as_the_last_submit_leaves_it() {
    let held = HeldStore::new();
    let kv: Arc<dyn KvStore> = held.clone();
    let store = open::<Tx>(&kv);
    let change = |change: fn(Tx) -> Tx| {
        let mut transaction = store.transaction();
        let of = move |known: Option<&Tx>| Some(change(known.cloned().unwrap_or(tx("a", 1))));
        transaction.update(&store, (1u64, "a"), of).unwrap();
        transaction.submit()
    };
    drop(change(|known| Tx { label: Some("rent".to_owned()), ..known }).unwrap());
    drop(change(|known| Tx { time: 7, ..known }).unwrap());
    let moved = change(|known| Tx { hash: "b".to_owned(), ..known });
    assert!(matches!(moved, Err(Error::Schema { .. })), "{moved:?}");
    let mut nothing = store.transaction();
    nothing.update(&store, (1u64, "none"), |known: Option<&Tx>| known.cloned()).unwrap();
    drop(nothing.submit().unwrap());
    while held.held() > 0 {
        held.land();
    }
    assert_eq!(store.get_all().unwrap(), [Tx { time: 7, ..labelled("a", "rent") }]);
}

#[test]
fn what_is_required_of_a_record_is_looked_at_as_the_last_submit_leaves_it() {
    let held = HeldStore::new();
    let kv: Arc<dyn KvStore> = held.clone();
    let store = open::<Tx>(&kv);
    let put_if_absent = |hash: &str| {
        let mut transaction = store.transaction();
        transaction.require(&store, (1u64, "a"), |known: Option<&Tx>| known.is_none()).unwrap();
        transaction.put(&store, &tx(hash, 1)).unwrap();
        transaction.submit()
    };
    drop(put_if_absent("b").unwrap());
    drop(put_if_absent("a").unwrap());
    let refused = put_if_absent("c");
    assert!(matches!(refused, Err(Error::Changed { store: "transactions" })), "{refused:?}");
    assert_eq!(held.held(), 2, "and nothing was submitted");
}
