//! Errors, one variant per different reaction of the caller.

/// Why a wallet could not be loaded or persisted. The changes that bdk holds stay staged.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The store failed, is locked or closed, or holds an entry that is no change set. Do what its
    /// own error says.
    #[error(transparent)]
    Store(#[from] kv_core::Error),
    /// Another persister has created this wallet, or has written to it since this one loaded it;
    /// nothing was written. Load the wallet again.
    #[error("bdk: the wallet was changed by another persister")]
    WrittenElsewhere,
    /// The change set is of another wallet: a descriptor or the network differs; nothing was
    /// written. Give each wallet a name of its own.
    #[error("bdk: another wallet has this name")]
    OtherWallet,
}

impl From<kv_core::InvalidName> for Error {
    fn from(source: kv_core::InvalidName) -> Self {
        Self::Store(source.into())
    }
}
