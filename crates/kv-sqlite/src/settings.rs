//! The numbers a caller may choose.

use std::time::Duration;

/// Plain numbers; [`Settings::default`] suits a wallet.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Settings {
    /// Bytes of the write-ahead log, which is written full of zeros at open; when it is used up
    /// its pages are moved to the database as soon as nothing was written for a moment. At least 64 KiB.
    pub wal_bytes: u64,
    /// Bytes to which the log may grow while one batch comes after the other: a page that changes
    /// again and again is moved once. It does not grow on a disk that is almost full, nor where
    /// nobody knows how full it is, and it is cut again with what is written after the moment above.
    pub wal_most: u64,
    /// Bytes of values that may wait for a flush; beyond it writers wait.
    pub queue_bytes: u64,
    /// Bytes of pages each connection keeps in memory; there is one for writing and one for each
    /// thread that reads at the same time.
    pub page_cache: u64,
    /// Connections for reading that are kept while nobody reads.
    pub idle_readers: usize,
    /// Bytes of the disk that only batches that free space may use (Linux; elsewhere a full disk is noticed when
    /// it is full, and the store must be reopened).
    pub reserve: u64,
    /// How long a lazy batch may stay invisible when nothing else is flushed.
    pub lazy_delay: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            wal_bytes: 4 << 20,
            wal_most: 32 << 20,
            queue_bytes: 64 << 20,
            page_cache: 8 << 20,
            idle_readers: 4,
            reserve: 2 << 20,
            lazy_delay: Duration::from_millis(900),
        }
    }
}

impl Settings {
    /// The length of the log that is used.
    pub(crate) fn wal_len(&self) -> u64 {
        self.wal_bytes.max(64 << 10)
    }

    /// The length at which it is moved whatever goes on.
    pub(crate) fn wal_most(&self) -> u64 {
        self.wal_most.max(self.wal_len())
    }
}
