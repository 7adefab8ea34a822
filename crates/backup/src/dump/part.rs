//! The parts of a dump under construction: entries are encoded, folded and counted as they come, while
//! they are at hand.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
};

use crate::{
    Class, Entry, EntryDigest, ObjectHash, ObjectId, ObjectRef, ObjectSealer, Result, Sealed,
    WriterId, codec,
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
    growing: Option<Growing>,
    full: Vec<Growing>,
}

/// A part that only needs to be sealed.
#[derive(Debug)]
pub struct UnsealedPart {
    sealer: ObjectSealer,
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
    pub(super) stores: Counts,
}

#[derive(Debug)]
struct Growing {
    /// How many entries, then each of them.
    plain: Vec<u8>,
    entries: u64,
    digest: EntryDigest,
    stores: Counts,
}

impl PartMaker {
    pub(super) fn new(
        sealer: ObjectSealer,
        writer: WriterId,
        from: u64,
        next: Arc<AtomicU32>,
    ) -> Self {
        Self { sealer, writer, from, next, growing: None, full: Vec::new() }
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
            none => none.insert(Growing::new(&self.sealer)?),
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
            UnsealedPart { sealer: self.sealer.clone(), id, part }
        };
        (first..).zip(parts).map(numbered).collect()
    }
}

impl Growing {
    fn new(sealer: &ObjectSealer) -> Result<Self> {
        let mut plain = Vec::with_capacity(PART_BYTES + PART_BYTES / 64);
        codec::encode_into(&0_u64, &mut plain);
        let digest = EntryDigest::new(sealer)?;
        Ok(Self { plain, entries: 0, digest, stores: Counts::new() })
    }

    fn push(&mut self, entry: EntryRef<'_>) {
        let begin = self.plain.len();
        codec::encode_into(&entry, &mut self.plain);
        let (entries, bytes) = entry.content.counts();
        let encoded = self.plain.get(begin..).unwrap_or_default();
        self.digest.add_encoded(encoded, (entries, bytes));
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
        let plain = self.part.finish();
        let (object, sealed) = self.sealer.seal_encoded(self.id, ObjectHash::NONE, plain)?;
        let Growing { digest, stores, .. } = self.part;
        Ok(SealedPart { object, sealed, digest, stores })
    }
}
