//! Objects: packed bytes, and well sealed objects of arbitrary bytes: `cargo +nightly fuzz run object`.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| backup::fuzz::object(data));
