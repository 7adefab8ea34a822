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
    /// Bytes of values kept in memory once they were read, with what keeping them costs (about 200
    /// bytes each); 0: every read of a value that a checkpoint has moved opens its file. A value
    /// that takes more than a 32nd of it may not be kept.
    pub read_cache: usize,
    /// Bytes of log after which a checkpoint begins in the background.
    pub checkpoint_after: u64,
    /// How long a lazy batch may stay invisible when nothing else is flushed.
    pub lazy_delay: Duration,
    /// Files of one checkpoint from which on the whole file system is synced at once, where that
    /// reports failures, instead of each file; `usize::MAX`: never.
    pub sync_disk_from: usize,
    /// What an open does when another program has changed files since the last clean close.
    pub outside_changes: OutsideChanges,
}

/// What an open does when another program, such as LDK's `FilesystemStoreV2`, has changed files
/// of user namespaces since the last clean close.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum OutsideChanges {
    /// Answers [`kv_core::Error::ChangedOutside`] and changes nothing.
    #[default]
    Refuse,
    /// Takes the files as they are, with the order of their times as order of creation.
    Adopt,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            segment_size: 256 << 10,
            big_value: 1 << 20,
            table_budget: 64 << 20,
            read_cache: 64 << 20,
            checkpoint_after: 8 << 20,
            lazy_delay: Duration::from_millis(900),
            sync_disk_from: 64,
            outside_changes: OutsideChanges::Refuse,
        }
    }
}

impl Settings {
    /// The segment size that is used: whole 4 KiB blocks, at least one.
    pub(crate) fn segment_len(&self) -> usize {
        self.segment_size.next_multiple_of(4096).max(4096)
    }
}
