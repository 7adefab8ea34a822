//! Making a dump: numbered parts, made on any thread, then the index over all of them.

use std::{collections::BTreeMap, sync::Arc};

use super::{
    index::{DumpIndex, KeptDump, StoreCount, keep},
    part::{Counts, PartMaker, SealedPart, UnsealedPart},
};
use crate::{
    Class, Entry, EntryDigest, Link, ObjectHash, ObjectId, ObjectRef, ObjectSealer, Result, Sealed,
    Spare, WriterId,
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
    stores: Counts,
    older: Vec<KeptDump>,
}

impl DumpWriter {
    /// Begins a full dump that surely holds everything up to sequence number `from`, at time `now`
    /// in milliseconds since the Unix epoch.
    pub fn new(sealer: &ObjectSealer, writer: WriterId, from: u64, now: u64) -> Result<Self> {
        Self::at(sealer, DumpPlace { writer, from, base: None, began: now })
    }

    /// Begins a dump.
    pub fn at(sealer: &ObjectSealer, place: DumpPlace) -> Result<Self> {
        let (next, spare) = (Arc::default(), Spare::default());
        let maker = PartMaker::new(sealer.clone(), place.writer, place.from, next, spare);
        Ok(Self {
            sealer: sealer.clone(),
            place,
            maker,
            digest: EntryDigest::new(sealer)?,
            parts: BTreeMap::new(),
            sealed_bytes: 0,
            stores: Counts::new(),
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
        let PartMaker { sealer, writer, from, next, spare, .. } = &self.maker;
        PartMaker::new(sealer.clone(), *writer, *from, Arc::clone(next), spare.clone())
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
        let parts = self.maker.add(entries)?;
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
