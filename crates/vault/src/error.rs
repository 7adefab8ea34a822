//! Why a sealed store could not be unlocked.

use kv_core::Error;

/// Why [`SealedStore::open`](crate::SealedStore::open) or
/// [`SealedStore::create`](crate::SealedStore::create) gave no store. All of it is decided locally.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum UnlockError {
    /// A well-formed key, but the store's tag belongs to another one. Ask for the right key.
    #[error("this key belongs to another wallet")]
    OtherWallet,
    /// The header is intact, and this passphrase does not open it. Ask again.
    #[error("the passphrase is wrong")]
    WrongPassphrase,
    /// No passphrase is set on this device. Ask for the words or the key.
    #[error("no passphrase is set for this wallet on this device")]
    NoPassphrase,
    /// The header is damaged beyond its second copy, or the key fits and something does not
    /// authenticate. Restore from a backup.
    #[error("the sealed store is damaged")]
    Damaged {
        /// What does not fit.
        source: Error,
    },
    /// There is no wallet in this store. Create one, or restore.
    #[error("there is no wallet here")]
    Empty,
    /// There is already something in this store, so no wallet was created. Open it, or take an
    /// empty store.
    #[error("there is already something here")]
    NotEmpty,
    /// Written by a newer version. Upgrade this program.
    #[error("sealed format {found} is too new, this version knows formats up to {newest}")]
    TooNew {
        /// The format found.
        found: u32,
        /// The newest format known here.
        newest: u32,
    },
    /// Open elsewhere. Close that first.
    #[error("the store is open elsewhere")]
    InUse,
    /// The store below failed; its error says what to do.
    #[error("the store below failed")]
    Store(#[source] Error),
}

/// For what happens once the wallet's tag agreed: what does not authenticate then is damaged.
impl From<Error> for UnlockError {
    fn from(error: Error) -> Self {
        match error {
            Error::Corrupt { .. } | Error::ChangedOutside { .. } | Error::WrongKey { .. } => {
                Self::Damaged { source: error }
            }
            Error::TooNew { found, newest, .. } => Self::TooNew { found, newest },
            Error::InUse { .. } => Self::InUse,
            _ => Self::Store(error),
        }
    }
}
