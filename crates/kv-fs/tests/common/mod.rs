//! A testbed on the simulated disk.

#![allow(dead_code, clippy::allow_attributes, reason = "each test file uses its part")]
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests may panic")]

pub(crate) mod mapped;

use std::{collections::BTreeMap, io, sync::Arc, time::Duration};

use kv_core::{
    Batch, Change, Key, KvStore, KvStoreExt, Namespace, Report, Result,
    testing::{Damage, Testbed},
};
use kv_fs::{FsStore, Settings, disk::SimDisk};

/// Small numbers, so that segments, checkpoints and big values occur in short tests.
pub(crate) fn small() -> Settings {
    let mut settings = Settings::default();
    settings.segment_size = 16 << 10;
    settings.checkpoint_after = 24 << 10;
    settings.big_value = 8 << 10;
    settings.lazy_delay = Duration::from_millis(300);
    settings
}

#[derive(Debug, Default)]
pub(crate) struct SimBed {
    pub(crate) disk: SimDisk,
}

impl SimBed {
    pub(crate) fn store(&self) -> Result<FsStore> {
        FsStore::open_on(self.disk.mount(), small())
    }
}

impl Testbed for SimBed {
    fn open(&self) -> Result<Arc<dyn KvStore>> {
        Ok(Arc::new(self.store()?))
    }

    fn crash(&self) {
        self.disk.crash();
    }

    fn fail_nth(&self, nth: u64) {
        self.disk.fail_nth(nth, io::ErrorKind::Other);
    }

    fn fired(&self) -> bool {
        self.disk.fired()
    }

    fn damage(&self, what: Damage, ns: &Namespace, key: &Key) -> bool {
        match what {
            Damage::Value => {
                let path = value_path(ns, key);
                let mut bytes = self.disk.contents(&path).unwrap();
                bytes[0] ^= 1;
                self.disk.overwrite(&path, &bytes);
                true
            }
            Damage::NewerFormat => {
                let mut bytes = self.disk.contents(INDEX).unwrap();
                make_newer(&mut bytes);
                self.disk.overwrite(INDEX, &bytes);
                true
            }
            Damage::WrongKey => false,
        }
    }
}

pub(crate) const INDEX: &str = "~strongroom/v1.tmp/index";

/// Turns an index into one of format 2.
pub(crate) fn make_newer(index: &mut [u8]) {
    index[8] = 2;
    let crc = crc32c::crc32c(&index[..12]);
    index[12..16].copy_from_slice(&crc.to_le_bytes());
}

pub(crate) fn value_path(ns: &Namespace, key: &Key) -> String {
    let level = |name: &str| if name.is_empty() { "[empty]".to_owned() } else { name.to_owned() };
    let own = if ns.is_reserved() { "~strongroom/v1.tmp/own/" } else { "" };
    format!("{own}{}/{}/{}", level(ns.primary()), level(ns.secondary()), key.as_str())
}

pub(crate) fn ns(primary: &str) -> Namespace {
    Namespace::new(primary, "").unwrap()
}

pub(crate) fn key(name: &str) -> Key {
    Key::new(name).unwrap()
}

pub(crate) fn verify(store: &dyn KvStore) -> Report {
    store.capabilities().verify.unwrap().verify(&mut |_| ()).unwrap()
}

/// Everything in a store: values by name, and the names of each namespace newest first.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Contents {
    pub(crate) values: BTreeMap<(Namespace, Key), Vec<u8>>,
    pub(crate) newest_first: BTreeMap<Namespace, Vec<Key>>,
}

impl Contents {
    pub(crate) fn of(store: &dyn KvStore) -> Result<Self> {
        let mut contents = Self::default();
        for ns in store.namespaces()? {
            for key in store.list_all(&ns)? {
                let value = store.read(&ns, &key)?.unwrap();
                contents.values.insert((ns.clone(), key), value.to_vec());
            }
            let order = store.capabilities().creation_order.unwrap();
            let page = order.list_newest_first(&ns, None, usize::MAX)?;
            contents.newest_first.insert(ns, page.keys);
        }
        Ok(contents)
    }

    /// What a batch does, by the plainest means.
    pub(crate) fn apply(&mut self, batch: &Batch) {
        for (ns, key, change) in batch.changes() {
            let name = (ns.clone(), key.clone());
            let order = self.newest_first.entry(ns.clone()).or_default();
            match change {
                Change::Put(value) => {
                    if self.values.insert(name, value.to_vec()).is_none() {
                        order.insert(0, key.clone());
                    }
                }
                Change::Remove => {
                    self.values.remove(&name);
                    order.retain(|other| other != key);
                }
            }
            if order.is_empty() {
                self.newest_first.remove(ns);
            }
        }
    }
}
