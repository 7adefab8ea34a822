//! Making a dump: entries into numbered parts on any thread, then the index over all of them.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
};

use super::index::{DumpIndex, DumpPart, KeptDump, StoreCount, keep};
use crate::{
    Class, Content, Entry, EntryDigest, Link, ObjectHash, ObjectId, ObjectRef, ObjectSealer,
    Result, Sealed, WriterId,
    split::{PART_BYTES, Splitter},
};

/// Where a dump stands in its writer's chain.
#[derive(Debug, Clone)]
pub struct DumpPlace {
    /// Whose it is.
    pub writer: WriterId,
    /// It surely holds everything up to this sequence number.
    pub from: u64,
    /// Of a delta dump: the full dump below it.
    pub base: Option<ObjectRef>,
    /// When it began, in milliseconds since the Unix epoch.
    pub began: u64,
}

/// Puts the index of a dump together.
#[derive(Debug)]
pub struct DumpWriter {
    sealer: ObjectSealer,
    place: DumpPlace,
    maker: PartMaker,
    digest: EntryDigest,
    parts: BTreeMap<u32, ObjectRef>,
    sealed_bytes: u64,
    stores: BTreeMap<(String, String), (u64, u64)>,
    older: Vec<KeptDump>,
}

/// Gathers entries into parts. Each thread has one of its own; the numbers are shared.
#[derive(Debug)]
pub struct PartMaker {
    sealer: ObjectSealer,
    writer: WriterId,
    from: u64,
    splitter: Splitter,
    next: Arc<AtomicU32>,
}

/// A part that only needs to be sealed.
#[derive(Debug)]
pub struct UnsealedPart {
    sealer: ObjectSealer,
    id: ObjectId,
    entries: Vec<Entry>,
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
    stores: BTreeMap<(String, String), (u64, u64)>,
}

impl DumpWriter {
    /// Begins a full dump that surely holds everything up to sequence number `from`, at time `now`
    /// in milliseconds since the Unix epoch.
    pub fn new(sealer: &ObjectSealer, writer: WriterId, from: u64, now: u64) -> Result<Self> {
        Self::at(sealer, DumpPlace { writer, from, base: None, began: now })
    }

    /// Begins a dump.
    pub fn at(sealer: &ObjectSealer, place: DumpPlace) -> Result<Self> {
        let maker = PartMaker {
            sealer: sealer.clone(),
            writer: place.writer,
            from: place.from,
            splitter: Splitter::default(),
            next: Arc::default(),
        };
        Ok(Self {
            sealer: sealer.clone(),
            place,
            maker,
            digest: EntryDigest::new(sealer)?,
            parts: BTreeMap::new(),
            sealed_bytes: 0,
            stores: BTreeMap::new(),
            older: Vec::new(),
        })
    }

    /// Keeps what reaches the restore points of the last `window` milliseconds, of these older dumps,
    /// newest first.
    #[must_use]
    pub fn keeping(mut self, older: Vec<KeptDump>, window: u64) -> Self {
        self.older = keep(older, self.place.began, window);
        self
    }

    /// The older dumps that are kept.
    pub fn kept(&self) -> &[KeptDump] {
        &self.older
    }

    /// For a thread that makes parts of this dump.
    pub fn maker(&self) -> PartMaker {
        PartMaker {
            sealer: self.sealer.clone(),
            splitter: Splitter::default(),
            next: Arc::clone(&self.maker.next),
            ..self.maker
        }
    }

    /// Notes a part that was sealed, in any order.
    pub fn sealed(&mut self, part: &SealedPart) {
        self.digest.merge(&part.digest);
        self.parts.insert(part.object.id.part, part.object);
        self.sealed_bytes += part.sealed.bytes().len() as u64;
        for (store, (entries, bytes)) in &part.stores {
            let sum = self.stores.entry(store.clone()).or_default();
            *sum = (sum.0 + entries, sum.1 + bytes);
        }
    }

    /// Adds entries, on this thread; hands out the parts that are full.
    pub fn add(&mut self, entries: Vec<Entry>) -> Result<Vec<Sealed>> {
        let parts = self.maker.add(entries);
        self.seal(parts)
    }

