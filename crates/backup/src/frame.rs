//! The frame of a mergeable value: when and by whom it was written, then its bytes.
//!
//! `[version u8 = 1][time u64][counter u32][writer 16 bytes][bytes]`, little-endian; see `segment-v1`.

use kv_core::Value;

use crate::{Stamp, WriterId};

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

/// The stamp and the bytes, without copying them; `None` if this is no frame of version 1.
pub(crate) fn unwrap(value: Value) -> Option<(Stamp, Value)> {
    let (version, rest) = value.split_first()?;
    let (time, rest) = rest.split_first_chunk()?;
    let (counter, rest) = rest.split_first_chunk()?;
    let (writer, _) = rest.split_first_chunk()?;
    if *version != VERSION {
        return None;
    }
    let stamp = Stamp {
        time: u64::from_le_bytes(*time),
        counter: u32::from_le_bytes(*counter),
        writer: WriterId::from_bytes(*writer),
    };
    Some((stamp, value.into_bytes().slice(HEADER..).into()))
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
        assert_eq!(unwrap(framed), Some((stamp, Value::from(b"xy"))));
        assert_eq!(unwrap(Value::from(&[1; HEADER - 1])), None);
        assert_eq!(unwrap(Value::from(&[2; HEADER])), None);
    }
}
