//! What a session tells those who listen.

use crate::AccountId;

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
    /// The session is locked; nothing follows.
    Locked,
}
