//! The parts of a dump under construction: entries are encoded, folded and counted as they come, while
//! they are at hand.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
};

use bytes::Bytes;

use super::index::COUNT;
use crate::{
    Class, Entry, EntryDigest, Error, ObjectHash, ObjectId, ObjectRef, ObjectSealer, Result,
    Sealed, Spare, WriterId, codec,
    segment::{ContentRef, EntryRef},
    split::{OVERHEAD, PART_BYTES},
};

/// What each namespace has: whole values, and their bytes.
pub(super) type Counts = BTreeMap<(String, String), (u64, u64)>;

/// Gathers entries into parts. Each thread has one of its own; the numbers are shared.
#[derive(Debug)]
pub struct PartMaker {
    pub(super) sealer: ObjectSealer,
    pub(super) writer: WriterId,
    pub(super) from: u64,
    pub(super) next: Arc<AtomicU32>,
    pub(super) spare: Spare,
    growing: Option<Growing>,
    full: Vec<Growing>,
}

/// A part that only needs to be sealed.
#[derive(Debug)]
pub struct UnsealedPart {
    sealer: ObjectSealer,
    spare: Spare,
    id: ObjectId,
    part: Growing,
}

/// A part ready to go up.
#[derive(Debug)]
pub struct SealedPart {
    /// Its reference.
    pub object: ObjectRef,
    /// What goes up.
    pub sealed: Sealed,
    /// What its entries fold into.
    pub digest: EntryDigest,
    entries: u64,
    checksum: u32,
    pub(super) stores: Counts,
}

#[derive(Debug)]
struct Growing {
    /// How many entries, then each of them.
    plain: Vec<u8>,
    entries: u64,
    digest: EntryDigest,
    /// Of all entries, as they were when they were folded.
    checksum: u32,
    stores: Counts,
}

impl PartMaker {
    pub(super) fn new(
        sealer: ObjectSealer,
        writer: WriterId,
        from: u64,
        next: Arc<AtomicU32>,
        spare: Spare,
    ) -> Self {
        Self { sealer, writer, from, next, spare, growing: None, full: Vec::new() }
    }

    /// Adds entries; hands out the parts that are full.
    pub fn add(&mut self, entries: Vec<Entry>) -> Result<Vec<UnsealedPart>> {
        entries.iter().try_for_each(|entry| self.push(EntryRef::of(entry)))?;
        Ok(self.full())
    }

    /// The last parts.
    pub fn rest(&mut self) -> Vec<UnsealedPart> {
        self.close();
        self.full()
    }

    /// Adds an entry; a value too large for one part as pieces.
    pub(crate) fn push(&mut self, entry: EntryRef<'_>) -> Result<()> {
        match entry.content {
            ContentRef::Value(value) if value.len() > PART_BYTES => {
                let total = value.len() as u64;
                for (i, bytes) in value.chunks(PART_BYTES).enumerate() {
                    let offset = (i * PART_BYTES) as u64;
                    let content = ContentRef::Piece { offset, total, bytes };
                    self.push_small(EntryRef { content, ..entry })?;
                }
                // The pieces of a value must stand in consecutive parts, and only parts that are
                // handed out together get consecutive numbers.
                self.close();
                Ok(())
            }
            _ => self.push_small(entry),
        }
    }

    fn push_small(&mut self, entry: EntryRef<'_>) -> Result<()> {
        let name = entry.name.primary.len() + entry.name.secondary.len() + entry.name.key.len();
        let bytes = entry.content.len() + name + OVERHEAD;
        if self.growing.as_ref().is_some_and(|part| part.plain.len() + bytes > PART_BYTES) {
            self.close();
        }
        let growing = match &mut self.growing {
            Some(growing) => growing,
            none => none.insert(Growing::new(&self.sealer, self.spare.take())?),
        };
        growing.push(entry);
        Ok(())
    }

    fn close(&mut self) {
        self.full.extend(self.growing.take());
    }

    /// The parts that are full.
    pub(crate) fn full(&mut self) -> Vec<UnsealedPart> {
        let parts = std::mem::take(&mut self.full);
        if parts.is_empty() {
            return Vec::new();
        }
        let first = self.next.fetch_add(parts.len() as u32, Ordering::Relaxed);
        let (class, writer, from) = (Class::DumpPart, self.writer, self.from);
        let numbered = |(number, part)| {
            let id = ObjectId { class, writer, epoch: 0, from, to: from, part: number };
            let (sealer, spare) = (self.sealer.clone(), self.spare.clone());
            UnsealedPart { sealer, spare, id, part }
        };
        (first..).zip(parts).map(numbered).collect()
    }
}

impl Growing {
    fn new(sealer: &ObjectSealer, mut plain: Vec<u8>) -> Result<Self> {
        plain.reserve(PART_BYTES + PART_BYTES / 64);
        codec::encode_into(&0_u64, &mut plain);
        let digest = EntryDigest::new(sealer)?;
        Ok(Self { plain, entries: 0, digest, checksum: 0, stores: Counts::new() })
    }

