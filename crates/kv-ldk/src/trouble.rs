//! What goes wrong, in LDK's words and in ours.

use kv_core::{Error, Lag};
use lightning::io::{self, ErrorKind};

/// Why a [`crate::ReplicatedPersister`] could not be opened.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// Commits of this store do not wait for a cloud. Give it one where those of monitors do, such as
    /// `Session::kv_replicated`.
    #[error("the store does not wait for a cloud")]
    NotReplicated,
    /// Other devices change what is in this store, so it must not hold channels. Give it one with a
    /// single writer, such as `Session::kv_replicated`.
    #[error("the store merges what several devices write")]
    Merges,
    /// The cloud does not have everything that is durable here, so no channel may go on yet. Wait
    /// until it is in reach again, or with [`crate::ReplicatedPersister::open_when_replicated`].
    #[error("{} changes are not in the cloud yet", lag.records)]
    NotYetReplicated {
        /// How much is missing.
        lag: Lag,
    },
    /// The store failed or was closed while its changes were waited for. Do what its error says.
    #[error(transparent)]
    Store(#[from] Error),
}

/// Our error as LDK's traits want it: a kind, and our words, since LDK's errors hold no other ones
/// unless somebody turns on the standard library for them.
pub(crate) fn io_error(error: Error) -> io::Error {
    let kind = match &error {
        Error::NotFound { .. } => ErrorKind::NotFound,
        Error::InvalidName { .. } => ErrorKind::InvalidInput,
        Error::Corrupt { .. }
        | Error::WrongKey { .. }
        | Error::TooNew { .. }
        | Error::ChangedOutside { .. } => ErrorKind::InvalidData,
        Error::ReadOnly { .. } => ErrorKind::PermissionDenied,
        Error::Precondition { .. } => ErrorKind::AlreadyExists,
        _ => ErrorKind::Other,
    };
    let mut words = error.to_string();
    let mut cause = std::error::Error::source(&error);
    while let Some(error) = cause {
        words = format!("{words}: {error}");
        cause = error.source();
    }
    io::Error::new(kind, words)
}