    /// Ends the dump at sequence number `to`: the last parts, then the index, which must go up last.
    pub fn finish(
        mut self,
        to: u64,
        newest: Option<Link>,
        now: u64,
    ) -> Result<(Vec<Sealed>, ObjectRef)> {
        let parts = self.maker.rest();
        let mut sealed = self.seal(parts)?;
        let (digest, entries, bytes) = self.digest.finish();
        let stores = self.stores.into_iter();
        let index = DumpIndex {
            parts: self.parts.into_values().collect(),
            newest,
            time: (self.place.began, now),
            entries,
            bytes,
            digest,
            base: self.place.base,
            sealed_bytes: self.sealed_bytes,
            stores: stores
                .map(|((primary, secondary), (entries, bytes))| StoreCount {
                    primary,
                    secondary,
                    entries,
                    bytes,
                })
                .collect(),
            older: self.older,
            extensions: Vec::new(),
        };
        let id = ObjectId {
            class: Class::DumpIndex,
            writer: self.place.writer,
            epoch: 0,
            from: self.place.from,
            to,
            part: 0,
        };
        let (object, index) = self.sealer.seal(id, ObjectHash::NONE, &index)?;
        sealed.push(index);
        Ok((sealed, object))
    }

    fn seal(&mut self, parts: Vec<UnsealedPart>) -> Result<Vec<Sealed>> {
        let mut sealed = Vec::with_capacity(parts.len());
        for part in parts {
            let part = part.seal()?;
            self.sealed(&part);
            sealed.push(part.sealed);
        }
        Ok(sealed)
    }
}

impl PartMaker {
    /// Adds entries; hands out the parts that are full.
    pub fn add(&mut self, entries: Vec<Entry>) -> Vec<UnsealedPart> {
        for entry in entries {
            let large = matches!(&entry.content, Content::Value(value) if value.len() > PART_BYTES);
            self.splitter.push(entry);
            if large {
                // The pieces of a value must stand in consecutive parts, and only parts that are
                // handed out together get consecutive numbers.
                self.splitter.close();
            }
        }
        let parts = std::iter::from_fn(|| self.splitter.full()).collect();
        self.number(parts)
    }

    /// The last parts.
    pub fn rest(&mut self) -> Vec<UnsealedPart> {
        let parts = std::mem::take(&mut self.splitter).finish();
        self.number(parts)
    }

    fn number(&self, parts: Vec<Vec<Entry>>) -> Vec<UnsealedPart> {
        let count = parts.len() as u32;
        let first = self.next.fetch_add(count, Ordering::Relaxed);
        let (class, writer, from) = (Class::DumpPart, self.writer, self.from);
        let part = |(part, entries)| {
            let id = ObjectId { class, writer, epoch: 0, from, to: from, part };
            UnsealedPart { sealer: self.sealer.clone(), id, entries }
        };
        (first..).zip(parts).map(part).collect()
    }
}

impl UnsealedPart {
    /// Encodes, compresses, seals and folds: the work worth a thread.
    pub fn seal(self) -> Result<SealedPart> {
        let mut digest = EntryDigest::new(&self.sealer)?;
        let mut stores = BTreeMap::new();
        let plain = DumpPart::encode(&self.entries, |entry, encoded| {
            digest.add_encoded(encoded, entry.content.counts());
            count(&mut stores, entry);
        });
        drop(self.entries);
        let (object, sealed) = self.sealer.seal_encoded(self.id, ObjectHash::NONE, &plain)?;
        Ok(SealedPart { object, sealed, digest, stores })
    }
}

fn count(stores: &mut BTreeMap<(String, String), (u64, u64)>, entry: &Entry) {
    let bytes = match &entry.content {
        Content::Value(bytes) | Content::Piece { bytes, .. } => bytes.len() as u64,
        Content::Removed(_) => return,
    };
    let whole = u64::from(entry.is_last_piece());
    let name = &entry.name;
    // Most neighbours lie in one namespace, so look before a key is made.
    if let Some(mut last) = stores.last_entry()
        && (last.key().0 == name.primary && last.key().1 == name.secondary)
    {
        let sum: &mut (u64, u64) = last.get_mut();
        *sum = (sum.0 + whole, sum.1 + bytes);
        return;
    }
    let sum = stores.entry((name.primary.clone(), name.secondary.clone())).or_default();
    *sum = (sum.0 + whole, sum.1 + bytes);
}
