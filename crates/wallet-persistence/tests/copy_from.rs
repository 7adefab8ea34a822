//! What another program has kept is taken into a wallet as it is.

#![expect(clippy::unwrap_used, reason = "helpers of tests panic")]

use std::sync::Arc;

use cloud::MemCloud;
use kv_core::{Batch, CopyError, Key, KvStore, KvStoreExt, Namespace};
use kv_mem::MemStore;
use wallet_persistence::{
    AccountId, Error, ProfileField, Reaction, RootSecret, Session, WalletPersistence,
};

async fn wallet() -> Session {
    let wallet = WalletPersistence::in_memory().cloud(Arc::new(MemCloud::new())).build();
    let session = wallet.create(&RootSecret::from_bytes([6; 32])).await.unwrap();
    session.set_profile(ProfileField::GivenName, "Ada").await.unwrap();
    let account = "eip155:1:0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed";
    session.add_account(account.parse::<AccountId>().unwrap(), None).await.unwrap();
    session
}

fn ns(primary: &str) -> Namespace {
    Namespace::new(primary, "").unwrap()
}

fn key(name: &str) -> Key {
    Key::new(name).unwrap()
}

/// Created in an order that is not that of the names.
fn elsewhere() -> Arc<dyn KvStore> {
    let store = MemStore::new();
    for n in 0..50_u8 {
        let name = key(&format!("key-{}", usize::from(n) * 37 % 50));
        store.write(&ns("monitors"), &name, vec![n; 10]).unwrap();
    }
    store.write(&ns(""), &key("manager"), b"m").unwrap();
    Arc::new(store)
}

fn newest_first(store: &dyn KvStore, ns: &Namespace) -> Vec<Key> {
    let order = store.capabilities().creation_order.unwrap();
    order.list_newest_first(ns, None, usize::MAX).unwrap().keys
}

#[tokio::test]
async fn another_programs_entries_become_the_wallets_in_their_order() {
    let (session, from) = (wallet().await, elsewhere());
    let copied = session.copy_from(from.clone(), |_| ()).await.unwrap();
    assert_eq!((copied.entries, copied.there_before), (51, 0));
    assert_eq!(copied.digest, kv_core::digest(&*from).unwrap());
    let kv = session.kv().unwrap();
    assert_eq!(newest_first(&*kv, &ns("monitors")), newest_first(&*from, &ns("monitors")));
    assert_eq!(session.profile(ProfileField::GivenName).unwrap().as_deref(), Some("Ada"));
    // Again nothing is left to do.
    let copied = session.copy_from(from, |_| ()).await.unwrap();
    assert_eq!((copied.entries, copied.there_before), (51, 51));
}

#[tokio::test]
async fn a_part_that_is_there_goes_on_and_anything_else_is_left_alone() {
    let (session, from) = (wallet().await, elsewhere());
    let kv = session.kv().unwrap();
    // As an interruption leaves it: the oldest ones.
    for name in newest_first(&*from, &ns("monitors")).iter().rev().take(20) {
        let value = from.read_required(&ns("monitors"), name).unwrap();
        kv.submit(Batch::new().put(&ns("monitors"), name, value)).await.unwrap();
    }
    let copied = session.copy_from(from.clone(), |_| ()).await.unwrap();
    assert_eq!((copied.entries, copied.there_before), (51, 20));

    kv.submit(Batch::new().put(&ns("mine"), &key("own"), b"own")).await.unwrap();
    let error = session.copy_from(from, |_| ()).await.unwrap_err();
    assert!(matches!(error, Error::Copy(CopyError::NotEmpty)), "{error:?}");
    assert_eq!(error.reaction(), Reaction::Exists);
}
