//! Takeover and handover, from the outside: who may write data that has a single writer.

#![expect(clippy::unwrap_used, reason = "helpers of tests panic")]

mod acknowledged;
mod bed;
mod handover;
mod in_the_cloud;
mod takeover;
