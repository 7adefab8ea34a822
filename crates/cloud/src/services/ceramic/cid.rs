//! Names of blocks and streams.
//!
//! Source: the CID specification of multiformats (version 1, SHA-256 only), and CIP-59 of Ceramic
//! for stream ids.

use std::fmt;

use data_encoding::BASE32_NOPAD;
use sha2::{Digest, Sha256};

use super::base_x::{BASE36, encode};

/// The codecs of blocks that occur here, as varints.
const DAG_CBOR: &[u8] = &[0x71];
const DAG_JOSE: &[u8] = &[0x85, 0x01];
/// Multihash: SHA-256, 32 bytes.
const SHA2_256: &[u8] = &[0x12, 0x20];
/// Multicodec `streamid` (206) as a varint, then the type of the stream: 0, a tile.
const TILE: &[u8] = &[0xce, 0x01, 0x00];

/// The name of a block: its codec and its hash.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Cid(Box<[u8]>);

/// The name of a tile, as the service writes it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct StreamId(String);

impl Cid {
    /// Of a block of plain data.
    pub(super) fn of_cbor(block: &[u8]) -> Self {
        Self::of(DAG_CBOR, block)
    }

    /// Of a signed commit.
    pub(super) fn of_jose(block: &[u8]) -> Self {
        Self::of(DAG_JOSE, block)
    }

    fn of(codec: &[u8], block: &[u8]) -> Self {
        Self([&[1], codec, SHA2_256, &Sha256::digest(block)].concat().into())
    }

    /// Understands what the service wrote; `None` if it is not a name that occurs here.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let digits = text.strip_prefix('b')?;
        if digits.bytes().any(|b| b.is_ascii_uppercase()) {
            return None;
        }
        let bytes = BASE32_NOPAD.decode(digits.to_ascii_uppercase().as_bytes()).ok()?;
        let rest = bytes.strip_prefix(&[1])?;
        let hash = rest.strip_prefix(DAG_CBOR).or_else(|| rest.strip_prefix(DAG_JOSE))?;
        (hash.strip_prefix(SHA2_256)?.len() == 32).then(|| Self(bytes.into()))
    }

    pub(super) fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Display for Cid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "b{}", BASE32_NOPAD.encode(&self.0).to_ascii_lowercase())
    }
}

impl fmt::Debug for Cid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl StreamId {
    /// The tile that begins with a commit.
    pub(super) fn of_tile(genesis: &Cid) -> Self {
        Self(format!("k{}", encode(BASE36, &[TILE, genesis.as_bytes()].concat())))
    }

    /// Takes the name of a tile from where it was written down; `None` if it is none. It goes into
    /// addresses, so nothing but digits and letters comes through.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let digits = text.strip_prefix('k')?;
        let good = (50..=80).contains(&digits.len())
            && digits.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
        good.then(|| Self(text.to_owned()))
    }

    pub(super) fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for StreamId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_survives_printing_and_nothing_else_is_one() {
        for cid in [Cid::of_cbor(b"block"), Cid::of_jose(b"block")] {
            assert_eq!(Cid::parse(&cid.to_string()), Some(cid));
        }
        let good = Cid::of_cbor(b"block").to_string();
        for bad in [&good[1..], &good.to_uppercase(), &good[..good.len() - 2], "b", "", "bafy"] {
            assert_eq!(Cid::parse(bad), None, "{bad}");
        }
        let stream = StreamId::of_tile(&Cid::of_cbor(b"block"));
        assert_eq!(StreamId::parse(stream.as_str()), Some(stream));
        for bad in ["k/../../pins", "", "k", "kjz?x=y"] {
            assert_eq!(StreamId::parse(bad), None, "{bad}");
        }
    }
}
