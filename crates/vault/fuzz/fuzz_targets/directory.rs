//! Small entries and pages of the name directory: `cargo +nightly fuzz run directory`.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| vault::fuzz::directory(data));
