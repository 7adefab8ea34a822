//! An order-independent keyed digest of entries: the sum of their HMACs.
//!
//! D. Clarke et al., "Incremental Multiset Hash Functions" (2003), MSet-Add-Hash: with a secret
//! key and distinct entries (each name occurs once), finding another set with the same sum is hard.

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use crate::{Content, Entry, Error, Result, codec};

/// The sum, the live entries, the bytes of their values.
pub(crate) type DigestSum = ([u8; 32], u64, u64);

/// Folds entries, in any order, into 32 bytes.
pub struct EntryDigest {
    mac: Hmac<Sha256>,
    sum: [u8; 32],
    entries: u64,
    bytes: u64,
    /// Holds one encoded entry at a time.
    buffer: Vec<u8>,
}

impl std::fmt::Debug for EntryDigest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("EntryDigest").field("entries", &self.entries).finish_non_exhaustive()
    }
}

impl EntryDigest {
    /// An empty set under the key of `sealer`.
    pub fn new(sealer: &crate::ObjectSealer) -> Result<Self> {
        let mac = Hmac::new_from_slice(sealer.keys()?.digest_key()).map_err(|_| Error::TooLarge)?;
        Ok(Self { mac, sum: [0; 32], entries: 0, bytes: 0, buffer: Vec::new() })
    }

    /// Adds one entry (or one piece of a large one).
    pub fn add(&mut self, entry: &Entry) {
        self.buffer.clear();
        codec::encode_into(entry, &mut self.buffer);
        let mac = self.mac.clone().chain_update(&self.buffer).finalize().into_bytes();
        plus(&mut self.sum, &mac.into());
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

    /// Adds all that was folded into `other`, under the same key: several threads each fold their part.
    pub fn merge(&mut self, other: &EntryDigest) {
        self.merge_sum(&other.sum());
    }

    /// What was folded so far, to be written down and taken up again.
    pub(crate) fn sum(&self) -> DigestSum {
        (self.sum, self.entries, self.bytes)
    }

    pub(crate) fn merge_sum(&mut self, other: &DigestSum) {
        let mut sum = self.sum();
        add_sums(&mut sum, other);
        (self.sum, self.entries, self.bytes) = sum;
    }

    /// The digest, the number of live entries and the bytes of their values.
    pub fn finish(self) -> ([u8; 32], u64, u64) {
        (self.sum, self.entries, self.bytes)
    }
}

pub(crate) fn add_sums(to: &mut DigestSum, other: &DigestSum) {
    plus(&mut to.0, &other.0);
    to.1 = to.1.saturating_add(other.1);
    to.2 = to.2.saturating_add(other.2);
}

/// Little-endian, modulo 2^256.
fn plus(sum: &mut [u8; 32], other: &[u8; 32]) {
    let mut carry = 0u16;
    for (sum, byte) in sum.iter_mut().zip(other) {
        carry += u16::from(*sum) + u16::from(*byte);
        *sum = carry as u8;
        carry >>= 8;
    }
}
