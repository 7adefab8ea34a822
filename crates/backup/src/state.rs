//! What an installation remembers of its own backups, in the store it backs up.

use serde::{Deserialize, Serialize};

use crate::{Link, ObjectRef, WriterId};

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
    /// The index of the newest full dump.
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
        }
    }
}
