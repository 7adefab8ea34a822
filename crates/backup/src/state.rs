//! What an installation remembers of its own backups, in the store it backs up.

use serde::{Deserialize, Serialize};

use crate::{KeptDump, Link, ObjectRef, WriterId, dump};

/// The newest version of [`BackupState`] this program reads.
pub(crate) const STATE_VERSION: u32 = 1;

/// How far this installation's chain has come. Written in the same batch that trims the log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BackupState {
    pub(crate) version: u32,
    /// This installation.
    pub writer: WriterId,
    /// Every change up to this sequence number is in the cloud.
    pub backed_up: u64,
    /// The latest stamp made or seen, for the hybrid logical clock.
    pub(crate) last_stamp: (u64, u32),
    /// The newest segment.
    pub newest: Option<Link>,
    /// The index of the newest dump.
    pub dump: Option<ObjectRef>,
    /// The newest head.
    pub head: Option<ObjectRef>,
    /// When the newest head was put, in milliseconds since the Unix epoch.
    pub last_backup: Option<u64>,
    /// Sealed bytes of the newest dump.
    pub dump_bytes: u64,
    /// Sealed bytes and number of the segments since the newest dump.
    pub segments_since_dump: (u64, u64),
    /// The newest heads seen of every writer: high-water marks.
    pub seen: Vec<ObjectRef>,
    /// The dumps behind the restore points that are kept.
    pub dumps: Dumps,
    /// The log was dropped because it had grown too large: how many changes were not in the cloud,
    /// bytes of their values, and when the oldest was made. The next backup is a dump.
    pub(crate) dropped: Option<(u64, u64, u64)>,
}

/// The dumps of this installation that count, and what may be deleted because of them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Dumps {
    /// The newest full one: delta dumps build on it.
    pub full: Option<KeptDump>,
    /// All that are kept, newest first; [`BackupState::dump`] is the first.
    pub kept: Vec<KeptDump>,
    /// For each verified dump, oldest first, until it has had its effect: when it was verified, in
    /// milliseconds since the Unix epoch, and its index. What is older than the dump, and neither it
    /// nor a later one keeps, may go after a grace.
    pub sweeps: Vec<(u64, ObjectRef)>,
}

impl Dumps {
    /// Whether a dump made at `now` would let older ones go that hold something else: no restore point
    /// of the last `window` milliseconds needs them.
    pub fn can_drop(&self, now: u64, window: u64) -> bool {
        let kept = dump::keep(self.kept.clone(), now, window).len();
        let newest = self.kept.first().map_or(0, |dump| dump.index.id.from);
        self.kept.iter().skip(kept).any(|dump| dump.index.id.from < newest)
    }
}

impl BackupState {
    pub(crate) fn new(writer: WriterId) -> Self {
        Self {
            version: STATE_VERSION,
            writer,
            backed_up: 0,
            last_stamp: (0, 0),
            newest: None,
            dump: None,
            head: None,
            last_backup: None,
            dump_bytes: 0,
            segments_since_dump: (0, 0),
            seen: Vec::new(),
            dumps: Dumps::default(),
            dropped: None,
        }
    }
}
