//! What an unlocked wallet does with its secrets: the passphrase of this device, keys for applications.

use vault::{AppKey, Passphrase, RootSecret, Secret};

use crate::{Result, Session, UnlockError, wallet::blocking};

impl Session {
    /// Sets or changes the passphrase that unlocks this wallet on this device; `current` is what
    /// unlocks it now. It replaces no words: a device that is lost needs those. Resolves when the
    /// change is durable; stopped before, the old passphrase opens the wallet.
    pub async fn set_passphrase(
        &self,
        current: impl Into<Secret>,
        new: &Passphrase,
    ) -> Result<(), UnlockError> {
        self.tower()?;
        let (inner, current, new) = (self.inner.clone(), current.into(), new.clone());
        blocking(move || Ok(inner.tower.sealed.set_passphrase(current, &new)?)).await
    }

    /// Removes the passphrase of this device, if there is one. The root secret is asked for so that
    /// nobody locks themselves out.
    pub async fn remove_passphrase(&self, root: &RootSecret) -> Result<(), UnlockError> {
        self.tower()?;
        let (inner, root) = (self.inner.clone(), root.clone());
        blocking(move || Ok(inner.tower.sealed.remove_passphrase(&root)?)).await
    }

    /// Whether a passphrase unlocks this wallet on this device.
    pub fn has_passphrase(&self) -> Result<bool> {
        Ok(self.tower()?.sealed.has_passphrase())
    }

    /// A key for the application's own use, one per label: made from the root secret, so that the
    /// words alone bring it back. An LDK node takes its seed from `app_key("ldk-seed")`.
    pub fn app_key(&self, label: &str) -> Result<AppKey> {
        Ok(self.tower()?.sealed.keys()?.app_key(label))
    }
}
