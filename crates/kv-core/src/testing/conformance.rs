//! The conformance suite: one function per law of [`KvStore`], run by
//! [`conformance!`](crate::conformance) for every store and every decorator.

#![expect(clippy::unwrap_used, reason = "a test suite panics")]

mod basics;
mod laws_1_to_3;
mod laws_4_to_6;
mod laws_7_to_9;

use std::sync::Arc;

pub use basics::{
    close_is_final_and_idempotent, history_is_linearizable, last_change_per_key_wins,
    listing_pages_in_order, many_reads_answer_as_single_ones, model_agrees, own_names_are_free,
    pointers_forward, values_of_all_sizes, verify_is_clean_when_nothing_is_wrong,
};
pub use laws_1_to_3::{law_1_atomic, law_2_ordered, law_3_durable_once_resolved};
pub use laws_4_to_6::{
    law_4_awaitable_and_waitable, law_5_reads_see_what_is_durable,
    law_6_an_error_means_unknown_until_reopened, law_6_refusals_are_decided_at_submit,
};
pub use laws_7_to_9::{law_7_loud_about_damage, law_8_one_owner, law_9_preconditions_hold};

use crate::{Key, KvStore, Namespace, testing::Testbed};

/// Makes one `#[test]` per law and contract detail. The argument is an expression that is callable
/// without arguments and returns a fresh [`Testbed`](crate::testing::Testbed).
///
/// ```ignore
/// mod conformance {
///     kv_core::conformance!(|| MyBed::new());
/// }
/// ```
#[macro_export]
macro_rules! conformance {
    ($make:expr) => {
        $crate::conformance!(@each $make;
            law_1_atomic law_2_ordered law_3_durable_once_resolved law_4_awaitable_and_waitable
            law_5_reads_see_what_is_durable law_6_an_error_means_unknown_until_reopened
            law_6_refusals_are_decided_at_submit law_7_loud_about_damage law_8_one_owner
            law_9_preconditions_hold last_change_per_key_wins listing_pages_in_order
            values_of_all_sizes many_reads_answer_as_single_ones own_names_are_free close_is_final_and_idempotent pointers_forward
            verify_is_clean_when_nothing_is_wrong history_is_linearizable model_agrees
        );
    };
    (@each $make:expr; $($law:ident)*) => {
        $(
            #[test]
            fn $law() {
                $crate::testing::conformance::$law(&$make);
            }
        )*
    };
}

fn ns(name: &str) -> Namespace {
    Namespace::new(name, "").unwrap_or_else(|e| panic!("{e}"))
}

fn key(name: &str) -> Key {
    Key::new(name).unwrap_or_else(|e| panic!("{e}"))
}

fn numbered(n: usize) -> Key {
    key(&format!("key-{n:05}"))
}

fn open(bed: &dyn Testbed) -> Arc<dyn KvStore> {
    bed.open().unwrap_or_else(|e| panic!("open failed: {e:?}"))
}

fn read(store: &dyn KvStore, ns: &Namespace, key: &Key) -> Option<Vec<u8>> {
    store.read(ns, key).unwrap_or_else(|e| panic!("read failed: {e:?}")).map(|v| v.to_vec())
}
