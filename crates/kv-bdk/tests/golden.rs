//! The stored bytes stay as they are: `docs/src/formats/bdk-v1.md`.

mod common;

use std::{fs, path::PathBuf, sync::Arc};

use bdk_wallet::WalletPersister;
use common::{Changes, states};
use kv_bdk::BdkPersister;
use kv_core::{Key, KvStore, KvStoreExt, Namespace};
use kv_mem::MemStore;

fn golden(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden/v1").join(name)
}

/// The golden entries, by number.
const ENTRIES: [(u64, &str); 3] = [(1, "first.json"), (2, "second.json"), (257, "merged.json")];

#[test]
fn entries_are_the_golden_ones() {
    let ns = Namespace::new("bdk", "w").unwrap();
    let store = Arc::new(MemStore::new());
    let mut persister = BdkPersister::new(store.clone(), "w").unwrap();
    let mut changes = Changes::seeded(2026);
    let few: Vec<_> = (0..6).map(|_| changes.next().unwrap()).collect();
    for change in few.iter().cycle().take(257) {
        WalletPersister::persist(&mut persister, change).unwrap();
        for (number, name) in ENTRIES {
            if let Some(value) = store.read(&ns, &Key::number(number)).unwrap() {
                assert_eq!(value.to_vec(), fs::read(golden(name)).unwrap(), "{name}");
            }
        }
    }
    assert_eq!(store.list_all(&ns).unwrap(), [Key::number(257)]);
}

#[test]
fn golden_entries_are_read() {
    let ns = Namespace::new("bdk", "w").unwrap();
    let store = Arc::new(MemStore::new());
    for (number, name) in ENTRIES {
        store.write(&ns, &Key::number(number), fs::read(golden(name)).unwrap()).unwrap();
    }
    let changes: Vec<_> = Changes::seeded(2026).take(6).collect();
    let loaded = WalletPersister::initialize(&mut BdkPersister::new(store, "w").unwrap());
    let repeated: Vec<_> = changes.iter().cloned().cycle().take(257).collect();
    assert_eq!(&loaded.unwrap(), states(&repeated).last().unwrap());
}
