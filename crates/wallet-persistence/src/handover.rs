//! What a handover leaves behind.

use serde::Serialize;

/// The end of a wallet on one device, and what the next one needs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct HandoverReport {
    /// The device that was sealed.
    pub writer: String,
    /// The last of its changes; all up to it is in the clouds.
    pub sequence: u64,
    /// The fencing epoch it held; 0 if it never wrote data with a single writer.
    pub epoch: u32,
    /// The addresses of the clouds that hold the backup.
    pub clouds: Vec<String>,
    /// When it was sealed, in milliseconds since the Unix epoch.
    pub time: u64,
}
