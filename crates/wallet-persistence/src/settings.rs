//! Plain settings; components (stores, clouds, clocks) enter through the builder.

use std::time::Duration;

/// How a wallet behaves.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Settings {
    /// How often the background task looks for changes to back up; `None`: only when asked.
    /// Default 1 s. Without a cloud there is no task.
    pub replicate_every: Option<Duration>,
    /// How many bytes of values not yet backed up to hold in memory. Default 64 MiB.
    pub memory_budget: u64,
    /// How many objects to fetch at once. Default 8.
    pub fetch_at_once: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            replicate_every: Some(Duration::from_secs(1)),
            memory_budget: 64 << 20,
            fetch_at_once: 8,
        }
    }
}
