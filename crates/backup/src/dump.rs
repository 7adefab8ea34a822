//! Dumps: the full state, in parts, with an index that makes them one.

use serde::{Deserialize, Serialize};

use crate::{
    Class, Entry, EntryDigest, Error, Link, ObjectHash, ObjectId, ObjectRef, ObjectSealer, Result,
    Sealed, WriterId, split::Splitter,
};

/// The plaintext of one dump part.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DumpPart {
    /// Mergeable and single-writer entries, ascending by name; small namespaces come in the first parts.
    pub entries: Vec<Entry>,
}

/// The plaintext of a dump's index: complete or not there at all.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DumpIndex {
    /// The parts, in order.
    pub parts: Vec<ObjectRef>,
    /// The segment that was newest when the dump began.
    pub newest: Option<Link>,
    /// When the dump began and ended, in milliseconds since the Unix epoch.
    pub time: (u64, u64),
    /// How many entries the parts hold.
    pub entries: u64,
    /// Bytes of values in the parts.
    pub bytes: u64,
    /// The order-independent keyed digest of all entries.
    pub digest: [u8; 32],
    /// For delta dumps: the full dump below this one. Always `None` in this version.
    pub base: Option<ObjectRef>,
    /// Reserved for what later versions add; readers of version 1 skip it.
    pub extensions: Vec<(u32, Vec<u8>)>,
}

/// Turns entries into the parts and the index of a full dump.
#[derive(Debug)]
pub struct DumpWriter {
    sealer: ObjectSealer,
    writer: WriterId,
    from: u64,
    began: u64,
    splitter: Splitter,
    digest: EntryDigest,
    parts: Vec<ObjectRef>,
}

impl DumpWriter {
    /// Begins a dump that surely holds everything up to sequence number `from`, at time `now` in
    /// milliseconds since the Unix epoch.
    pub fn new(sealer: &ObjectSealer, writer: WriterId, from: u64, now: u64) -> Result<Self> {
        Ok(Self {
            sealer: sealer.clone(),
            writer,
            from,
            began: now,
            splitter: Splitter::default(),
            digest: EntryDigest::new(sealer)?,
            parts: Vec::new(),
        })
    }

    /// Adds entries; hands out the parts that are full.
    pub fn add(&mut self, entries: Vec<Entry>) -> Result<Vec<Sealed>> {
        entries.into_iter().for_each(|entry| self.splitter.push(entry));
        let mut sealed = Vec::new();
        while let Some(part) = self.splitter.full() {
            sealed.push(self.seal_part(part)?);
        }
        Ok(sealed)
    }

    /// Ends the dump at sequence number `to`: the last parts, then the index, which must go up last.
    pub fn finish(
        mut self,
        to: u64,
        newest: Option<Link>,
        now: u64,
    ) -> Result<(Vec<Sealed>, ObjectRef)> {
        let mut sealed = Vec::new();
        for part in std::mem::take(&mut self.splitter).finish() {
            sealed.push(self.seal_part(part)?);
        }
        let (digest, entries, bytes) = self.digest.finish();
        let index = DumpIndex {
            parts: self.parts,
            newest,
            time: (self.began, now),
            entries,
            bytes,
            digest,
            base: None,
            extensions: Vec::new(),
        };
        let id = ObjectId {
            class: Class::DumpIndex,
            writer: self.writer,
            epoch: 0,
            from: self.from,
            to,
            part: 0,
        };
        let (object, index) = self.sealer.seal(id, ObjectHash::NONE, &index)?;
        sealed.push(index);
        Ok((sealed, object))
    }

    fn seal_part(&mut self, entries: Vec<Entry>) -> Result<Sealed> {
        let part = self.parts.len() as u32;
        let (from, to) = (self.from, self.from);
        let id = ObjectId { class: Class::DumpPart, writer: self.writer, epoch: 0, from, to, part };
        entries.iter().for_each(|entry| self.digest.add(entry));
        let (object, sealed) = self.sealer.seal(id, ObjectHash::NONE, &DumpPart { entries })?;
        self.parts.push(object);
        Ok(sealed)
    }
}

impl DumpIndex {
    /// Whether the entries folded into `digest` are exactly those the index was made for.
    pub fn check(&self, digest: EntryDigest) -> Result<()> {
        if digest.finish() == (self.digest, self.entries, self.bytes) {
            Ok(())
        } else {
            Err(Error::BrokenChain { what: "the parts of a dump do not add up to its digest" })
        }
    }
}
