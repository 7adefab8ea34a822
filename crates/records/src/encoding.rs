//! Keys as bytes, in an order that is the order of the keys (format page `records-v1`).

use std::sync::Arc;

use crate::{Number, RecordKey};

/// An encoded key. No encoding is the beginning of another, so that encodings can be concatenated
/// and still compare key by key.
pub(crate) type EncodedKey = Arc<[u8]>;

/// Ends an array; below every tag, so that a shorter array comes first.
const END: u8 = 0x00;
const NUMBER: u8 = 0x10;
const DATE: u8 = 0x20;
const STRING: u8 = 0x30;
const BINARY: u8 = 0x40;
const ARRAY: u8 = 0x50;

/// A zero byte in a string or binary is followed by one of the next two.
const ZERO: u8 = 0x00;
/// The string or binary ends here: before all that go on.
const STOP: u8 = 0x00;
/// The zero byte is content.
const ESCAPED: u8 = 0xFF;

/// The lead bytes of U+E000 to U+FFFF in UTF-8, and what stands for them here: UTF-16 orders these
/// characters after the supplementary ones (lead bytes F0 to F4), UTF-8 before.
const MOVED: [(u8, u8); 2] = [(0xEE, 0xF5), (0xEF, 0xF6)];

const SIGN: u64 = 1 << 63;

impl RecordKey {
    /// The key as bytes: comparing two encodings bytewise compares the keys.
    pub fn encode(&self) -> Vec<u8> {
        // Most keys are shorter than this, and one allocation is faster than four.
        let mut out = Vec::with_capacity(128);
        encode_into(self, &mut out);
        out
    }
}

/// The beginning that all arrays beginning with `keys` share, and no other key has.
pub(crate) fn array_prefix(keys: &[RecordKey]) -> Vec<u8> {
    let mut out = vec![ARRAY];
    for key in keys {
        encode_into(key, &mut out);
    }
    out
}

/// Writes the encoding of a key behind what is there.
pub(crate) fn encode_into(key: &RecordKey, out: &mut Vec<u8>) {
    match key {
        RecordKey::Number(number) => {
            out.push(NUMBER);
            let bits = number.floor.to_bits();
            // Negative doubles count downwards in their bits; the others need the sign bit set.
            let ordered = if bits & SIGN == 0 { bits | SIGN } else { !bits };
            out.extend_from_slice(&ordered.to_be_bytes());
            out.extend_from_slice(&number.rest.to_be_bytes());
        }
        RecordKey::Date(millis) => {
            out.push(DATE);
            out.extend_from_slice(&(millis.cast_unsigned() ^ SIGN).to_be_bytes());
        }
        RecordKey::String(text) => {
            out.push(STRING);
            if text.bytes().any(is_moved) {
                let bytes: Vec<u8> = text.bytes().map(lead_to_utf16_order).collect();
                escape(&bytes, out);
            } else {
                escape(text.as_bytes(), out);
            }
        }
        RecordKey::Binary(bytes) => {
            out.push(BINARY);
            escape(bytes, out);
        }
        RecordKey::Array(keys) => {
            out.push(ARRAY);
            for key in keys {
                encode_into(key, out);
            }
            out.push(END);
        }
    }
}

fn escape(bytes: &[u8], out: &mut Vec<u8>) {
    let mut runs = bytes.split(|byte| *byte == ZERO);
    out.extend_from_slice(runs.next().unwrap_or_default());
    for run in runs {
        out.extend_from_slice(&[ZERO, ESCAPED]);
        out.extend_from_slice(run);
    }
    out.extend_from_slice(&[ZERO, STOP]);
}

fn is_moved(byte: u8) -> bool {
    MOVED.iter().any(|(utf8, _)| *utf8 == byte)
}

fn lead_to_utf16_order(byte: u8) -> u8 {
    MOVED.iter().find(|(utf8, _)| *utf8 == byte).map_or(byte, |(_, here)| *here)
}

