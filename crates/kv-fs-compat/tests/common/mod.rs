//! Both stores, told in the same words.

#![allow(dead_code, clippy::allow_attributes, reason = "each test file uses its part")]
#![expect(clippy::unwrap_used, reason = "tests may panic")]

use std::{collections::BTreeMap, path::Path};

use kv_core::{Key, KvStore, KvStoreExt, Namespace};
use kv_fs::{FsStore, Settings};
use lightning::util::persist::{KVStoreSync, MigratableKVStoreSync, PaginatedKVStoreSync};
use lightning_persister::fs_store::{v1::FilesystemStore, v2::FilesystemStoreV2};

/// What a store holds: the values, and the keys of each namespace newest first.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Contents {
    pub(crate) values: BTreeMap<(Namespace, Key), Vec<u8>>,
    pub(crate) newest_first: BTreeMap<Namespace, Vec<Key>>,
}

pub(crate) fn ns(primary: &str, secondary: &str) -> Namespace {
    Namespace::new(primary, secondary).unwrap()
}

pub(crate) fn key(name: &str) -> Key {
    Key::new(name).unwrap()
}

pub(crate) fn settings() -> Settings {
    let mut settings = Settings::default();
    settings.big_value = 8 << 10;
    settings.checkpoint_after = 32 << 10;
    settings
}

pub(crate) fn open(dir: &Path) -> FsStore {
    FsStore::open(dir, settings()).unwrap()
}

pub(crate) fn ldk(dir: &Path) -> FilesystemStoreV2 {
    FilesystemStoreV2::new(dir.to_owned()).unwrap()
}

/// As a store of ours tells it.
pub(crate) fn ours(store: &dyn KvStore) -> Contents {
    let mut contents = Contents::default();
    for ns in store.namespaces().unwrap() {
        if ns.is_reserved() {
            continue;
        }
        for key in store.list_all(&ns).unwrap() {
            let value = store.read_required(&ns, &key).unwrap().to_vec();
            contents.values.insert((ns.clone(), key), value);
        }
        let order = store.capabilities().creation_order.unwrap();
        let page = order.list_newest_first(&ns, None, usize::MAX).unwrap();
        contents.newest_first.insert(ns, page.keys);
    }
    contents
}

/// As LDK tells it, page by page.
pub(crate) fn theirs(store: &FilesystemStoreV2) -> Contents {
    let mut contents = Contents::default();
    for (primary, secondary, name) in store.list_all_keys().unwrap() {
        let value = store.read(&primary, &secondary, &name).unwrap();
        contents.values.insert((ns(&primary, &secondary), key(&name)), value);
    }
    let names = contents.values.keys().map(|(ns, _)| ns.clone());
    for ns in names.collect::<std::collections::BTreeSet<_>>() {
        let mut order = Vec::new();
        let mut token = None;
        loop {
            let page = store.list_paginated(ns.primary(), ns.secondary(), token).unwrap();
            order.extend(page.keys.iter().map(|name| key(name)));
            token = page.next_page_token;
            if token.is_none() {
                break;
            }
        }
        contents.newest_first.insert(ns, order);
    }
    contents
}

/// A folder as LDK leaves it, and what LDK says is in it.
pub(crate) fn version_1(dir: &Path) -> BTreeMap<(Namespace, Key), Vec<u8>> {
    let store = FilesystemStore::new(dir.to_owned());
    store.write("", "", "manager", b"m".to_vec()).unwrap();
    store.write("", "", "scorer", Vec::new()).unwrap();
    for n in 0..70 {
        store.write("monitors", "", &format!("Chan_{n}"), vec![n; 200_000]).unwrap();
        store
            .write("monitor-updates", &format!("chan-{}", n % 3), &n.to_string(), vec![n])
            .unwrap();
    }
    store.write("monitors", "deep", "x", b"x".to_vec()).unwrap();
    store.remove("monitors", "", "Chan_7", false).unwrap();
    let mut values = BTreeMap::new();
    for (primary, secondary, name) in store.list_all_keys().unwrap() {
        let value = store.read(&primary, &secondary, &name).unwrap();
        values.insert((ns(&primary, &secondary), key(&name)), value);
    }
    assert_eq!(values.len(), 2 + 70 + 70 + 1 - 1);
    values
}
