//! Names of files in a folder that is a cloud: `cargo +nightly fuzz run file_name`.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| cloud::testing::fuzz::file_name(data));
