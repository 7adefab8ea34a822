//! The plaintexts of a dump: its parts, and the index that makes them one.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::{
    Class, Entry, EntryDigest, Error, Link, ObjectHash, ObjectRef, ObjectSealer, Result, Run,
    codec, segment::EntryRef,
};

/// The plaintext of one dump part.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DumpPart {
    /// Mergeable and single-writer entries; those of small namespaces come in the first parts.
    pub entries: Vec<Entry>,
}

impl DumpPart {
    /// The entries of a part that was fetched under the name of `object`, and what they fold into.
    pub fn open(
        sealer: &ObjectSealer,
        object: &ObjectRef,
        sealed: &Bytes,
    ) -> Result<(Self, EntryDigest)> {
        let (run, digest) = Self::open_run(sealer, object, sealed)?;
        Ok((Self { entries: run.into_entries()? }, digest))
    }

    /// The same, the entries as they lie in the part.
    pub fn open_run(
        sealer: &ObjectSealer,
        object: &ObjectRef,
        sealed: &Bytes,
    ) -> Result<(Run, EntryDigest)> {
        let (plain, digest) = check(sealer, object, sealed)?;
        let plain = Bytes::from(plain);
        Ok((Run::encoded(plain.slice(COUNT.min(plain.len())..)), digest))
    }

    /// What the entries of a part fold into, as it was fetched under the name of `object`.
    pub fn fold(sealer: &ObjectSealer, object: &ObjectRef, sealed: &Bytes) -> Result<EntryDigest> {
        Ok(check(sealer, object, sealed)?.1)
    }
}

/// The bytes of the number of entries, which come first.
pub(super) const COUNT: usize = 8;

/// Opens a part and looks at each entry: all must be right. Every entry has one encoding only, so it
/// is folded as it lies there.
fn check(
    sealer: &ObjectSealer,
    object: &ObjectRef,
    sealed: &Bytes,
) -> Result<(Vec<u8>, EntryDigest)> {
    if object.id.class != Class::DumpPart {
        return Err(Error::BrokenChain { what: "an object is taken for one of another class" });
    }
    let plain = sealer.open_encoded(object, ObjectHash::NONE, sealed)?;
    let damaged = |_| Error::Damaged { name: object.name(&sealer.tag()) };
    let mut digest = EntryDigest::new(sealer)?;
    let (count, mut rest) = codec::decode_first::<u64>("part", &plain).map_err(damaged)?;
    for _ in 0..count {
        let (entry, after) = EntryRef::decode_first(rest).map_err(damaged)?;
        let encoded = rest.get(..rest.len() - after.len()).unwrap_or_default();
        digest.add_encoded(encoded, entry.content.counts());
        rest = after;
    }
    if rest.is_empty() {
        Ok((plain, digest))
    } else {
        Err(Error::Damaged { name: object.name(&sealer.tag()) })
    }
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
    /// Of a delta dump: the full dump below it.
    pub base: Option<ObjectRef>,
    /// Sealed bytes of the parts.
    pub sealed_bytes: u64,
    /// What each namespace has in the parts, ascending.
    pub stores: Vec<StoreCount>,
    /// Older dumps that the writer keeps, newest first: the way to older restore points. Whatever
    /// is older than the last of them may be gone.
    pub older: Vec<KeptDump>,
    /// Reserved for what later versions add; readers of version 1 skip it.
    pub extensions: Vec<(u32, Vec<u8>)>,
}

/// What one namespace has in a dump.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoreCount {
    /// Primary namespace.
    #[serde(with = "codec::text")]
    pub primary: String,
    /// Secondary namespace.
    #[serde(with = "codec::text")]
    pub secondary: String,
    /// Keys with a value.
    pub entries: u64,
    /// Bytes of their values.
    pub bytes: u64,
}

