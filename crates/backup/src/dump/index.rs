//! The plaintexts of a dump: its parts, and the index that makes them one.

use serde::{Deserialize, Serialize};

use crate::{Entry, EntryDigest, Error, Link, ObjectRef, Result, codec};

/// The plaintext of one dump part.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DumpPart {
    /// Mergeable and single-writer entries; those of small namespaces come in the first parts.
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
    use crate::{Class, ObjectHash, ObjectId, WriterId};

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