fn lead_to_utf8(byte: u8) -> u8 {
    MOVED.iter().find(|(_, here)| *here == byte).map_or(byte, |(utf8, _)| *utf8)
}

/// The key whose encoding `bytes` is; `None` if they are none. Does not recurse.
pub(crate) fn decode(bytes: &[u8]) -> Option<RecordKey> {
    let mut rest = bytes;
    let mut open: Vec<Vec<RecordKey>> = Vec::new();
    loop {
        let key = match take(&mut rest)? {
            NUMBER => {
                let ordered = u64::from_be_bytes(take_array(&mut rest)?);
                let bits = if ordered & SIGN == 0 { !ordered } else { ordered & !SIGN };
                let floor = f64::from_bits(bits);
                let rest = u16::from_be_bytes(take_array(&mut rest)?);
                RecordKey::Number(Number { floor, rest })
            }
            DATE => {
                let ordered = u64::from_be_bytes(take_array(&mut rest)?);
                RecordKey::Date((ordered ^ SIGN).cast_signed())
            }
            STRING => {
                let bytes = unescape(&mut rest)?.into_iter().map(lead_to_utf8).collect();
                RecordKey::String(String::from_utf8(bytes).ok()?)
            }
            BINARY => RecordKey::Binary(unescape(&mut rest)?),
            ARRAY => {
                open.push(Vec::new());
                continue;
            }
            END => RecordKey::Array(open.pop()?),
            _ => return None,
        };
        match open.last_mut() {
            Some(array) => array.push(key),
            None => return rest.is_empty().then_some(key),
        }
    }
}

fn take(rest: &mut &[u8]) -> Option<u8> {
    let (first, others) = rest.split_first()?;
    *rest = others;
    Some(*first)
}

fn take_array<const N: usize>(rest: &mut &[u8]) -> Option<[u8; N]> {
    let (first, others) = rest.split_first_chunk::<N>()?;
    *rest = others;
    Some(*first)
}

fn unescape(rest: &mut &[u8]) -> Option<Vec<u8>> {
    let mut out = Vec::new();
    loop {
        match take(rest)? {
            ZERO => match take(rest)? {
                STOP => return Some(out),
                ESCAPED => out.push(ZERO),
                _ => return None,
            },
            byte => out.push(byte),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn any_key() -> impl Strategy<Value = RecordKey> {
        let leaf = prop_oneof![
            any::<f64>().prop_filter_map("NaN is no key", |n| RecordKey::try_from(n).ok()),
            any::<u64>().prop_map(RecordKey::from),
            any::<i64>().prop_map(RecordKey::from),
            any::<i64>().prop_map(RecordKey::Date),
            any::<String>().prop_map(RecordKey::String),
            "[\0a\u{E000}-\u{FFFF}\u{10000}]{0,4}".prop_map(RecordKey::String),
            prop::collection::vec(prop_oneof![Just(0u8), any::<u8>()], 0..5)
                .prop_map(RecordKey::Binary),
        ];
        leaf.prop_recursive(3, 16, 4, |inner| {
            prop::collection::vec(inner, 0..4).prop_map(RecordKey::Array)
        })
    }

    proptest! {
        #[test]
        fn what_is_encoded_is_decoded(key in any_key()) {
            prop_assert_eq!(decode(&key.encode()), Some(key));
        }

        #[test]
        fn any_bytes_are_decoded_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..40)) {
            let _ = decode(&bytes);
        }
    }

    #[test]
    fn a_cut_or_continued_encoding_is_none() {
        let bytes = RecordKey::from((1u8, "a\0", RecordKey::Date(-1), [0u8; 3])).encode();
        for end in 0..bytes.len() {
            assert_eq!(decode(&bytes[..end]), None, "{end}");
        }
        assert_eq!(decode(&[bytes, vec![0]].concat()), None);
    }
}
