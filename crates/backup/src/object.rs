//! What an object is: its class, writer, place in the chain and hash, and the name made from them.

use std::fmt;

use data_encoding::BASE32_NOPAD;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::{BadObjectName, ObjectName};

/// The random id of one installation: each has one chain of its own.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct WriterId([u8; 16]);

/// SHA-256 of an object's sealed bytes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ObjectHash([u8; 32]);

/// What an object holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Class {
    /// Names a chain's newest objects.
    Head,
    /// The last change per key of a run of batches.
    Segment,
    /// A part of the full state.
    DumpPart,
    /// Names the parts of one dump.
    DumpIndex,
}

/// Everything an object's name shows, except its hash.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ObjectId {
    /// What it holds.
    pub class: Class,
    /// Whose chain it belongs to.
    pub writer: WriterId,
    /// The fencing epoch; 0 until takeovers exist.
    pub epoch: u32,
    /// The first sequence number covered (of a head: the head's own number).
    pub from: u64,
    /// The last sequence number covered.
    pub to: u64,
    /// Which part of several.
    pub part: u32,
}

/// An object that is fixed to the byte: id and hash.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ObjectRef {
    /// Which object.
    pub id: ObjectId,
    /// Its exact sealed bytes.
    pub hash: ObjectHash,
}

impl WriterId {
    /// A new installation.
    pub fn random() -> Result<Self, getrandom::Error> {
        let mut bytes = [0; 16];
        getrandom::fill(&mut bytes)?;
        Ok(Self(bytes))
    }

    /// A known one.
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// The raw id.
    pub fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }
}

impl ObjectHash {
    /// The "previous hash" of an object that has none before it.
    pub const NONE: Self = Self([0; 32]);

    /// Hashes sealed bytes.
    pub fn of(sealed: &[u8]) -> Self {
        Self(Sha256::digest(sealed).into())
    }

    /// One hash over those of several parts.
    pub fn of_parts(parts: &[ObjectRef]) -> Self {
        let mut hash = Sha256::new();
        parts.iter().for_each(|part| hash.update(part.hash.0));
        Self(hash.finalize().into())
    }

    /// The raw hash.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl Class {
    fn letter(self) -> &'static str {
        match self {
            Self::Head => "h",
            Self::Segment => "s",
            Self::DumpPart => "d",
            Self::DumpIndex => "i",
        }
    }

    fn from_letter(letter: &str) -> Option<Self> {
        [Self::Head, Self::Segment, Self::DumpPart, Self::DumpIndex]
            .into_iter()
            .find(|class| class.letter() == letter)
    }
}

impl ObjectRef {
    /// The object's name in the cloud of the wallet with this tag:
    /// `sr1/TAG/CLASS/WRITER/EPOCH-FROM-TO-PART-HASH`.
    pub fn name(&self, tag: &[u8; 16]) -> ObjectName {
        let id = &self.id;
        let name = format!(
            "{}/{:010}-{:020}-{:020}-{:010}-{}",
            writer_folder(tag, id.class, id.writer),
            id.epoch,
            id.from,
            id.to,
            id.part,
            base32(self.hash.as_bytes()),
        );
        ObjectName::trusted(&name)
    }

    /// Reads a name back; [`BadObjectName`] if it is not one of this wallet's.
    pub fn parse(tag: &[u8; 16], name: &ObjectName) -> Result<Self, BadObjectName> {
        let parsed = Self::parse_inner(name).ok_or(BadObjectName)?;
        // One spelling only: what was parsed must write back to the same name, tag included.
        if parsed.name(tag) == *name { Ok(parsed) } else { Err(BadObjectName) }
    }

    fn parse_inner(name: &ObjectName) -> Option<Self> {
        let mut parts = name.as_str().split('/').skip(2);
        let class = Class::from_letter(parts.next()?)?;
        let writer = WriterId(unbase32(parts.next()?)?);
        let mut fields = parts.next()?.split('-');
        let epoch = fields.next()?.parse().ok()?;
        let from = fields.next()?.parse().ok()?;
        let to = fields.next()?.parse().ok()?;
        let part = fields.next()?.parse().ok()?;
        let hash = ObjectHash(unbase32(fields.next()?)?);
        Some(Self { id: ObjectId { class, writer, epoch, from, to, part }, hash })
    }
}

/// The folder in which a wallet keeps everything: `sr1/TAG`.
pub fn wallet_prefix(tag: &[u8; 16]) -> ObjectName {
    let name = format!("sr1/{}", base32(tag));
    ObjectName::trusted(&name)
}

/// The folder in which a wallet keeps one class of objects: `sr1/TAG/CLASS`. Listing that of the
/// heads is the whole poll.
pub fn class_prefix(tag: &[u8; 16], class: Class) -> ObjectName {
    let name = format!("{}/{}", wallet_prefix(tag), class.letter());
    ObjectName::trusted(&name)
}

/// The folder in which a wallet keeps what one writer has of one class: `sr1/TAG/CLASS/WRITER`. Its
/// names ascend by epoch and sequence.
pub fn writer_prefix(tag: &[u8; 16], class: Class, writer: WriterId) -> ObjectName {
    ObjectName::trusted(&writer_folder(tag, class, writer))
}

fn writer_folder(tag: &[u8; 16], class: Class, writer: WriterId) -> String {
    format!("{}/{}", class_prefix(tag, class), base32(writer.as_bytes()))
}

fn base32(bytes: &[u8]) -> String {
    BASE32_NOPAD.encode(bytes).to_ascii_lowercase()
}

fn unbase32<const N: usize>(text: &str) -> Option<[u8; N]> {
    let bytes = BASE32_NOPAD.decode(text.to_ascii_uppercase().as_bytes()).ok()?;
    bytes.try_into().ok()
}

impl fmt::Debug for WriterId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&base32(&self.0))
    }
}

impl fmt::Display for WriterId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

impl fmt::Debug for ObjectHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&base32(&self.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_read_back() {
        let tag = [7; 16];
        for class in [Class::Head, Class::Segment, Class::DumpPart, Class::DumpIndex] {
            let writer = WriterId::from_bytes([3; 16]);
            let id = ObjectId { class, writer, epoch: 0, from: 4, to: u64::MAX, part: 9 };
            let object = ObjectRef { id, hash: ObjectHash::of(b"x") };
            let name = object.name(&tag);
            assert_eq!(ObjectRef::parse(&tag, &name), Ok(object));
            assert!(name.is_below(&class_prefix(&tag, class)));
            assert_eq!(ObjectRef::parse(&[8; 16], &name), Err(BadObjectName), "another wallet's");
            let longer = ObjectName::new(&format!("{name}-x")).unwrap();
            assert_eq!(ObjectRef::parse(&tag, &longer), Err(BadObjectName), "a second spelling");
        }
    }
}
