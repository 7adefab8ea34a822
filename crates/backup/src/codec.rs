//! The wire codec of backup objects and log entries: bincode with a fixed configuration.
//!
//! Little-endian, fixed-width integers, u64 lengths; specified to the byte on the format pages, so
//! the crate behind it can be replaced without changing a byte.

use bincode::config::{Configuration, Fixint, Limit, LittleEndian};
use serde::{Serialize, de::DeserializeOwned};

/// No decoded object may claim more than this many bytes: a length field is not trusted.
pub(crate) const MAX_DECODED: usize = 1 << 30;

const CONFIG: Configuration<LittleEndian, Fixint, Limit<MAX_DECODED>> =
    bincode::config::standard().with_little_endian().with_fixed_int_encoding().with_limit();

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

pub(crate) fn decode<T: DeserializeOwned>(
    what: &'static str,
    bytes: &[u8],
) -> Result<T, DecodeError> {
    match bincode::serde::decode_from_slice(bytes, CONFIG) {
        Ok((value, read)) if read == bytes.len() => Ok(value),
        Ok(_) => Err(DecodeError { what, source: None }),
        Err(source) => Err(DecodeError { what, source: Some(source) }),
    }
}
