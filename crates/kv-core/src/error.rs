//! Errors, one variant per different reaction of the caller.

use std::{fmt, io, sync::Arc};

use crate::InvalidName;

/// A result with this crate's [`enum@Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// An error of any kind that can be shared: one failed flush fails many commits.
pub type BoxError = Arc<dyn std::error::Error + Send + Sync + 'static>;

/// Why a store could not do what was asked. `store` is a short static name such as "fs".
///
/// Cloning is cheap: one failed flush fails every batch of its group.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The operating system failed; whether the change took effect is unknown. Reopen the store.
    #[error("{store}: i/o failed while {during}")]
    Io {
        /// Which store.
        store: &'static str,
        /// What it was doing.
        during: Operation,
        /// What the operating system said.
        source: Arc<io::Error>,
    },
    /// Stored data is not what was written. Restore from a backup; `verify` tells how much is hit.
    #[error("{store}: stored data is damaged")]
    Corrupt {
        /// Which store.
        store: &'static str,
        /// What does not fit.
        source: BoxError,
    },
    /// Another process, or another handle in this one, has the store open. Close that first.
    #[error("{store}: already open, here or in another process")]
    InUse {
        /// Which store.
        store: &'static str,
    },
    /// Written by a newer version. Upgrade this program.
    #[error("{store}: format {found} is too new, this version knows formats up to {newest}")]
    TooNew {
        /// Which store.
        store: &'static str,
        /// The format found.
        found: u32,
        /// The newest format known here.
        newest: u32,
    },
    /// The key does not belong to this data. Ask the user for the right one.
    #[error("{store}: the key does not fit this data")]
    WrongKey {
        /// Which store.
        store: &'static str,
    },
    /// There is no room for the change; nothing was written. Free space, then try again: removing
    /// and closing still work.
    #[error("{store}: no space left")]
    Full {
        /// Which store.
        store: &'static str,
    },
    /// The folder or medium cannot be written to. Make it writable, then open again.
    #[error("{store}: the folder cannot be written to")]
    ReadOnly {
        /// Which store.
        store: &'static str,
        /// What the operating system said.
        source: Arc<io::Error>,
    },
    /// The store was locked and its keys are gone. Unlock again.
    #[error("{store}: locked")]
    Locked {
        /// Which store.
        store: &'static str,
    },
    /// A key that had to be absent is there; nothing was written. Read it and decide.
    #[error("{store}: a key that must be absent exists")]
    Precondition {
        /// Which store.
        store: &'static str,
    },
    /// A name breaks the rules. Change the name.
    #[error("invalid name")]
    InvalidName {
        /// Which rule.
        #[from]
        source: InvalidName,
    },
    /// A file was changed by another program while the store was closed. Adopt it or restore.
    #[error("{store}: a file was changed outside")]
    ChangedOutside {
        /// Which store.
        store: &'static str,
        /// The file, relative to the store's folder.
        file: String,
    },
    /// There is nothing under this name. Use another name, or restore.
    #[error("{store}: not found")]
    NotFound {
        /// Which store.
        store: &'static str,
    },
    /// Too many changes wait for a cloud; this one was not written. Try again when the cloud is back.
    #[error("{store}: too many changes wait for the cloud")]
    Backlog {
        /// Which store.
        store: &'static str,
    },
    /// The store was closed. Open it again.
    #[error("{store}: closed")]
    Closed {
        /// Which store.
        store: &'static str,
    },
    /// A layer above the store does not take this change here; nothing was written, and the rest
    /// goes on. The source says what to do.
    #[error("{store}: the change is refused")]
    Refused {
        /// Which layer.
        store: &'static str,
        /// Why.
        source: BoxError,
    },
    /// The change is durable here, but was not acknowledged elsewhere and never will be as it stands:
    /// do not act on it. The source says what to do; the store goes on.
    #[error("{store}: the change is on this device only")]
    NotReplicated {
        /// Which layer.
        store: &'static str,
        /// Why.
        source: BoxError,
    },
    /// An earlier write failed, so no further change is taken; reads go on. Reopen the store.
    #[error("{store}: an earlier write failed, reopen to go on")]
    Poisoned {
        /// Which store.
        store: &'static str,
    },
}

/// What a store was doing when the operating system failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Operation {
    /// Opening or recovering the store.
    Open,
    /// Reading a value or a listing.
    Read,
    /// Writing to the log.
    Write,
    /// Making writes durable.
    Sync,
    /// Moving data from the log to its place.
    Checkpoint,
    /// Closing the store.
    Close,
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Open => "opening",
            Self::Read => "reading",
            Self::Write => "writing",
            Self::Sync => "syncing",
            Self::Checkpoint => "checkpointing",
            Self::Close => "closing",
        })
    }
}

impl Error {
    /// Damage, described by any error or text.
    pub fn corrupt(
        store: &'static str,
        what: impl Into<Box<dyn std::error::Error + Send + Sync>>,
    ) -> Self {
        Self::Corrupt { store, source: Arc::from(what.into()) }
    }

    /// A failure of the operating system; full disks and read-only media get their own variants.
    pub fn io(store: &'static str, during: Operation, source: io::Error) -> Self {
        match source.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Self::Full { store },
            io::ErrorKind::ReadOnlyFilesystem | io::ErrorKind::PermissionDenied => {
                Self::ReadOnly { store, source: Arc::new(source) }
            }
            _ => Self::Io { store, during, source: Arc::new(source) },
        }
    }

    /// Whether the batch was refused before anything happened: it is surely absent and the store goes on.
    pub fn is_refusal(&self) -> bool {
        matches!(
            self,
            Self::Full { .. }
                | Self::Backlog { .. }
                | Self::Locked { .. }
                | Self::Precondition { .. }
                | Self::InvalidName { .. }
                | Self::Closed { .. }
                | Self::Refused { .. }
                | Self::Poisoned { .. }
        )
    }
}
