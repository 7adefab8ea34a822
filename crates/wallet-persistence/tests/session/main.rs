//! What an application calls: data of every kind, events, waiting for a session, clearing the clouds.
#![expect(clippy::unwrap_used, reason = "helpers of tests panic")]

mod activity;
mod clearing;
mod closing;
mod common;
mod data;
mod events;
mod kinds;
mod kv_classes;
mod labels;
mod own_records;
mod profile;
mod suspending;
mod transactions;
