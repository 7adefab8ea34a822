//! bdk's own tests of a persister, on stores of three kinds.

#![expect(clippy::unwrap_used, reason = "tests may panic")]

use std::{path::Path, sync::Arc};

use bdk_wallet::persist_test_utils::{
    persist_keychains, persist_multiple_wallet_changesets, persist_network,
    persist_single_keychain, persist_wallet_changeset,
};
use kv_bdk::BdkPersister;
use kv_core::KvStore;
use kv_fs::{FsStore, Settings, disk::SimDisk};
use kv_mem::MemStore;

type Make = fn(&Path) -> Arc<dyn KvStore>;

const STORES: [Make; 3] = [
    |_| Arc::new(MemStore::new()),
    |path| Arc::new(FsStore::open(path, Settings::default()).unwrap()),
    |_| Arc::new(FsStore::open_on(SimDisk::new().mount(), Settings::default()).unwrap()),
];

#[test]
fn a_change_set_is_persisted_and_merged() {
    for make in STORES {
        persist_wallet_changeset("w", |path| Ok(BdkPersister::new(make(path), "w")?));
    }
}

#[test]
fn wallets_of_one_store_are_kept_apart() {
    for make in STORES {
        persist_multiple_wallet_changesets("w", |path| {
            let store = make(path);
            Ok((BdkPersister::new(store.clone(), "one")?, BdkPersister::new(store, "two")?))
        });
    }
}

#[test]
fn the_network_is_persisted() {
    for make in STORES {
        persist_network("w", |path| Ok(BdkPersister::new(make(path), "w")?));
    }
}

#[test]
fn descriptors_are_persisted() {
    for make in STORES {
        persist_keychains("w", |path| Ok(BdkPersister::new(make(path), "w")?));
        persist_single_keychain("w", |path| Ok(BdkPersister::new(make(path), "w")?));
    }
}
