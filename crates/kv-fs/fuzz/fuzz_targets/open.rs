//! Opening a folder made of arbitrary bytes: `cargo +nightly fuzz run open`.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| kv_fs::fuzz::open(data));
