//! Setting, changing and removing the passphrase: one small batch that replaces the header.

use std::sync::PoisonError;

use kv_core::{Error, KvStore, Result};

use super::{STORE, SealedStore};
use crate::{
    Passphrase, RootSecret, Secret, UnlockError, header::Header, stretch::Cost, wrap::WrappedKey,
};

impl SealedStore {
    /// Sets the passphrase that unlocks this wallet on this device, or changes it. `current` is
    /// what unlocks it now: the root secret, or the passphrase until now.
    ///
    /// What happens is one atomic write: the wallet opens with the old passphrase or the new one,
    /// whatever stops it, and always with the root secret. A copy of the disk from before still
    /// opens with the old one.
    pub fn set_passphrase(
        &self,
        current: impl Into<Secret>,
        new: &Passphrase,
    ) -> Result<(), UnlockError> {
        self.set_passphrase_at(&current.into(), new, Cost::USUAL)
    }

    /// Removes the passphrase, if there is one: the root secret alone opens the wallet then. It is
    /// asked for so that nobody locks themselves out.
    pub fn remove_passphrase(&self, root: &RootSecret) -> Result<(), UnlockError> {
        let header = self.header();
        header.unlock(&Secret::Root(root.clone()))?;
        if header.has_passphrase() { Ok(self.replace_header(None)?) } else { Ok(()) }
    }

    /// Whether the wallet in a store that is not unlocked opens with a passphrase.
    pub fn asks_for_passphrase(inner: &dyn KvStore) -> Result<bool, UnlockError> {
        Ok(Header::read(inner)?.0.has_passphrase())
    }

    /// Whether a passphrase unlocks this wallet on this device.
    pub fn has_passphrase(&self) -> bool {
        self.header().has_passphrase()
    }

    /// Wraps the key anew if it was wrapped more weakly than is usual now. If there is no room for
    /// that, the wallet opens all the same, and the next unlock tries again.
    pub(super) fn strengthen(&self, root: &RootSecret, secret: &Secret) -> Result<(), UnlockError> {
        let Secret::Passphrase(passphrase) = secret else { return Ok(()) };
        let header = self.header();
        let Some(cost) = header.wrapped()?.and_then(|wrapped| wrapped.stronger()) else {
            return Ok(());
        };
        let wrapped = WrappedKey::wrap(root, &header.wallet_tag, passphrase, cost)?;
        match self.replace_header(Some(&wrapped)) {
            Ok(()) => tracing::info!(store = STORE, "the key was wrapped anew"),
            Err(error) if error.is_refusal() => {
                tracing::warn!(store = STORE, %error, "the key could not be wrapped anew");
            }
            Err(error) => return Err(error.into()),
        }
        Ok(())
    }

    pub(super) fn set_passphrase_at(
        &self,
        current: &Secret,
        new: &Passphrase,
        cost: Cost,
    ) -> Result<(), UnlockError> {
        // A locked wallet answers at once, not after the stretching.
        self.with(|_| Ok(())).map_err(UnlockError::Store)?;
        let header = self.header();
        let (root, _) = header.unlock(current)?;
        let wrapped = WrappedKey::wrap(&root, &header.wallet_tag, new, cost)?;
        Ok(self.replace_header(Some(&wrapped))?)
    }

    /// Replaces both copies in one batch, and waits until that is durable.
    fn replace_header(&self, wrapped: Option<&WrappedKey>) -> Result<()> {
        let commit = self.with(|unlocked| {
            if unlocked.names().has_failed() {
                return Err(Error::Poisoned { store: STORE });
            }
            let mut header = self.header.lock().unwrap_or_else(PoisonError::into_inner);
            let next = header.next(wrapped);
            let commit = self.inner.submit(next.write());
            let refused = commit.receipt().outcome().is_some_and(|outcome| outcome.is_err());
            if !refused {
                *header = next;
            }
            Ok(commit)
        })?;
        commit.wait()
    }

    fn header(&self) -> Header {
        self.header.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

#[cfg(test)]
mod tests;
