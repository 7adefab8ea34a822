//! The real program, from the outside: one module per behaviour.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that panics has failed")]
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "seeds, skips and counts are shown")]

mod blocks;
mod clouds;
mod common;
mod damage;
mod data;
mod disk;
mod exit_codes;
mod export;
#[cfg(feature = "clouds")]
mod failing_cloud;
mod fencing;
mod formats;
#[cfg(feature = "clouds")]
mod help;
mod history;
mod import;
mod json;
mod kill;
mod kv_classes;
mod listing;
mod migrate;
mod migrate_ldk;
mod passphrase;
mod screens;
mod secrecy;
mod walk;
