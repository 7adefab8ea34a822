//! The header, also with a checksum that fits: `cargo +nightly fuzz run header`.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| vault::fuzz::header(data));
