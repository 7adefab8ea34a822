//! The numbers a caller may choose.

use std::time::Duration;

/// Plain numbers; [`Settings::default`] suits a wallet.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Settings {
    /// Bytes of the first log segments, preallocated. Under load they grow, up to 64 times this. At
    /// least 4 KiB.
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
    /// Bytes of log after which a checkpoint begins in the background. If so few big values are
    /// written over and over that most of the log is out of date, it may wait until the log has 32
    /// times as many; at 40 times as many writers wait for it. What the log needs stays preallocated,
    /// for the next open, too.
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

/// Keys that changed since the last checkpoint from which on it does not wait for a longer log: an
/// open after a crash would take longer and longer.
const MANY_KEYS: usize = 16 << 10;

/// What has gathered since the last checkpoint.
#[derive(Debug, Clone, Copy)]
pub(crate) struct LogState {
    pub(crate) bytes: u64,
    /// Bytes of log that make a checkpoint due.
    pub(crate) due_at: u64,
    /// Bytes of values that are in the log only.
    pub(crate) memory: u64,
    pub(crate) changed_keys: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            segment_size: 256 << 10,
            big_value: 1 << 20,
            table_budget: 96 << 20,
            read_cache: 64 << 20,
            checkpoint_after: 8 << 20,
            lazy_delay: Duration::from_millis(900),
            sync_disk_from: 64,
            outside_changes: OutsideChanges::Refuse,
        }
    }
}

impl Settings {
    /// The size of a new segment when the log has this many bytes since the last checkpoint: whole
    /// 4 KiB blocks, at least one. A quarter of them, so that there are few segments, and growing
    /// in steps, so that old ones fit again.
    pub(crate) fn segment_len(&self, log_bytes: u64) -> usize {
        let first = self.segment_size.next_multiple_of(4096).max(4096);
        let mut len = first;
        while len < first.saturating_mul(64) && (len as u64) < log_bytes / 4 {
            len = len.saturating_mul(2);
        }
        len
    }

    /// Whether a checkpoint should begin.
    pub(crate) fn wants_checkpoint(&self, log: LogState) -> bool {
        // Most of the log is worth moving, or it is long.
        let due = log.due_at.max(log.memory.saturating_mul(4).min(self.longest_log()));
        log.memory >= self.table_budget as u64 / 4 * 3
            || log.bytes >= due
            || (log.bytes >= log.due_at && log.changed_keys >= MANY_KEYS)
    }

    /// Bytes that the log may have before a checkpoint is due, whatever is in it.
    fn longest_log(&self) -> u64 {
        self.checkpoint_after.saturating_mul(32)
    }

    /// Bytes of log from which on writers wait for a checkpoint.
    pub(crate) fn most_log(&self) -> u64 {
        self.longest_log().saturating_add(self.longest_log() / 4)
    }

    /// Bytes of retired segments that are kept to be used again: as many as the longest log of a
    /// store with so many bytes of values.
    pub(crate) fn pool_bytes(&self, value_bytes: u64) -> u64 {
        self.checkpoint_after.max(value_bytes.saturating_mul(4).min(self.longest_log()))
    }
}
