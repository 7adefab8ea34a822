//! Dumps, retention, restores at any point, and the comparison of a device with its backup.

#![expect(clippy::unwrap_used, reason = "a test panics")]

mod common;
mod compare;
mod field_history;
mod listing;
mod make;
mod restore;
mod retention;
