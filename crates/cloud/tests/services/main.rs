//! Services whose servers cannot run here, against fakes written from their public references.

#![expect(clippy::unwrap_used, reason = "helpers of tests panic")]

mod bed;
mod gcs;
mod http;
