//! The decoders of frames, segment headers, batches and the index: `cargo +nightly fuzz run frame`.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| kv_fs::fuzz::frame(data));
