//! Envelopes, also with a clear part that fits: `cargo +nightly fuzz run envelope`.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| vault::fuzz::envelope(data));
