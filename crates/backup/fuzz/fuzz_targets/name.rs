//! Names of objects: `cargo +nightly fuzz run name`.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| backup::fuzz::name(data));