    fn push(&mut self, entry: EntryRef<'_>) {
        let begin = self.plain.len();
        entry.encode_into(&mut self.plain);
        let (entries, bytes) = entry.content.counts();
        let encoded = self.plain.get(begin..).unwrap_or_default();
        self.digest.add_encoded(encoded, (entries, bytes));
        self.checksum = crc32c::crc32c_append(self.checksum, encoded);
        self.entries += 1;
        if !matches!(entry.content, ContentRef::Removed(_)) {
            self.count(&entry, (entries, bytes));
        }
    }

    fn count(&mut self, entry: &EntryRef<'_>, (entries, bytes): (u64, u64)) {
        let (primary, secondary) = (entry.name.primary, entry.name.secondary);
        // Most neighbours lie in one namespace, so look before a key is made.
        if let Some(mut last) = self.stores.last_entry()
            && (last.key().0 == primary && last.key().1 == secondary)
        {
            let sum: &mut (u64, u64) = last.get_mut();
            *sum = (sum.0 + entries, sum.1 + bytes);
            return;
        }
        let sum = self.stores.entry((primary.to_owned(), secondary.to_owned())).or_default();
        *sum = (sum.0 + entries, sum.1 + bytes);
    }

    /// The plaintext of the part.
    fn finish(&mut self) -> &[u8] {
        if let Some(count) = self.plain.first_chunk_mut() {
            *count = self.entries.to_le_bytes();
        }
        &self.plain
    }
}

impl UnsealedPart {
    /// Compresses and seals: the work worth a thread.
    pub fn seal(mut self) -> Result<SealedPart> {
        let (mut compressed, plain) = (self.spare.take(), self.part.finish());
        let (object, sealed) =
            self.sealer.seal_using(&mut compressed, self.id, ObjectHash::NONE, plain)?;
        let Growing { plain, entries, digest, checksum, stores } = self.part;
        self.spare.give(compressed);
        self.spare.give(plain);
        Ok(SealedPart { object, sealed, digest, entries, checksum, stores })
    }
}

impl SealedPart {
    /// What the entries fold into that came back from a cloud into which the part was put.
    ///
    /// They are not folded once more, which would cost as much as the ciphers and zstd together: what
    /// came back must be the sealed bytes, each of them, and must open to what was folded, by its
    /// checksum. So nothing that went wrong on the way from the store to the cloud and back is taken
    /// for whole, and no cloud can choose what comes back.
    pub fn read_back(
        &self,
        sealer: &ObjectSealer,
        spare: &Spare,
        came_back: &Bytes,
    ) -> Result<EntryDigest> {
        let damaged = || Error::Damaged { name: self.sealed.name().clone() };
        if came_back != self.sealed.bytes() {
            return Err(damaged());
        }
        let plain = sealer.open_exact(spare, &self.object, ObjectHash::NONE, came_back)?;
        let (count, entries) = plain.split_first_chunk::<COUNT>().ok_or_else(damaged)?;
        if u64::from_le_bytes(*count) != self.entries || crc32c::crc32c(entries) != self.checksum {
            return Err(damaged());
        }
        spare.give(plain);
        Ok(self.digest.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Content, EntryName};

    /// Memory that fails, or a fault of our own: what is sealed is not what was folded.
    #[test]
    fn what_went_wrong_before_it_was_sealed_is_found_when_it_comes_back() {
        let sealer =
            ObjectSealer::new(vault::Keys::derive(&vault::RootSecret::from_bytes([7; 32])));
        let unsealed = || {
            let (writer, next) = (WriterId::from_bytes([1; 16]), Arc::default());
            let mut maker = PartMaker::new(sealer.clone(), writer, 1, next, Spare::default());
            let entry = |key: &str| Entry {
                name: EntryName { primary: "a".into(), secondary: "b".into(), key: key.into() },
                content: Content::Value(vec![7; 100]),
            };
            assert!(maker.add(vec![entry("c"), entry("d")]).unwrap().is_empty());
            maker.rest().remove(0)
        };
        let read_back = |unsealed: UnsealedPart| {
            let part = unsealed.seal().unwrap();
            part.read_back(&sealer, &Spare::default(), part.sealed.bytes())
        };
        assert!(read_back(unsealed()).is_ok());
        let len = unsealed().part.plain.len();
        for at in COUNT..len {
            let mut wrong = unsealed();
            wrong.part.plain[at] ^= 1;
            assert!(matches!(read_back(wrong), Err(Error::Damaged { .. })), "byte {at}");
        }
        let mut wrong = unsealed();
        wrong.part.entries += 1;
        let mut part = wrong.seal().unwrap();
        part.entries -= 1;
        let back = part.read_back(&sealer, &Spare::default(), part.sealed.bytes());
        assert!(matches!(back, Err(Error::Damaged { .. })), "another number of entries");
        let mut short = unsealed();
        short.part.plain.truncate(len - 1);
        assert!(matches!(read_back(short), Err(Error::Damaged { .. })));
    }
}
