//! The frame of a mergeable value: when and by whom it was written, then its bytes.
//!
//! `[version u8 = 1][time u64][counter u32][writer 16 bytes][bytes]`, little-endian; see `segment-v1`.

use kv_core::Value;

use crate::{Error, Stamp, WriterId, log::STORE};

const VERSION: u8 = 1;
const HEADER: usize = 1 + 8 + 4 + 16;

pub(crate) fn wrap(stamp: &Stamp, bytes: &[u8]) -> Value {
    let mut frame = Vec::with_capacity(HEADER + bytes.len());
    frame.push(VERSION);
    frame.extend_from_slice(&stamp.time.to_le_bytes());
    frame.extend_from_slice(&stamp.counter.to_le_bytes());
    frame.extend_from_slice(stamp.writer.as_bytes());
    frame.extend_from_slice(bytes);
    frame.into()
}

/// Why a value is no frame of this version.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NoFrame {
    Damaged,
    TooNew { found: u8 },
}

/// The stamp and the bytes, without copying them.
pub(crate) fn unwrap(value: Value) -> Result<(Stamp, Value), NoFrame> {
    let stamp = stamp(&value)?;
    Ok((stamp, value.into_bytes().slice(HEADER..).into()))
}

/// The bytes alone.
pub(crate) fn content(value: &[u8]) -> Result<&[u8], NoFrame> {
    stamp(value)?;
    value.get(HEADER..).ok_or(NoFrame::Damaged)
}

/// The stamp alone.
pub(crate) fn stamp(value: &[u8]) -> Result<Stamp, NoFrame> {
    let (version, rest) = value.split_first().ok_or(NoFrame::Damaged)?;
    // Of a later version nothing but this byte is known.
    match *version {
        0 => return Err(NoFrame::Damaged),
        VERSION => {}
        found => return Err(NoFrame::TooNew { found }),
    }
    read_stamp(rest).ok_or(NoFrame::Damaged)
}

fn read_stamp(bytes: &[u8]) -> Option<Stamp> {
    let (time, rest) = bytes.split_first_chunk()?;
    let (counter, rest) = rest.split_first_chunk()?;
    let (writer, _) = rest.split_first_chunk()?;
    Some(Stamp {
        time: u64::from_le_bytes(*time),
        counter: u32::from_le_bytes(*counter),
        writer: WriterId::from_bytes(*writer),
    })
}

const WHAT: &str = "a mergeable value has no frame";

/// Of a value in the store of this installation.
impl From<NoFrame> for kv_core::Error {
    fn from(no: NoFrame) -> Self {
        match no {
            NoFrame::Damaged => Self::corrupt(STORE, WHAT),
            NoFrame::TooNew { found } => {
                Self::TooNew { store: STORE, found: found.into(), newest: VERSION.into() }
            }
        }
    }
}

/// Of a value in a cloud.
impl From<NoFrame> for Error {
    fn from(no: NoFrame) -> Self {
        match no {
            NoFrame::Damaged => Self::BrokenChain { what: WHAT },
            NoFrame::TooNew { .. } => Self::Store(no.into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_frame_is_fixed_to_the_byte() {
        let stamp = Stamp { time: 0x0102, counter: 3, writer: WriterId::from_bytes([9; 16]) };
        let framed = wrap(&stamp, b"xy");
        let mut expected = vec![1, 2, 1, 0, 0, 0, 0, 0, 0, 3, 0, 0, 0];
        expected.extend([9; 16]);
        expected.extend(b"xy");
        assert_eq!(&*framed, expected);
        assert_eq!(unwrap(framed), Ok((stamp, Value::from(b"xy"))));
    }

    #[test]
    fn a_newer_frame_is_told_from_damage() {
        for damaged in [&[][..], &[0; HEADER], &[1; HEADER - 1]] {
            assert_eq!(unwrap(Value::from(damaged)), Err(NoFrame::Damaged));
        }
        for newer in [&[2][..], &[2; HEADER], &[255; HEADER]] {
            let found = newer[0];
            assert_eq!(unwrap(Value::from(newer)), Err(NoFrame::TooNew { found }));
        }
        let local = kv_core::Error::from(NoFrame::TooNew { found: 2 });
        assert!(matches!(local, kv_core::Error::TooNew { found: 2, newest: 1, .. }));
        let cloud = Error::from(NoFrame::TooNew { found: 2 });
        assert!(matches!(cloud, Error::Store(kv_core::Error::TooNew { found: 2, .. })));
        assert!(matches!(Error::from(NoFrame::Damaged), Error::BrokenChain { .. }));
    }
}
