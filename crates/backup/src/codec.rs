//! The wire codec of backup objects and log entries: bincode with a fixed configuration.
//!
//! Little-endian, fixed-width integers, u64 lengths; specified to the byte on the format pages, so
//! the crate behind it can be replaced without changing a byte.

use bincode::config::{Configuration, Fixint, Limit, LittleEndian, Varint};
use serde::{Deserialize, Serialize};

/// The ceiling for all that is decoded. Before it counts what is there: texts and bytes are
/// borrowed from the input first (see [`text`] and [`bytes`]), so no length reserves more.
const MAX_DECODED: usize = 1 << 30;

const CONFIG: Configuration<LittleEndian, Fixint, Limit<MAX_DECODED>> =
    bincode::config::standard().with_little_endian().with_fixed_int_encoding().with_limit();

/// For what stays on the device: the same, but small numbers take one byte.
const SMALL: Configuration<LittleEndian, Varint, Limit<MAX_DECODED>> =
    bincode::config::standard().with_little_endian().with_variable_int_encoding().with_limit();

/// What was read is not what this format writes.
#[derive(Debug, thiserror::Error)]
#[error("cannot decode {what}")]
pub(crate) struct DecodeError {
    what: &'static str,
    source: Option<bincode::error::DecodeError>,
}

pub(crate) fn encode(value: &impl Serialize) -> Vec<u8> {
    // Encoding into memory fails only for types that serde cannot size; none of ours is one.
    bincode::serde::encode_to_vec(value, CONFIG).unwrap_or_default()
}

/// As [`encode`], behind what `out` holds.
pub(crate) fn encode_into(value: &impl Serialize, out: &mut Vec<u8>) {
    // As above; a `Vec` takes every write.
    bincode::serde::encode_into_std_write(value, out, CONFIG).unwrap_or_default();
}

pub(crate) fn decode<'a, T: Deserialize<'a>>(
    what: &'static str,
    bytes: &'a [u8],
) -> Result<T, DecodeError> {
    match bincode::serde::borrow_decode_from_slice(bytes, CONFIG) {
        Ok((value, read)) if read == bytes.len() => Ok(value),
        Ok(_) => Err(DecodeError { what, source: None }),
        Err(source) => Err(DecodeError { what, source: Some(source) }),
    }
}

/// Decodes the first thing in `bytes`; also what follows it.
pub(crate) fn decode_first<'a, T: Deserialize<'a>>(
    what: &'static str,
    bytes: &'a [u8],
) -> Result<(T, &'a [u8]), DecodeError> {
    let decoded = bincode::serde::borrow_decode_from_slice(bytes, CONFIG);
    let (value, read) = decoded.map_err(|source| DecodeError { what, source: Some(source) })?;
    Ok((value, bytes.get(read..).unwrap_or_default()))
}

pub(crate) fn encode_small(value: &impl Serialize) -> Vec<u8> {
    bincode::serde::encode_to_vec(value, SMALL).unwrap_or_default()
}

pub(crate) fn decode_small<'a, T: Deserialize<'a>>(
    what: &'static str,
    bytes: &'a [u8],
) -> Result<T, DecodeError> {
    match bincode::serde::borrow_decode_from_slice(bytes, SMALL) {
        Ok((value, read)) if read == bytes.len() => Ok(value),
        Ok(_) => Err(DecodeError { what, source: None }),
        Err(source) => Err(DecodeError { what, source: Some(source) }),
    }
}

/// Byte strings: a length, then one run of bytes. `Vec<u8>` is written the same way, but read byte by byte.
pub(crate) mod bytes {
    use std::fmt;

    use serde::{Deserializer, Serializer, de::Visitor};

    pub(crate) fn serialize<S: Serializer>(bytes: &[u8], s: S) -> Result<S::Ok, S::Error> {
        s.serialize_bytes(bytes)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(d: D) -> Result<Vec<u8>, D::Error> {
        struct Bytes;
        impl Visitor<'_> for Bytes {
            type Value = Vec<u8>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("bytes")
            }

            fn visit_bytes<E>(self, bytes: &[u8]) -> Result<Vec<u8>, E> {
                Ok(bytes.to_vec())
            }
        }
        d.deserialize_bytes(Bytes)
    }
}

/// Text: as `String` is written, but read without reserving what its length claims.
pub(crate) mod text {
    use std::fmt;

    use serde::{Deserializer, Serializer, de::Visitor};

    pub(crate) fn serialize<S: Serializer>(text: &str, s: S) -> Result<S::Ok, S::Error> {
        s.serialize_str(text)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(d: D) -> Result<String, D::Error> {
        struct Text;
        impl Visitor<'_> for Text {
            type Value = String;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("text")
            }

            fn visit_str<E>(self, text: &str) -> Result<String, E> {
                Ok(text.to_owned())
            }
        }
        d.deserialize_str(Text)
    }
}
