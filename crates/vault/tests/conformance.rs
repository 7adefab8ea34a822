//! The laws of a store, for the sealed store over the reference store with injected faults.

mod common;

use common::Bed;

kv_core::conformance!(Bed::default);
