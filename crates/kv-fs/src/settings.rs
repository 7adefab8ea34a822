//! The numbers a caller may choose.

use std::time::Duration;

/// Plain numbers; [`Settings::default`] suits a wallet.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Settings {
    /// Bytes of one log segment, preallocated; two or three exist at any time. At least 4 KiB.
    pub segment_size: usize,
    /// A value with more bytes than this goes to a file of its own instead of through the log.
    pub big_value: usize,
    /// Bytes of values held in memory until a checkpoint has moved them to files; beyond it
    /// writers wait.
    pub table_budget: usize,
    /// Bytes of log after which a checkpoint begins in the background.
    pub checkpoint_after: u64,
    /// How long a lazy batch may stay invisible when nothing else is flushed.
    pub lazy_delay: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            segment_size: 256 << 10,
            big_value: 1 << 20,
            table_budget: 64 << 20,
            checkpoint_after: 8 << 20,
            lazy_delay: Duration::from_millis(900),
        }
    }
}

impl Settings {
    /// The segment size that is used: whole 4 KiB blocks, at least one.
    pub(crate) fn segment_len(&self) -> usize {
        self.segment_size.next_multiple_of(4096).max(4096)
    }
}
