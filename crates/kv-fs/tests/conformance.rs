//! The laws of the contract, on the simulated and on the real disk.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests may panic")]

mod common;

mod simulated {
    kv_core::conformance!(crate::common::SimBed::default);
}

mod real {
    use std::{fs, sync::Arc};

    use kv_core::{
        Key, KvStore, Namespace, Result,
        testing::{Damage, Testbed},
    };
    use kv_fs::FsStore;
    use tempfile::TempDir;

    use crate::common::{INDEX, make_newer, small, value_path};

    /// A folder of the operating system: it can be opened again and damaged, but not lose power or fail.
    struct RealBed(TempDir);

    impl RealBed {
        fn new() -> Self {
            Self(TempDir::new().unwrap())
        }

        fn open_store(&self) -> Result<Arc<dyn KvStore>> {
            Ok(Arc::new(FsStore::open(self.0.path(), small())?))
        }
    }

    impl Testbed for RealBed {
        fn open(&self) -> Result<Arc<dyn KvStore>> {
            self.open_store()
        }

        fn crash(&self) {}

        fn fail_nth(&self, _nth: u64) {}

        fn fired(&self) -> bool {
            false
        }

        fn damage(&self, what: Damage, ns: &Namespace, key: &Key) -> bool {
            let path = match what {
                Damage::Value => self.0.path().join(value_path(ns, key)),
                Damage::NewerFormat => self.0.path().join(INDEX),
                Damage::WrongKey => return false,
            };
            let mut bytes = fs::read(&path).unwrap();
            match what {
                Damage::Value => bytes[0] ^= 1,
                _ => make_newer(&mut bytes),
            }
            fs::write(&path, bytes).unwrap();
            true
        }
    }

    macro_rules! laws {
        ($($law:ident)*) => {$(
            #[test]
            fn $law() {
                kv_core::testing::conformance::$law(&RealBed::new);
            }
        )*};
    }

    laws!(
        law_4_awaitable_and_waitable law_6_refusals_are_decided_at_submit law_7_loud_about_damage
        law_9_preconditions_hold last_change_per_key_wins listing_pages_in_order
        values_of_all_sizes own_names_are_free close_is_final_and_idempotent
        verify_is_clean_when_nothing_is_wrong
    );
}
