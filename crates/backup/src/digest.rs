//! An order-independent keyed digest of entries: the sum of their HMACs.
//!
//! D. Clarke et al., "Incremental Multiset Hash Functions" (2003), MSet-Add-Hash: with a secret
//! key and distinct entries (each name occurs once), finding another set with the same sum is hard.

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use crate::{Content, Entry, Error, Result, codec};

/// Folds entries, in any order, into 32 bytes.
pub struct EntryDigest {
    mac: Hmac<Sha256>,
    sum: [u8; 32],
    entries: u64,
    bytes: u64,
}

impl std::fmt::Debug for EntryDigest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("EntryDigest").field("entries", &self.entries).finish_non_exhaustive()
    }
}

impl EntryDigest {
    /// An empty set under the key of `sealer`.
    pub fn new(sealer: &crate::ObjectSealer) -> Result<Self> {
        let mac = Hmac::new_from_slice(sealer.digest_key()).map_err(|_| Error::TooLarge)?;
        Ok(Self { mac, sum: [0; 32], entries: 0, bytes: 0 })
    }

    /// Adds one entry (or one piece of a large one).
    pub fn add(&mut self, entry: &Entry) {
        let mac: [u8; 32] =
            self.mac.clone().chain_update(codec::encode(entry)).finalize().into_bytes().into();
        let mut carry = 0u16;
        for (sum, byte) in self.sum.iter_mut().zip(mac) {
            carry += u16::from(*sum) + u16::from(byte);
            *sum = carry as u8;
            carry >>= 8;
        }
        match &entry.content {
            Content::Value(value) => {
                (self.entries, self.bytes) = (self.entries + 1, self.bytes + value.len() as u64)
            }
            Content::Piece { offset, total, bytes } => {
                let end = offset.saturating_add(bytes.len() as u64);
                self.entries += u64::from(end == *total);
                self.bytes += bytes.len() as u64;
            }
            Content::Removed(_) => {}
        }
    }

    /// The digest, the number of live entries and the bytes of their values.
    pub fn finish(self) -> ([u8; 32], u64, u64) {
        (self.sum, self.entries, self.bytes)
    }
}
