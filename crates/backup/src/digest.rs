//! An order-independent keyed digest of entries: the sum of their HMACs.
//!
//! D. Clarke et al., "Incremental Multiset Hash Functions" (2003), MSet-Add-Hash: with a secret
//! key and distinct entries (each name occurs once), finding another set with the same sum is hard.

use vault::Keys;

use crate::{Entry, Result, codec, segment::EntryRef};

/// The sum, the live entries, the bytes of their values.
pub(crate) type DigestSum = ([u8; 32], u64, u64);

/// Folds entries, in any order, into 32 bytes.
#[derive(Clone)]
pub struct EntryDigest {
    keys: Keys,
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
        Ok(Self { keys: sealer.keys()?, sum: [0; 32], entries: 0, bytes: 0, buffer: Vec::new() })
    }

    /// Adds one entry (or one piece of a large one).
    pub fn add(&mut self, entry: &Entry) {
        let mut buffer = std::mem::take(&mut self.buffer);
        buffer.clear();
        codec::encode_into(entry, &mut buffer);
        self.add_encoded(&buffer, EntryRef::of(entry).content.counts());
        self.buffer = buffer;
    }

    /// As [`EntryDigest::add`], of an entry that is encoded already, and what it counts.
    pub(crate) fn add_encoded(&mut self, encoded: &[u8], (entries, bytes): (u64, u64)) {
        plus(&mut self.sum, &self.keys.digest(encoded));
        self.entries += entries;
        self.bytes = self.bytes.saturating_add(bytes);
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
    let mut carry = 0u128;
    for (sum, other) in sum.as_chunks_mut().0.iter_mut().zip(other.as_chunks().0) {
        carry += u128::from(u64::from_le_bytes(*sum)) + u128::from(u64::from_le_bytes(*other));
        *sum = (carry as u64).to_le_bytes();
        carry >>= 64;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_carry_over_and_wrap() {
        let number = |bytes: &[u8]| -> [u8; 32] {
            std::array::from_fn(|at| bytes.get(at).copied().unwrap_or_default())
        };
        let mut sum = [0xff; 32];
        plus(&mut sum, &number(&[1]));
        assert_eq!(sum, [0; 32]);
        plus(&mut sum, &number(&[0xff; 8]));
        plus(&mut sum, &number(&[2]));
        assert_eq!(sum, number(&[1, 0, 0, 0, 0, 0, 0, 0, 1]));
        plus(&mut sum, &number(&[0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 0xff]));
        assert_eq!(sum, number(&[1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]));
    }
}
