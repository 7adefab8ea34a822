//! The laws of a store, for the recorder: over faults below it, over encryption and a simulated
//! disk, and for both classes of data.

mod common;

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use backup::{Recorder, Rule, Rules};
use kv_core::{
    Error, Key, KvStore, Namespace, Result,
    testing::{Damage, Fault, FaultyStore, Landing, Testbed},
};
use kv_fs::{FsStore, Settings, disk::SimDisk};
use kv_mem::{Medium, MemStore};
use vault::{RootSecret, SealedStore, UnlockError};

/// Over the reference store; every second injected failure lands although it is answered with an error.
struct MemBed {
    medium: Medium,
    fault: Arc<Fault>,
    rule: Rule,
    memory_budget: u64,
}

impl MemBed {
    fn new(rule: Rule, memory_budget: u64) -> Self {
        Self { medium: Medium::default(), fault: Arc::default(), rule, memory_budget }
    }
}

static LANDINGS: AtomicU64 = AtomicU64::new(0);

impl Testbed for MemBed {
    fn open(&self) -> Result<Arc<dyn KvStore>> {
        let store = Arc::new(MemStore::open(self.medium.clone())?);
        let store = Arc::new(FaultyStore::new(store, self.fault.clone()));
        open(store, self.rule, self.memory_budget)
    }

    fn crash(&self) {
        self.medium.crash();
    }

    fn fail_nth(&self, nth: u64) {
        let lands = LANDINGS.fetch_add(1, Ordering::Relaxed).is_multiple_of(2);
        self.fault.fail_nth(nth, if lands { Landing::Landed } else { Landing::Absent });
    }

    fn fired(&self) -> bool {
        self.fault.fired()
    }

    // Memory has no bytes at rest, no format and no key.
    fn damage(&self, _: Damage, _: &Namespace, _: &Key) -> bool {
        false
    }
}

/// The whole tower, on a disk whose every call may fail.
#[derive(Default)]
struct Tower(SimDisk);

impl Testbed for Tower {
    fn open(&self) -> Result<Arc<dyn KvStore>> {
        let mut settings = Settings::default();
        settings.segment_size = 16 << 10;
        settings.checkpoint_after = 24 << 10;
        settings.big_value = 8 << 10;
        let disk = Arc::new(FsStore::open_on(self.0.mount(), settings)?);
        let root = RootSecret::from_bytes([7; 32]);
        let sealed = if disk.namespaces()?.is_empty() {
            SealedStore::create(disk, &root)
        } else {
            SealedStore::open(disk, &root)
        };
        open(sealed.map_err(below)?, Rule::Mergeable, 4 << 10)
    }

    fn crash(&self) {
        self.0.crash();
    }

    fn fail_nth(&self, nth: u64) {
        self.0.fail_nth(nth, io::ErrorKind::Other);
    }

    fn fired(&self) -> bool {
        self.0.fired()
    }

    // kv-fs and vault damage their own bytes in their own suites.
    fn damage(&self, _: Damage, _: &Namespace, _: &Key) -> bool {
        false
    }
}

fn open(store: Arc<dyn KvStore>, rule: Rule, memory_budget: u64) -> Result<Arc<dyn KvStore>> {
    let rules = Rules::new([("a", rule), ("Ab", rule)]);
    Ok(Recorder::open(store, rules, common::clock(), common::budget(memory_budget))?)
}

fn below(error: UnlockError) -> Error {
    match error {
        UnlockError::Damaged { source } | UnlockError::Store(source) => source,
        UnlockError::InUse => Error::InUse { store: "vault" },
        other => panic!("{other:?}"),
    }
}

mod mergeable {
    use super::{MemBed, Rule};
    kv_core::conformance!(|| MemBed::new(Rule::Mergeable, 0));
}

mod single_writer {
    use super::{MemBed, Rule};
    kv_core::conformance!(|| MemBed::new(Rule::SingleWriter, u64::MAX));
}

mod local_only {
    use super::{MemBed, Rule};
    kv_core::conformance!(|| MemBed::new(Rule::LocalOnly, 0));
}

mod tower {
    use super::Tower;
    kv_core::conformance!(Tower::default);
}
