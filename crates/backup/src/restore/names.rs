//! A set of names in 16 bytes each: which keys newer objects have decided.

use std::{
    collections::HashSet,
    hash::{BuildHasherDefault, Hasher},
};

use sha2::{Digest, Sha256};

use crate::{EntryName, segment::NameRef};

/// Names by half of their SHA-256: two that collide cost 2^64 tries, and whoever could place them
/// may write the wallet anyway.
#[derive(Debug, Clone, Default)]
pub struct NameSet(HashSet<NameHash, BuildHasherDefault<Taken>>);

/// Half of the SHA-256 of a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct NameHash(u128);

impl NameHash {
    pub(crate) fn of(name: NameRef<'_>) -> Self {
        let mut hash = Sha256::new();
        for part in [name.primary, name.secondary] {
            hash.update((part.len() as u64).to_le_bytes());
            hash.update(part);
        }
        hash.update(name.key);
        let hash: [u8; 32] = hash.finalize().into();
        let (half, _) = hash.split_first_chunk().unwrap_or((&[0; 16], &[]));
        Self(u128::from_le_bytes(*half))
    }
}

impl NameSet {
    /// Whether the name was inserted.
    pub fn contains(&self, name: &EntryName) -> bool {
        self.contains_ref(NameRef::of(name))
    }

    pub(crate) fn contains_ref(&self, name: NameRef<'_>) -> bool {
        !self.0.is_empty() && self.0.contains(&NameHash::of(name))
    }

    /// Adds a name; `false` if it was there.
    pub fn insert(&mut self, name: &EntryName) -> bool {
        self.0.insert(NameHash::of(NameRef::of(name)))
    }

    /// Adds all names of `other`.
    pub fn merge(&mut self, mut other: NameSet) {
        if self.len() < other.len() {
            std::mem::swap(self, &mut other);
        }
        self.0.extend(other.0);
    }

    /// How many names.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn extend(&mut self, hashes: impl IntoIterator<Item = NameHash>) {
        self.0.extend(hashes);
    }
}

/// The names are hashes already.
#[derive(Debug, Default)]
struct Taken(u64);

impl Hasher for Taken {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for chunk in bytes.chunks(8) {
            let mut word = [0; 8];
            word.iter_mut().zip(chunk).for_each(|(to, from)| *to = *from);
            self.0 ^= u64::from_le_bytes(word);
        }
    }
}
