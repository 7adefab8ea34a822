//! The laws of a store, for the sealed store over two stores with injected faults.

mod common;

mod over_memory {
    kv_core::conformance!(crate::common::Bed::default);
}

mod over_files {
    kv_core::conformance!(crate::common::FsBed::default);
}
