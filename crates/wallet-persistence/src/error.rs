//! Errors, and the one thing every caller asks of them: what now?

use std::{io, path::PathBuf, sync::Arc};

use backup::Refusal;
use cloud::CloudError;

use crate::{BadAccountId, BadAssetId, BadData, BadProfileValue, KvClass, NewerState};

/// A result with this crate's [`enum@Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why a wallet could not do what was asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The session is locked. Unlock again.
    #[error("the wallet is locked")]
    Locked,
    /// The local store failed; its error says what to do.
    #[error("the local store failed")]
    Store(#[from] kv_core::Error),
    /// The typed records failed; their error says what to do.
    #[error("the local records failed")]
    Records(#[from] records::Error),
    /// A backup could not be made or read; its error says what to do.
    #[error("the backup failed")]
    Backup(#[from] backup::Error),
    /// The cloud failed; its error says what to do. Nothing is lost locally.
    #[error("the cloud failed")]
    Cloud(#[from] CloudError),
    /// No cloud is set. Set one.
    #[error("no cloud is set for this wallet")]
    NoCloud,
    /// A stored address of a cloud cannot be understood. Set it again.
    #[error("the address of a cloud cannot be understood")]
    BadCloudUrl(#[from] cloud::BadCloudUrl),
    /// Not an account id. Correct it.
    #[error("not an account")]
    BadAccountId(#[from] BadAccountId),
    /// Not a value for this profile field. Correct it.
    #[error("not a valid value")]
    BadProfileValue(#[from] BadProfileValue),
    /// Not an asset. Correct it.
    #[error("not an asset")]
    BadAssetId(#[from] BadAssetId),
    /// Data that cannot be kept as it is. Correct it.
    #[error("not data that can be kept")]
    BadData(#[from] BadData),
    /// The namespace has the other class, and nothing was changed. Use it as it is, or move its entries
    /// with [`crate::Session::reclass_kv`].
    #[error("the entries of {namespace} are {class}")]
    OtherClass {
        /// Which namespace.
        namespace: String,
        /// The class it has.
        class: KvClass,
    },
    /// Two devices that did not know of each other have chosen different classes for a namespace, and
    /// both have written entries. Put them together with [`crate::Session::reclass_kv`].
    #[error("{namespace} has entries that merge and entries with a single writer")]
    TwoClasses {
        /// Which namespace.
        namespace: String,
    },
    /// A key has one value that merges and another one with a single writer, and nothing was moved.
    /// Remove one of them.
    #[error("the key {key} of {namespace} has two values, one of each class")]
    KeyOfTwoClasses {
        /// Which namespace.
        namespace: String,
        /// Which key.
        key: String,
    },
    /// A copy of the wallet is not what it should be. Remove what was begun, and try again.
    #[error("the wallet could not be copied")]
    Copy(#[source] kv_core::CopyError),
    /// This device may not do that; the source says why, and what to do.
    #[error("this device may not do that")]
    Refused(#[from] Refusal),
    /// The device to depose has written more than was restored here. Restore again, into another
    /// folder, and take over from there.
    #[error(
        "device {writer} has written up to change {sequence} since this one was restored, which a takeover would lose"
    )]
    BehindTheFence {
        /// The other device.
        writer: String,
        /// The last of its changes that is acknowledged.
        sequence: u64,
    },
    /// Too few clouds answered or could be fenced. Nothing is taken over; try again when the
    /// missing ones answer.
    #[error("a takeover needs {needed} clouds and has {held}; missing: {missing}")]
    TakeoverIncomplete {
        /// In how many it succeeded.
        held: u32,
        /// In how many it must.
        needed: u32,
        /// The names of the others.
        missing: String,
    },
    /// Another device took over at the same moment. Decide which one, and try again there.
    #[error("device {writer} has taken over meanwhile, in epoch {epoch}")]
    TakenOverMeanwhile {
        /// The other device.
        writer: String,
        /// The epoch it holds.
        epoch: u32,
    },
    /// A cloud shows less than it did. Look at the findings; use another cloud, or take note of them
    /// and try again.
    #[error("the cloud {cloud} shows an older state than before")]
    Suspicious {
        /// Which cloud.
        cloud: String,
    },
    /// Something is not in the clouds yet, or is not acknowledged by the fence. Back up first.
    #[error("not everything is acknowledged in the clouds")]
    NotAcknowledged,
    /// Too few clouds can keep a second writer out, so data that has a single writer is not taken where
    /// it has to be replicated. Use another cloud, or write it without waiting for the clouds.
    #[error("the cloud {cloud} cannot fence: it does not {missing}")]
    CannotFence {
        /// Which cloud.
        cloud: String,
        /// What it does not do.
        missing: &'static str,
    },
    /// What the clouds hold is not what was to be confirmed; nothing was deleted. Look again, and
    /// confirm that.
    #[error("what the clouds hold is not what was confirmed")]
    NotConfirmed,
    /// More is known to exist than could be restored here, and nothing was restored. Ask all clouds of
    /// the wallet, and for no older moment; or restore it all the same with
    /// [`crate::WalletPersistence::restore_stale_at`], to look at it: what came later is lost there,
    /// and a Lightning node must never be started from it.
    #[error("more is known to exist: {}", crate::restore::list_newer(newer))]
    Stale {
        /// From when the state is that would be restored, in milliseconds since the Unix epoch.
        time: u64,
        /// What is known of and would not be restored.
        newer: Vec<NewerState>,
    },
    /// A background task ended badly. Restart the program; report it.
    #[error("a background task failed")]
    Task,
}

/// Why there is no session.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum UnlockError {
    /// A well-formed key, but not this wallet's. Ask the user for the right one.
    #[error("this key belongs to another wallet")]
    OtherWallet,
    /// Not the passphrase of this device. Ask again; the words or the key always open the wallet.
    #[error("the passphrase is wrong")]
    WrongPassphrase,
    /// No passphrase is set on this device. Ask for the words or the key.
    #[error("no passphrase is set for this wallet on this device")]
    NoPassphrase,
    /// There is no wallet here. Create one, or restore.
    #[error("there is no wallet here")]
    Empty,
    /// There is something here already; nothing was changed. Take another folder.
    #[error("there is already something here")]
    NotEmpty,
    /// The wallet was moved. Open it where it is now; nothing here counts any more.
    #[error("the wallet was moved to {to}")]
    Moved {
        /// The path of its folder or file.
        to: String,
    },
    /// A move of the wallet has sealed this place and not yet named the new one. Make the same call of
    /// [`crate::WalletPersistence::move_to`] again; if something else stands at the new place, remove
    /// that before. A move that can never end is given up by
    /// [`crate::WalletPersistence::move_to_instead`].
    #[error("the wallet is being moved to {to}, and that has not ended")]
    MoveUnfinished {
        /// The path of its folder or file to be.
        to: String,
    },
    /// Open in another process. Close that first.
    #[error("the wallet is open elsewhere")]
    InUse,
    /// Written by a newer version. Upgrade this program.
    #[error("the wallet's format {found} is too new, this version knows formats up to {newest}")]
    TooNew {
        /// The format found.
        found: u32,
        /// The newest format known here.
        newest: u32,
    },
    /// The wallet was handed over to another device and does not run here. Go on there, or take it
    /// back with [`crate::WalletPersistence::take_back`].
    #[error("this wallet was handed over to another device")]
    HandedOver,
    /// The wallet's files are damaged. Restore from a backup into another folder.
    #[error("the wallet is damaged")]
    Damaged {
        /// What does not fit.
        source: kv_core::Error,
    },
    /// The folder could not be read or written.
    #[error("cannot use the folder {}", path.display())]
    Folder {
        /// Which folder or file.
        path: PathBuf,
        /// What the operating system said.
        source: Arc<io::Error>,
    },
    /// Anything else that a session's calls can answer too.
    #[error(transparent)]
    Other(#[from] Error),
}

/// What a person can do about an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Reaction {
    /// Use another key or other words.
    OtherKey,
    /// Type the passphrase again, or use the words or the key.
    OtherPassphrase,
    /// Restore from a backup.
    Restore,
    /// Close the other program.
    CloseOther,
    /// Upgrade this program.
    Upgrade,
    /// Free space on the disk or in the cloud.
    FreeSpace,
    /// Make the folder writable.
    MakeWritable,
    /// There is nothing here: create or restore, or use another name.
    Missing,
    /// It was moved: use its new place.
    Elsewhere,
    /// It is being moved: let that end.
    EndMove,
    /// There is something here already: use another place.
    Exists,
    /// The cloud: check its address and state, then try again.
    CheckCloud,
    /// What the cloud holds is damaged: use another cloud.
    OtherCloud,
    /// Correct what was given.
    Correct,
    /// Take over, or go on where another device has taken over.
    TakeOver,
    /// Restore the newest state into another folder, and take over there.
    RestoreAgain,
    /// Ask all clouds for the newest state, or accept an older one.
    AcceptStale,
    /// Look at the findings.
    LookAtFindings,
    /// Use the entries as what they are, or move them to the other class.
    Reclass,
    /// Try again; report it if it stays.
    Retry,
}

impl Error {
    /// Whether it says that an object in a cloud is not what it was, or not there; not that it could
    /// not be asked for.
    pub(crate) fn says_lost(&self) -> bool {
        use backup::Error as Backup;
        matches!(
            self,
            Self::Backup(
                Backup::Missing { .. } | Backup::Damaged { .. } | Backup::BrokenChain { .. }
            ) | Self::Cloud(CloudError::Damaged { .. })
        )
    }

    /// What a person can do.
    pub fn reaction(&self) -> Reaction {
        match self {
            Self::Store(error) => store_reaction(error),
            Self::Records(records::Error::Store { source, .. }) => store_reaction(source),
            Self::Records(records::Error::Damaged { .. }) => Reaction::Restore,
            Self::Records(records::Error::TooNew { .. }) => Reaction::Upgrade,
            Self::Records(_)
            | Self::BadAccountId(_)
            | Self::BadProfileValue(_)
            | Self::BadAssetId(_)
            | Self::BadData(_)
            | Self::BadCloudUrl(_)
            | Self::NotConfirmed => Reaction::Correct,
            Self::Backup(error) => match error {
                backup::Error::Store(error) => store_reaction(error),
                backup::Error::NoBackup | backup::Error::NoRestorePoint { .. } => Reaction::Missing,
                backup::Error::Differs { .. } => Reaction::Restore,
                backup::Error::WrongKey { .. } => Reaction::OtherKey,
                backup::Error::TooNew { .. } => Reaction::Upgrade,
                backup::Error::Damaged { .. }
                | backup::Error::Missing { .. }
                | backup::Error::BrokenChain { .. } => Reaction::OtherCloud,
                backup::Error::NotEmpty => Reaction::Exists,
                _ => Reaction::CheckCloud,
            },
            Self::Cloud(CloudError::Full { .. }) => Reaction::FreeSpace,
            Self::Cloud(CloudError::Damaged { .. }) => Reaction::OtherCloud,
            Self::Cloud(_) | Self::NoCloud => Reaction::CheckCloud,
            Self::Copy(kv_core::CopyError::Store { source, .. }) => store_reaction(source),
            Self::Copy(kv_core::CopyError::NotEmpty) => Reaction::Exists,
            Self::Locked | Self::Copy(_) | Self::Task => Reaction::Retry,
            Self::Refused(_) | Self::TakenOverMeanwhile { .. } => Reaction::TakeOver,
            Self::BehindTheFence { .. } => Reaction::RestoreAgain,
            Self::TakeoverIncomplete { .. } | Self::NotAcknowledged => Reaction::CheckCloud,
            Self::CannotFence { .. } => Reaction::OtherCloud,
            Self::Suspicious { .. } => Reaction::LookAtFindings,
            Self::Stale { .. } => Reaction::AcceptStale,
            Self::OtherClass { .. } | Self::TwoClasses { .. } | Self::KeyOfTwoClasses { .. } => {
                Reaction::Reclass
            }
        }
    }
}

impl UnlockError {
    /// What a person can do.
    pub fn reaction(&self) -> Reaction {
        match self {
            Self::OtherWallet => Reaction::OtherKey,
            Self::WrongPassphrase | Self::NoPassphrase => Reaction::OtherPassphrase,
            Self::Empty => Reaction::Missing,
            Self::NotEmpty => Reaction::Exists,
            Self::Moved { .. } => Reaction::Elsewhere,
            Self::MoveUnfinished { .. } => Reaction::EndMove,
            Self::InUse => Reaction::CloseOther,
            Self::HandedOver => Reaction::TakeOver,
            Self::TooNew { .. } => Reaction::Upgrade,
            Self::Damaged { .. } => Reaction::Restore,
            Self::Folder { source, .. } => match source.kind() {
                io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Reaction::FreeSpace,
                io::ErrorKind::ReadOnlyFilesystem | io::ErrorKind::PermissionDenied => {
                    Reaction::MakeWritable
                }
                _ => Reaction::Correct,
            },
            Self::Other(error) => error.reaction(),
        }
    }

    pub(crate) fn folder(path: impl Into<PathBuf>, source: io::Error) -> Self {
        Self::Folder { path: path.into(), source: Arc::new(source) }
    }
}

fn store_reaction(error: &kv_core::Error) -> Reaction {
    use kv_core::Error as E;
    match error {
        E::Corrupt { .. } | E::ChangedOutside { .. } => Reaction::Restore,
        E::InUse { .. } => Reaction::CloseOther,
        E::TooNew { .. } => Reaction::Upgrade,
        E::WrongKey { .. } => Reaction::OtherKey,
        E::Full { .. } => Reaction::FreeSpace,
        E::ReadOnly { .. } => Reaction::MakeWritable,
        E::InvalidName { .. } => Reaction::Correct,
        E::NotFound { .. } => Reaction::Missing,
        E::Refused { .. } | E::NotReplicated { .. } => Reaction::TakeOver,
        _ => Reaction::Retry,
    }
}

impl From<vault::UnlockError> for UnlockError {
    fn from(error: vault::UnlockError) -> Self {
        match error {
            vault::UnlockError::OtherWallet => Self::OtherWallet,
            vault::UnlockError::WrongPassphrase => Self::WrongPassphrase,
            vault::UnlockError::NoPassphrase => Self::NoPassphrase,
            vault::UnlockError::Damaged { source } => Self::Damaged { source },
            vault::UnlockError::Empty => Self::Empty,
            vault::UnlockError::NotEmpty => Self::NotEmpty,
            vault::UnlockError::TooNew { found, newest } => Self::TooNew { found, newest },
            vault::UnlockError::InUse => Self::InUse,
            vault::UnlockError::Store(error) => error.into(),
            _ => Self::Other(Error::Task),
        }
    }
}

impl From<kv_core::Error> for UnlockError {
    fn from(error: kv_core::Error) -> Self {
        match error {
            kv_core::Error::InUse { .. } => Self::InUse,
            kv_core::Error::TooNew { found, newest, .. } => Self::TooNew { found, newest },
            // Nobody but this program has reason to change a sealed value.
            kv_core::Error::Corrupt { .. } | kv_core::Error::ChangedOutside { .. } => {
                Self::Damaged { source: error }
            }
            other => Self::Other(Error::Store(other)),
        }
    }
}

impl From<records::Error> for UnlockError {
    fn from(error: records::Error) -> Self {
        match error {
            records::Error::Store { source, .. } => source.into(),
            other => Self::Other(other.into()),
        }
    }
}

impl From<backup::Error> for UnlockError {
    fn from(error: backup::Error) -> Self {
        match error {
            backup::Error::Store(error) => error.into(),
            other => Self::Other(other.into()),
        }
    }
}

impl From<CloudError> for UnlockError {
    fn from(error: CloudError) -> Self {
        Self::Other(error.into())
    }
}

/// An error and its sources, as one line.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(error) = source {
        text.push_str(": ");
        text.push_str(&error.to_string());
        source = error.source();
    }
    text
}
