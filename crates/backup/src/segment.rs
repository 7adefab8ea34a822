//! Segments: the last change per key of a contiguous run of batches.

use kv_core::{Key, Namespace};
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

/// A [`Content`] that is only looked at, where it lies. Encoded as that is.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(crate) enum ContentRef<'a> {
    Value(#[serde(serialize_with = "codec::bytes::serialize")] &'a [u8]),
    Piece {
        offset: u64,
        total: u64,
        #[serde(serialize_with = "codec::bytes::serialize")]
        bytes: &'a [u8],
    },
    Removed(Option<Stamp>),
}

/// An [`Entry`] that is only looked at.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(crate) struct EntryRef<'a> {
    #[serde(borrow)]
    pub(crate) name: NameRef<'a>,
    #[serde(borrow)]
    pub(crate) content: ContentRef<'a>,
}

/// An [`EntryName`] that is only looked at.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(crate) struct NameRef<'a> {
    pub(crate) primary: &'a str,
    pub(crate) secondary: &'a str,
    pub(crate) key: &'a str,
}

impl<'a> NameRef<'a> {
    pub(crate) fn new(ns: &'a Namespace, key: &'a Key) -> Self {
        Self { primary: ns.primary(), secondary: ns.secondary(), key: key.as_str() }
    }

    pub(crate) fn of(name: &'a EntryName) -> Self {
        Self { primary: &name.primary, secondary: &name.secondary, key: &name.key }
    }

    pub(crate) fn to_owned(self) -> EntryName {
        EntryName {
            primary: self.primary.to_owned(),
            secondary: self.secondary.to_owned(),
            key: self.key.to_owned(),
        }
    }
}

impl<'a> EntryRef<'a> {
    pub(crate) fn of(entry: &'a Entry) -> Self {
        let content = match &entry.content {
            Content::Value(value) => ContentRef::Value(value),
            Content::Piece { offset, total, bytes } => {
                ContentRef::Piece { offset: *offset, total: *total, bytes }
            }
            Content::Removed(stamp) => ContentRef::Removed(*stamp),
        };
        Self { name: NameRef::of(&entry.name), content }
    }

    pub(crate) fn to_owned(self) -> Entry {
        let content = match self.content {
            ContentRef::Value(value) => Content::Value(value.to_vec()),
            ContentRef::Piece { offset, total, bytes } => {
                Content::Piece { offset, total, bytes: bytes.to_vec() }
            }
            ContentRef::Removed(stamp) => Content::Removed(stamp),
        };
        Entry { name: self.name.to_owned(), content }
    }
}

impl ContentRef<'_> {
    /// How many live entries it completes, and how many bytes of values it holds.
    pub(crate) fn counts(&self) -> (u64, u64) {
        match self {
            Self::Value(value) => (1, value.len() as u64),
            Self::Piece { offset, total, bytes } => {
                let len = bytes.len() as u64;
                (u64::from(offset.saturating_add(len) == *total), len)
            }
            Self::Removed(_) => (0, 0),
        }
    }

    /// The bytes it holds.
    pub(crate) fn len(&self) -> usize {
        match self {
            Self::Value(bytes) | Self::Piece { bytes, .. } => bytes.len(),
            Self::Removed(_) => 0,
        }
    }
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
