//! Takeover and handover, from the outside: who may write data that has a single writer.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test panics")]

mod acknowledged;
mod bed;
mod handover;
mod in_the_cloud;
mod quorum;
mod sessions;
mod stuck;
mod takeover;
