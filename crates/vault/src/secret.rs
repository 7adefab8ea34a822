//! What a wallet is unlocked with.

use crate::{Passphrase, RootSecret, Words};

/// What a wallet is unlocked with: its root secret, wherever that came from, or the passphrase that
/// wraps it on this device.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Secret {
    /// The root secret: given, of words, or of a signature.
    Root(RootSecret),
    /// The passphrase set on this device.
    Passphrase(Passphrase),
}

impl From<&RootSecret> for Secret {
    fn from(root: &RootSecret) -> Self {
        Self::Root(root.clone())
    }
}

impl From<&Words> for Secret {
    fn from(words: &Words) -> Self {
        Self::Root(RootSecret::from_words(words))
    }
}

impl From<&Passphrase> for Secret {
    fn from(passphrase: &Passphrase) -> Self {
        Self::Passphrase(passphrase.clone())
    }
}
