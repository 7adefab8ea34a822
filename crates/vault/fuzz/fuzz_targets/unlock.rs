//! Unlocking a store whose directory is made of arbitrary, well sealed bytes: `cargo +nightly fuzz run unlock`.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    vault::fuzz::unlock(data, std::sync::Arc::new(kv_mem::MemStore::new()));
});
