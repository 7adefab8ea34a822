//! The laws of the contract: for the store, and for the tower of a wallet over it.

mod common;

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use backup::{Recorder, RecorderSettings, Rule, Rules};
use common::Bed;
use kv_core::{
    Error, Key, KvStore, Namespace, Result,
    testing::{Damage, ManualClock, Testbed},
};
use vault::{RootSecret, SealedStore, UnlockError};

mod plain {
    kv_core::conformance!(crate::common::Bed::default);
}

/// Encrypted, and recorded as well.
struct Tower {
    below: Bed,
    recorded: bool,
    other_key: AtomicBool,
}

impl Tower {
    fn new(recorded: bool) -> Self {
        Self { below: Bed::default(), recorded, other_key: AtomicBool::new(false) }
    }
}

impl Testbed for Tower {
    fn open(&self) -> Result<Arc<dyn KvStore>> {
        let store = Arc::new(self.below.store()?);
        let byte = if self.other_key.load(Ordering::Relaxed) { 8 } else { 7 };
        let root = RootSecret::from_bytes([byte; 32]);
        let sealed = if store.namespaces()?.is_empty() {
            SealedStore::create(store, &root)
        } else {
            SealedStore::open(store, &root)
        };
        let sealed = sealed.map_err(as_store_error)?;
        if !self.recorded {
            return Ok(sealed);
        }
        let rules = Rules::new([("a", Rule::Mergeable), ("Ab", Rule::Mergeable)]);
        let clock = Arc::new(ManualClock::default());
        Ok(Recorder::open(sealed, rules, clock, RecorderSettings::default())?)
    }

    fn crash(&self) {
        self.below.crash();
    }

    fn fail_nth(&self, nth: u64) {
        self.below.fail_nth(nth);
    }

    fn fired(&self) -> bool {
        self.below.fired()
    }

    // The store damages its own bytes above, and what is sealed is damaged by vault's tests.
    fn damage(&self, what: Damage, _: &Namespace, _: &Key) -> bool {
        if what == Damage::WrongKey && !self.recorded {
            self.other_key.store(true, Ordering::Relaxed);
            return true;
        }
        false
    }
}

fn as_store_error(error: UnlockError) -> Error {
    match error {
        UnlockError::OtherWallet => Error::WrongKey { store: "vault" },
        UnlockError::Damaged { source } | UnlockError::Store(source) => source,
        UnlockError::InUse => Error::InUse { store: "vault" },
        other => panic!("{other:?}"),
    }
}

mod sealed {
    use super::Tower;
    kv_core::conformance!(|| Tower::new(false));
}

mod sealed_and_recorded {
    use super::Tower;
    kv_core::conformance!(|| Tower::new(true));
}
