//! Segments: the last change per key of a contiguous run of batches.

use serde::{Deserialize, Serialize};

use crate::{
    Class, EntryName, Error, ObjectHash, ObjectId, ObjectRef, Result, Stamp, WriterId, codec,
};

/// One change as it stands in a segment or a dump.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// Which key.
    pub name: EntryName,
    /// What it holds.
    pub content: Content,
}

/// What a key holds. Mergeable values are in their frame.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Content {
    /// This value.
    Value(#[serde(with = "codec::bytes")] Vec<u8>),
    /// A piece of a value too large for one object; pieces follow each other in order.
    Piece {
        /// Where in the value.
        offset: u64,
        /// The length of the whole value.
        total: u64,
        /// The bytes.
        #[serde(with = "codec::bytes")]
        bytes: Vec<u8>,
    },
    /// Nothing: it was removed, at this stamp if it is mergeable.
    Removed(Option<Stamp>),
}

impl Entry {
    /// Whether nothing of this entry follows: true but for all pieces except the last.
    pub(crate) fn is_last_piece(&self) -> bool {
        match &self.content {
            Content::Piece { offset, total, bytes } => {
                offset.saturating_add(bytes.len() as u64) >= *total
            }
            Content::Value(_) | Content::Removed(_) => true,
        }
    }
}

/// The plaintext of one segment object.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SegmentBody {
    /// How many parts the segment has; this object's id says which one it is.
    pub parts: u32,
    /// The segment before, `None` at the beginning of a chain.
    pub previous: Option<Link>,
    /// Time of the first and the last change covered, in milliseconds since the Unix epoch.
    pub time: (u64, u64),
    /// Mergeable entries, ascending by name.
    pub mergeable: Vec<Entry>,
    /// Single-writer entries, ascending by name.
    pub single_writer: Vec<Entry>,
    /// Reserved for what later versions add; readers of version 1 skip it.
    pub extensions: Vec<(u32, Vec<u8>)>,
}

/// One segment, fixed to the byte: its parts, and the hash of the segment before, which is needed to open them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Link {
    /// Ids and hashes of the parts, ascending.
    pub parts: Vec<ObjectRef>,
    /// [`Link::hash`] of the segment before, [`ObjectHash::NONE`] at the beginning of a chain.
    pub previous: ObjectHash,
}

impl Link {
    /// The hash by which the next segment names this one.
    pub fn hash(&self) -> ObjectHash {
        ObjectHash::of_parts(&self.parts)
    }

    /// The first and last sequence number covered.
    pub fn range(&self) -> (u64, u64) {
        self.parts.first().map_or((0, 0), |part| (part.id.from, part.id.to))
    }

    /// Whether this can be a segment of `writer`: all its parts, in order, of one range.
    pub(crate) fn check(&self, writer: WriterId) -> Result<()> {
        let broken = Error::BrokenChain { what: "a segment's parts do not belong together" };
        let Some(first) = self.parts.first() else { return Err(broken) };
        let fits = (0..).zip(&self.parts).all(|(part, object)| {
            let expected = ObjectId { class: Class::Segment, writer, part, ..first.id };
            object.id == expected
        });
        if fits && (1..=first.id.to).contains(&first.id.from) { Ok(()) } else { Err(broken) }
    }
}
