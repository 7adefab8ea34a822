//! Sealed stores over media that outlive them, with injected faults below.

#![allow(dead_code, clippy::allow_attributes, reason = "each test file uses another part")]
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    unreachable_pub,
    reason = "a helper of tests panics, and is shared by them"
)]

pub mod queued;

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use kv_core::{
    Batch, Error, Key, KvStore, KvStoreExt, Namespace, Result, Value,
    testing::{Damage, Fault, FaultyStore, Landing, Testbed},
};
use kv_fs::{FsStore, Settings, disk::SimDisk};
use kv_mem::{Medium, MemStore};
use vault::{RootSecret, SealedStore, UnlockError};

/// The medium of the tests; every second injected failure lands although an error is answered.
#[derive(Default)]
pub struct Bed {
    pub medium: Medium,
    pub fault: Arc<Fault>,
    other_key: AtomicBool,
}

static LANDINGS: AtomicU64 = AtomicU64::new(0);

pub fn root() -> RootSecret {
    RootSecret::from_bytes([7; 32])
}

pub fn ns(primary: &str, secondary: &str) -> Namespace {
    Namespace::any(primary, secondary).unwrap()
}

pub fn key(name: &str) -> Key {
    Key::new(name).unwrap()
}

impl Bed {
    /// The store below, without the sealed one.
    pub fn raw(&self) -> MemStore {
        MemStore::open(self.medium.clone()).unwrap()
    }

    pub fn sealed(&self) -> Result<Arc<SealedStore>, UnlockError> {
        let below: Arc<dyn KvStore> = Arc::new(FaultyStore::new(
            Arc::new(MemStore::open(self.medium.clone())?),
            self.fault.clone(),
        ));
        unlock(below, self.other_key.load(Ordering::Relaxed))
    }
}

impl Testbed for Bed {
    fn open(&self) -> Result<Arc<dyn KvStore>> {
        let store = self.sealed();
        store.map(|store| store as Arc<dyn KvStore>).map_err(as_store_error)
    }

    fn crash(&self) {
        self.medium.crash();
    }

    fn fail_nth(&self, nth: u64) {
        let lands = LANDINGS.fetch_add(1, Ordering::Relaxed).is_multiple_of(2);
        let landing = if lands { Landing::Landed } else { Landing::Absent };
        self.fault.fail_nth(nth, landing);
    }

    fn fired(&self) -> bool {
        self.fault.fired()
    }

    fn damage(&self, what: Damage, _: &Namespace, _: &Key) -> bool {
        match what {
            Damage::WrongKey => self.other_key.store(true, Ordering::Relaxed),
            other => damage(&self.raw(), other),
        }
        true
    }
}

/// A sealed store over plain files on a simulated disk.
#[derive(Default)]
pub struct FsBed {
    disk: SimDisk,
    other_key: AtomicBool,
}

impl FsBed {
    fn below(&self) -> Result<FsStore> {
        let mut settings = Settings::default();
        settings.segment_size = 16 << 10;
        settings.checkpoint_after = 24 << 10;
        settings.big_value = 8 << 10;
        settings.lazy_delay = Duration::from_millis(300);
        FsStore::open_on(self.disk.mount(), settings)
    }
}

impl Testbed for FsBed {
    fn open(&self) -> Result<Arc<dyn KvStore>> {
        let other_key = self.other_key.load(Ordering::Relaxed);
        let store = unlock(Arc::new(self.below()?), other_key);
        store.map(|store| store as Arc<dyn KvStore>).map_err(as_store_error)
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

    fn damage(&self, what: Damage, _: &Namespace, _: &Key) -> bool {
        match what {
            Damage::WrongKey => self.other_key.store(true, Ordering::Relaxed),
            other => damage(&self.below().unwrap(), other),
        }
        true
    }
}

fn unlock(below: Arc<dyn KvStore>, other_key: bool) -> Result<Arc<SealedStore>, UnlockError> {
    let root = RootSecret::from_bytes([if other_key { 8 } else { 7 }; 32]);
    if below.namespaces()?.is_empty() {
        SealedStore::create(below, &root)
    } else {
        SealedStore::open(below, &root)
    }
}

fn as_store_error(error: UnlockError) -> Error {
    match error {
        UnlockError::OtherWallet => Error::WrongKey { store: "vault" },
        UnlockError::Damaged { source } | UnlockError::Store(source) => source,
        UnlockError::InUse => Error::InUse { store: "vault" },
        UnlockError::TooNew { found, newest } => Error::TooNew { store: "vault", found, newest },
        other => panic!("{other:?}"),
    }
}

/// Damages the only value, or makes the header one of format 2.
fn damage(raw: &dyn KvStore, what: Damage) {
    if what == Damage::Value {
        let (ns, key) = values(raw).pop().unwrap();
        change(raw, &ns, &key, |bytes| *bytes.last_mut().unwrap() ^= 1);
    } else {
        for copy in 0..2 {
            change(raw, &ns("~vault", "header"), &Key::number(copy), |bytes| {
                bytes[4] = 2;
                let checked = bytes.len() - 4;
                let crc = crc32c::crc32c(&bytes[..checked]);
                bytes[checked..].copy_from_slice(&crc.to_le_bytes());
            });
        }
    }
    raw.close().unwrap();
}

/// Where the values of hidden names lie below.
pub fn values(raw: &dyn KvStore) -> Vec<(Namespace, Key)> {
    let hidden = raw.namespaces().unwrap();
    let hidden = hidden.into_iter().filter(|ns| !ns.is_reserved());
    hidden
        .flat_map(|ns| {
            let keys = raw.list_all(&ns).unwrap();
            keys.into_iter().map(move |key| (ns.clone(), key))
        })
        .collect()
}

/// Everything below, in clear as a thief finds it.
pub fn everything(raw: &dyn KvStore) -> Vec<(Namespace, Key, Value)> {
    let mut all = Vec::new();
    for ns in raw.namespaces().unwrap() {
        for key in raw.list_all(&ns).unwrap() {
            let value = raw.read_required(&ns, &key).unwrap();
            all.push((ns.clone(), key, value));
        }
    }
    all
}

/// Changes bytes below.
pub fn change(raw: &dyn KvStore, ns: &Namespace, key: &Key, how: impl FnOnce(&mut Vec<u8>)) {
    let mut bytes = raw.read_required(ns, key).unwrap().to_vec();
    how(&mut bytes);
    raw.submit(Batch::new().put(ns, key, bytes)).wait().unwrap();
}
