//! Testbeds over real files, with injected failures.

#![allow(dead_code, clippy::allow_attributes, reason = "each test file uses its part")]
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests may panic")]

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
    time::Duration,
};

use kv_core::{
    Batch, Change, Key, KvStore, KvStoreExt, Namespace, Report, Result,
    testing::{Damage, Testbed},
};
use kv_sqlite::{Settings, SqliteStore, testing::Faults};
use tempfile::TempDir;

/// Small numbers, so that the log is moved often in short tests.
pub(crate) fn small() -> Settings {
    let mut settings = Settings::default();
    settings.wal_bytes = 64 << 10;
    settings.wal_most = 64 << 10;
    settings.page_cache = 256 << 10;
    settings.reserve = 64 << 10;
    settings.lazy_delay = Duration::from_millis(300);
    settings
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

/// A folder in which a store lies. A crash is what a killed process leaves: the files as they
/// are between two calls to SQLite, copied to where the next open finds them.
pub(crate) struct Bed {
    pub(crate) faults: Arc<Faults>,
    dir: TempDir,
    crashes: Mutex<u32>,
}

impl Default for Bed {
    fn default() -> Self {
        let dir = TempDir::new().unwrap();
        fs::create_dir(dir.path().join("0")).unwrap();
        Self { faults: Arc::default(), dir, crashes: Mutex::default() }
    }
}

impl Bed {
    pub(crate) fn file(&self) -> PathBuf {
        file_in(&self.dir.path().join(self.crashes.lock().unwrap().to_string()))
    }

    pub(crate) fn store(&self) -> Result<SqliteStore> {
        self.faults.open(&self.file(), small())
    }
}

impl Testbed for Bed {
    fn open(&self) -> Result<Arc<dyn KvStore>> {
        Ok(Arc::new(self.store()?))
    }

    fn crash(&self) {
        self.faults.crash();
        let from = self.file();
        *self.crashes.lock().unwrap() += 1;
        copy_store(&from, &self.file());
    }

    fn fail_nth(&self, nth: u64) {
        self.faults.fail_nth(nth);
    }

    fn fired(&self) -> bool {
        self.faults.fired()
    }

    fn damage(&self, what: Damage, ns: &Namespace, key: &Key) -> bool {
        match what {
            Damage::Value => {
                let store = self.store().unwrap();
                let value = store.read(ns, key).unwrap().unwrap();
                store.close().unwrap();
                let mut bytes = fs::read(self.file()).unwrap();
                let at = bytes.windows(value.len()).position(|part| *part == *value).unwrap();
                bytes[at] ^= 1;
                fs::write(self.file(), bytes).unwrap();
            }
            Damage::NewerFormat => {
                let mut bytes = fs::read(self.file()).unwrap();
                bytes[63] = 3;
                fs::write(self.file(), bytes).unwrap();
            }
            Damage::WrongKey => return false,
        }
        true
    }
}

pub(crate) fn file_in(dir: &Path) -> PathBuf {
    dir.join("store.sqlite")
}

pub(crate) fn log_of(file: &Path) -> PathBuf {
    file.with_file_name("store.sqlite-wal")
}

/// Copies database and log, as a killed process leaves them.
pub(crate) fn copy_store(from: &Path, to: &Path) {
    fs::create_dir_all(to.parent().unwrap()).unwrap();
    for (from, to) in [(from.to_owned(), to.to_owned()), (log_of(from), log_of(to))] {
        if from.exists() {
            fs::copy(from, to).unwrap();
        }
    }
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
