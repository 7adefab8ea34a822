//! What a session tells those who listen.

use backup::{Conflict, WriterId};

use crate::{AccountId, Finding};

/// Something that happened. Sent to every receiver of [`crate::Session::events`].
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// An account was added (or its label changed).
    AccountAdded(AccountId),
    /// An account was removed.
    AccountRemoved(AccountId),
    /// Everything up to this sequence number is in the cloud.
    BackedUp {
        /// The last sequence number that is in the cloud.
        sequence: u64,
        /// How many bytes went up.
        bytes: u64,
    },
    /// A backup failed; it is tried again with the next interval. Nothing is lost locally.
    BackupFailed {
        /// Why, as a chain of messages.
        reason: String,
    },
    /// The background task could not look what other devices have put, or not merge what one of them
    /// has; it is tried again with the next interval.
    PollFailed {
        /// Why, as a chain of messages.
        reason: String,
    },
    /// Changes of another device are here now: read again what you show.
    Merged {
        /// Which installation.
        writer: String,
        /// Up to which of its changes everything is here.
        sequence: u64,
        /// How many keys have another value now, or none.
        changes: u64,
    },
    /// This device and another one changed the same thing, and neither had seen the other's
    /// change. The later one counts, on every device.
    ConflictResolved {
        /// Where: `~records/accounts`, `~fields/`.
        namespace: String,
        /// Which record or field: the key it is stored under.
        key: String,
        /// Whose value, or removal, it is now.
        winner: String,
        /// Whether that is this device.
        mine: bool,
    },
    /// A dump failed, or the deleting of what is no longer needed; it is tried again later. Backups
    /// go on.
    DumpFailed {
        /// Why, as a chain of messages.
        reason: String,
    },
    /// A cloud or another device did what an honest one does not do. Nothing was applied or undone;
    /// [`crate::Status::findings`] keeps it.
    Suspicious(Finding),
    /// Data that has a single writer is not taken any more; the rest goes on.
    SingleWriterStopped {
        /// Why, and what to do.
        reason: String,
    },
    /// The session is locked; nothing follows.
    Locked,
}

impl Event {
    pub(crate) fn conflict_resolved(conflict: &Conflict, us: WriterId) -> Self {
        Self::ConflictResolved {
            namespace: format!("{}/{}", conflict.ns.primary(), conflict.ns.secondary()),
            key: conflict.key.as_str().to_owned(),
            winner: conflict.winner.writer.to_string(),
            mine: conflict.winner.writer == us,
        }
    }
}
