//! The plaintexts of segments, dumps, heads and the fence, and what the log keeps on the device: `cargo +nightly fuzz run plain`.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| backup::fuzz::plain(data));
