//! Addresses of clouds: `cargo +nightly fuzz run url`.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| cloud::testing::fuzz::url(data));
