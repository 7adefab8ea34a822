//! What a session tells those who listen.

use backup::{Conflict, Lag, WriterId};
use serde::Serialize;

use crate::{AccountId, Finding, stores::NotUnique};

/// Something that happened. Sent to every receiver of [`crate::Session::events`] and of
/// [`crate::WalletPersistence::events`]. As JSON it is an object whose `event` is the name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Event {
    /// The wallet is unlocked.
    Unlocked,
    /// An account was added on this device (or its label changed).
    AccountAdded {
        /// Which one.
        account: AccountId,
    },
    /// An account was removed on this device.
    AccountRemoved {
        /// Which one.
        account: AccountId,
    },
    /// The wallet was restored from a cloud; it can be unlocked.
    Restored {
        /// Whose chain it was.
        writer: String,
        /// The last change it holds, by its writer's numbers.
        sequence: u64,
        /// How many changes were applied.
        changes: u64,
    },
    /// What is not yet in the clouds is more or less than when this was told last. The background
    /// task tells it before and after each backup.
    Lag {
        /// How many changes.
        records: u64,
        /// Bytes of their values.
        bytes: u64,
        /// When the oldest of them was made, in milliseconds since the Unix epoch.
        oldest: Option<u64>,
    },
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
        /// Where: `~records/accounts`, `~fields/`, or what an application calls it.
        namespace: String,
        /// Which record or field: the key it is stored under.
        key: String,
        /// Whose value, or removal, it is now.
        winner: String,
        /// Whether that is this device.
        mine: bool,
    },
    /// A record of another device has a key of a unique index that a record of this one has, too.
    /// Both stay, and queries find both. Change or remove one. Told when it is merged, and in each
    /// session that opens the object store while it is so.
    NotUnique {
        /// Which object store.
        store: String,
        /// Which index.
        index: String,
        /// The names the two are stored under.
        keys: [String; 2],
    },
    /// What another device has changed lies an hour or more in the future of this device's clock: one of
    /// the two clocks is wrong, or that of a third device from which it had the change. Nothing is lost,
    /// and what is changed from now on counts; but times are wrong. Have the clocks set. Told once in a
    /// session for each device; [`crate::Status::clock_ahead_ms`] keeps it.
    ClockAhead {
        /// Which installation.
        writer: String,
        /// How far, in milliseconds.
        ahead_ms: u64,
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

impl From<NotUnique> for Event {
    fn from(conflict: NotUnique) -> Self {
        let NotUnique { store, index, keys } = conflict;
        Self::NotUnique { store: store.to_owned(), index: index.to_owned(), keys }
    }
}

impl From<Lag> for Event {
    fn from(lag: Lag) -> Self {
        Self::Lag { records: lag.records, bytes: lag.bytes, oldest: lag.oldest }
    }
}

impl Event {
    pub(crate) fn conflict_resolved(conflict: &Conflict, namespace: String, us: WriterId) -> Self {
        Self::ConflictResolved {
            namespace,
            key: conflict.key.as_str().to_owned(),
            winner: conflict.winner.writer.to_string(),
            mine: conflict.winner.writer == us,
        }
    }
}
