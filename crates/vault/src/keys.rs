//! The key tree: every key of a wallet, derived once from the root secret.

use std::{fmt, sync::Arc};

use zeroize::Zeroizing;

use crate::{ContentKey, RootSecret, hidden::NameKey, kdf, mac::MacKey, wipe::wiped};

/// All keys of one wallet. Clones share them; they are wiped when the last clone is dropped.
#[derive(Clone)]
pub struct Keys(Arc<Tree>);

struct Tree {
    wallet_tag: [u8; 16],
    wallet_id: [u8; 16],
    cloud_tag: [u8; 16],
    at_rest_content: ContentKey,
    at_rest_names: NameKey,
    backup_content: ContentKey,
    digest: MacKey,
    cloud_identity: Zeroizing<[u8; 32]>,
    app: Zeroizing<[u8; 32]>,
}

/// A key of an application. Wiped when dropped; `Debug` does not show it.
#[derive(Clone)]
pub struct AppKey(Box<Zeroizing<[u8; 32]>>);

impl AppKey {
    /// The bytes; a copy of them is the caller's to wipe.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl Keys {
    /// Derives the whole tree.
    pub fn derive(root: &RootSecret) -> Self {
        let root = root.as_bytes();
        let tree = || Tree {
            wallet_tag: *kdf::derive(root, kdf::WALLET_TAG),
            wallet_id: *kdf::derive(root, kdf::WALLET_ID),
            cloud_tag: *kdf::derive(root, kdf::CLOUD_TAG),
            at_rest_content: ContentKey::new(&kdf::derive(root, kdf::AT_REST_CONTENT)),
            at_rest_names: NameKey::new(&kdf::derive(root, kdf::AT_REST_NAMES)),
            backup_content: ContentKey::new(&kdf::derive(root, kdf::BACKUP_CONTENT)),
            digest: MacKey::new(&kdf::derive(root, kdf::BACKUP_DIGEST)),
            cloud_identity: kdf::derive(root, kdf::CLOUD_IDENTITY),
            app: kdf::derive(root, kdf::APP),
        };
        wiped(|| Self(Arc::new(tree())))
    }

    /// What the header shows in clear, to tell wallets on disk apart.
    pub fn wallet_tag(&self) -> [u8; 16] {
        self.0.wallet_tag
    }

    /// The wallet's identity inside sealed data; never in clear.
    pub fn wallet_id(&self) -> [u8; 16] {
        self.0.wallet_id
    }

    /// What names the wallet's objects in a cloud (`sr1/<tag>/`), in clear there. It tells nothing
    /// about the tag on disk.
    pub fn cloud_tag(&self) -> [u8; 16] {
        self.0.cloud_tag
    }

    /// Seals values at rest.
    pub fn at_rest_content(&self) -> &ContentKey {
        &self.0.at_rest_content
    }

    /// Hides names at rest.
    pub(crate) fn at_rest_names(&self) -> &NameKey {
        &self.0.at_rest_names
    }

    /// Seals the objects of a backup.
    pub fn backup_content(&self) -> &ContentKey {
        &self.0.backup_content
    }

    /// The keyed digest by which the entries of a backup are compared with those of the store:
    /// HMAC-SHA256.
    pub fn digest(&self, entry: &[u8]) -> [u8; 32] {
        self.0.digest.mac(entry)
    }

    /// The seed of the identity that a cloud may know this wallet by.
    pub fn cloud_identity(&self) -> &[u8; 32] {
        &self.0.cloud_identity
    }

    /// A key for the application itself, one per label: an LDK node takes its seed from
    /// `app_key("ldk-seed")`, so that the words alone rebuild it.
    pub fn app_key(&self, label: &str) -> AppKey {
        wiped(|| {
            let mut key = AppKey(Box::new(Zeroizing::new([0; 32])));
            kdf::derive_into(self.0.app.as_slice(), label, &[], key.0.as_mut_slice());
            key
        })
    }
}

#[cfg(test)]
impl Keys {
    /// How many clones there are.
    pub(crate) fn holders(&self) -> usize {
        Arc::strong_count(&self.0)
    }
}

impl fmt::Debug for AppKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AppKey(..)")
    }
}

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Keys(..)")
    }
}

#[cfg(test)]
mod tests;
