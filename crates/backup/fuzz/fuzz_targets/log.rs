//! Opening a store whose log is made of arbitrary bytes: `cargo +nightly fuzz run log`.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    backup::fuzz::log(data, std::sync::Arc::new(kv_mem::MemStore::new()));
});
