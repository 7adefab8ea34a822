//! Words, keys, passphrases and signatures: `cargo +nightly fuzz run secrets`.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| vault::fuzz::secrets(data));