/// A dump that is kept beside newer ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeptDump {
    /// Its index.
    pub index: ObjectRef,
    /// The full dump below it, if it is a delta dump.
    pub base: Option<ObjectRef>,
    /// When it began, in milliseconds since the Unix epoch.
    pub time: u64,
    /// Sealed bytes of its parts.
    pub sealed_bytes: u64,
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

    /// What a later dump says of this one.
    pub fn kept(&self, index: ObjectRef) -> KeptDump {
        KeptDump { index, base: self.base, time: self.time.0, sealed_bytes: self.sealed_bytes }
    }

    /// The writer keeps its segments from behind this sequence number on: restore points from here
    /// to now can be reached. `own` is the reference of this index.
    pub fn floor(&self, own: &ObjectRef) -> u64 {
        let older = self.older.iter().map(|kept| kept.index.id.from);
        older.min().map_or(own.id.from, |oldest| oldest.min(own.id.from))
    }
}

/// Which of the dumps to keep, newest first, when one is made at `now`: those through which restore
/// points of the last `window` milliseconds are reached.
pub(crate) fn keep(dumps: Vec<KeptDump>, now: u64, window: u64) -> Vec<KeptDump> {
    let begin = now.saturating_sub(window);
    let mut kept = Vec::new();
    for dump in dumps {
        let reaches_back = dump.time <= begin;
        kept.push(dump);
        if reaches_back {
            break;
        }
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{EntryName, ObjectId, WriterId};

    fn dump(time: u64) -> KeptDump {
        let id = ObjectId {
            class: Class::DumpIndex,
            writer: WriterId::from_bytes([1; 16]),
            epoch: 0,
            from: time,
            to: time,
            part: 0,
        };
        let index = ObjectRef { id, hash: ObjectHash::of(&time.to_le_bytes()) };
        KeptDump { index, base: None, time, sealed_bytes: 1 }
    }

    /// Every byte of a part is of an entry that it counts.
    #[test]
    fn a_part_with_more_or_less_than_it_counts_is_damaged() {
        let sealer =
            ObjectSealer::new(vault::Keys::derive(&vault::RootSecret::from_bytes([7; 32])));
        let writer = WriterId::from_bytes([1; 16]);
        let id = ObjectId { class: Class::DumpPart, writer, epoch: 0, from: 1, to: 1, part: 0 };
        let name = EntryName { primary: "a".into(), secondary: "b".into(), key: "c".into() };
        let entry = Entry { name, content: crate::Content::Value(vec![1, 2, 3]) };
        let one = codec::encode(&entry);
        let plain = [&2_u64.to_le_bytes()[..], &one, &one].concat();
        for (plain, good) in [
            (plain.clone(), true),
            ([plain.as_slice(), &[0]].concat(), false),
            (plain[..plain.len() - 1].to_vec(), false),
            ([&1_u64.to_le_bytes(), &plain[8..]].concat(), false),
            ([&3_u64.to_le_bytes(), &plain[8..]].concat(), false),
        ] {
            let (object, sealed) = sealer.seal_encoded(id, ObjectHash::NONE, &plain).unwrap();
            let folded = DumpPart::fold(&sealer, &object, sealed.bytes());
            assert_eq!(folded.is_ok(), good);
            assert_eq!(DumpPart::open(&sealer, &object, sealed.bytes()).is_ok(), good);
        }
    }

    #[test]
    fn one_dump_beyond_the_window_is_kept() {
        let times = |dumps: Vec<KeptDump>| dumps.iter().map(|d| d.time).collect::<Vec<_>>();
        let all = || [90, 70, 50, 30, 10].map(dump).to_vec();
        assert_eq!(times(keep(all(), 100, 40)), [90, 70, 50], "from 60 on needs the dump of 50");
        assert_eq!(times(keep(all(), 100, 50)), [90, 70, 50], "50 is in the window itself");
        assert_eq!(times(keep(all(), 100, 0)), [90], "the newest restore point always counts");
        assert_eq!(times(keep(all(), 100, 1000)), [90, 70, 50, 30, 10]);
        assert_eq!(times(keep(Vec::new(), 100, 40)), []);
    }
}
