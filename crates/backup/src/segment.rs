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

    /// As [`codec::encode_into`], which takes most of its time for the many short pieces of an entry.
    pub(crate) fn encode_into(&self, out: &mut Vec<u8>) {
        let ContentRef::Value(value) = self.content else { return codec::encode_into(self, out) };
        let NameRef { primary, secondary, key } = self.name;
        for text in [primary, secondary, key] {
            out.extend_from_slice(&(text.len() as u64).to_le_bytes());
            out.extend_from_slice(text.as_bytes());
        }
        out.extend_from_slice(&VALUE.to_le_bytes());
        out.extend_from_slice(&(value.len() as u64).to_le_bytes());
        out.extend_from_slice(value);
    }
}

impl<'a> EntryRef<'a> {
    /// As [`codec::decode_first`], which takes most of its time likewise.
    pub(crate) fn decode_first(bytes: &'a [u8]) -> Result<(Self, &'a [u8]), codec::DecodeError> {
        match Self::whole_value(bytes) {
            Some(found) => Ok(found),
            None => codec::decode_first("part", bytes),
        }
    }

    /// The first entry, if it is a value and nothing is wrong with it.
    fn whole_value(bytes: &'a [u8]) -> Option<(Self, &'a [u8])> {
        let (primary, rest) = text(bytes)?;
        let (secondary, rest) = text(rest)?;
        let (key, rest) = text(rest)?;
        let (tag, rest) = rest.split_first_chunk()?;
        if u32::from_le_bytes(*tag) != VALUE {
            return None;
        }
        let (value, rest) = run(rest)?;
        let name = NameRef { primary, secondary, key };
        Some((Self { name, content: ContentRef::Value(value) }, rest))
    }
}

/// The number of [`ContentRef::Value`], the first variant.
const VALUE: u32 = 0;

fn text(bytes: &[u8]) -> Option<(&str, &[u8])> {
    let (text, rest) = run(bytes)?;
    Some((std::str::from_utf8(text).ok()?, rest))
}

/// A length, and so many bytes.
fn run(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (len, rest) = bytes.split_first_chunk()?;
    rest.split_at_checked(usize::try_from(u64::from_le_bytes(*len)).ok()?)
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

#[cfg(test)]
mod tests {
    use super::*;

    /// Whatever an entry is, and wherever its bytes end.
    #[test]
    fn entries_are_written_and_read_as_the_codec_does() {
        let stamp = Stamp { time: 5, counter: 6, writer: WriterId::from_bytes([7; 16]) };
        let long = [9; 300];
        let contents = [
            ContentRef::Value(b""),
            ContentRef::Value(&long),
            ContentRef::Piece { offset: 1, total: 400, bytes: &long },
            ContentRef::Removed(None),
            ContentRef::Removed(Some(stamp)),
        ];
        for content in contents {
            for (primary, secondary, key) in [("", "", "k"), ("~records", "activity", "a-key")] {
                let entry = EntryRef { name: NameRef { primary, secondary, key }, content };
                let mut bytes = vec![1, 2, 3];
                entry.encode_into(&mut bytes);
                assert_eq!(bytes[..3], [1, 2, 3]);
                let bytes = &bytes[3..];
                assert_eq!(bytes, codec::encode(&entry));
                let followed = [bytes, &[0, 1]].concat();
                let (read, rest) = EntryRef::decode_first(&followed).unwrap();
                assert_eq!((read.to_owned(), rest), (entry.to_owned(), &[0, 1][..]));
                for end in 0..bytes.len() {
                    assert!(EntryRef::decode_first(&bytes[..end]).is_err(), "{end} bytes");
                }
            }
        }
        // What is no text is none in either way, and no length is believed.
        let entry = EntryRef {
            name: NameRef { primary: "p", secondary: "s", key: "k" },
            content: ContentRef::Value(b"v"),
        };
        let good = codec::encode(&entry);
        for (at, bad) in [(8, 0xff), (7, 0xff), (0, 2), (27, 9), (31 + 7, 0x80)] {
            let mut bytes = good.clone();
            bytes[at] = bad;
            let ours = EntryRef::decode_first(&bytes).map(|(entry, rest)| (entry.to_owned(), rest));
            let codecs = codec::decode_first::<EntryRef<'_>>("part", &bytes);
            let codecs = codecs.map(|(entry, rest)| (entry.to_owned(), rest));
            assert_eq!(ours.ok(), codecs.ok(), "byte {at}");
        }
    }
}
