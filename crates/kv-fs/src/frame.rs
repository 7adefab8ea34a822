//! One frame of the log: bytes in, bytes out. The format is specified in the book, `kv-fs-v1`.

use crate::{bytes::Reader, crc_shift::Appended};

/// Bytes of a frame before its payload.
pub(crate) const HEADER: usize = 40;
/// Frames begin at multiples of this.
pub(crate) const ALIGN: usize = 8;

/// Sixteen random bytes per segment: frames left in a recycled segment never check out.
pub(crate) type Salt = [u8; 16];

/// What a frame says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A batch; its payload is that of `batch_bytes`.
    Batch = 1,
    /// The log goes on in another segment; written and synced before any frame there.
    Link = 2,
    /// The store was closed cleanly.
    Close = 3,
}

/// A frame that checks out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Frame<'a> {
    pub(crate) kind: Kind,
    /// Of the batch; of the last batch before it in a link or close frame.
    pub(crate) sequence: u64,
    /// The highest sequence known to be durable when this was written.
    pub(crate) durable_to: u64,
    /// Checksum of the frame before (of the segment's header in the first frame of a start segment).
    pub(crate) previous: u32,
    pub(crate) crc: u32,
    pub(crate) payload: &'a [u8],
    /// Bytes to the next frame.
    pub(crate) len: usize,
}

/// Bytes of a frame with such a payload.
pub(crate) fn len(payload: usize) -> usize {
    HEADER + payload.next_multiple_of(ALIGN)
}

/// What a frame is made of.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Parts<'a> {
    pub(crate) kind: Kind,
    pub(crate) sequence: u64,
    pub(crate) durable_to: u64,
    pub(crate) previous: u32,
    pub(crate) payload: &'a [u8],
}

/// Appends a frame and answers its checksum.
pub(crate) fn encode(out: &mut Vec<u8>, salt: &Salt, parts: Parts<'_>) -> u32 {
    let padding = padding(parts.payload.len());
    let crc = [parts.payload, padding]
        .iter()
        .fold(head_crc(salt, &parts), |crc, bytes| crc32c::crc32c_append(crc, bytes));
    put_head(out, salt, &parts, crc);
    out.extend_from_slice(parts.payload);
    out.extend_from_slice(padding);
    crc
}

/// Appends what comes before the rest of the payload, which begins with byte [`REST`], and answers
/// the checksum of the frame. The rest and its padding have this checksum.
pub(crate) fn encode_front(
    out: &mut Vec<u8>,
    salt: &Salt,
    parts: Parts<'_>,
    rest: Appended,
) -> u32 {
    let front = parts.payload.get(..REST).unwrap_or(parts.payload);
    let crc = rest.to(crc32c::crc32c_append(head_crc(salt, &parts), front));
    put_head(out, salt, &parts, crc);
    out.extend_from_slice(front);
    crc
}

/// Where the part of a payload begins that is known before its batch has its place in the order.
pub(crate) const REST: usize = 8;

/// The checksum of that part and the padding.
pub(crate) fn rest_crc(payload: &[u8]) -> Appended {
    let (rest, padding) = (payload.get(REST..).unwrap_or_default(), padding(payload.len()));
    let crc = crc32c::crc32c_append(crc32c::crc32c(rest), padding);
    Appended::new(crc, rest.len() + padding.len())
}

/// What fills up a payload of this length.
pub(crate) fn padding(payload: usize) -> &'static [u8] {
    const ZEROS: [u8; ALIGN] = [0; ALIGN];
    ZEROS.get(..payload.next_multiple_of(ALIGN) - payload).unwrap_or_default()
}

fn head(salt: &Salt, parts: &Parts<'_>) -> [u8; HEADER - 4] {
    let fields: [&[u8]; 7] = [
        &mark(salt),
        // A payload has less than 4 GiB: a batch is refused before it grows that far.
        &(parts.payload.len() as u32).to_le_bytes(),
        &parts.sequence.to_le_bytes(),
        &parts.durable_to.to_le_bytes(),
        &parts.previous.to_le_bytes(),
        &(parts.kind as u32).to_le_bytes(),
        &[0; 4],
    ];
    let mut head = [0; HEADER - 4];
    for (place, byte) in head.iter_mut().zip(fields.into_iter().flatten()) {
        *place = *byte;
    }
    head
}

fn head_crc(salt: &Salt, parts: &Parts<'_>) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c(salt), &head(salt, parts))
}

fn put_head(out: &mut Vec<u8>, salt: &Salt, parts: &Parts<'_>, crc: u32) {
    out.extend_from_slice(&head(salt, parts));
    out.extend_from_slice(&crc.to_le_bytes());
}

/// The frame at the front of these bytes, if there is one and it checks out.
pub(crate) fn decode<'a>(bytes: &'a [u8], salt: &Salt) -> Option<Frame<'a>> {
    let mut reader = Reader(bytes);
    let head = Reader(bytes).take(HEADER - 4)?;
    if reader.array()? != mark(salt) {
        return None;
    }
    let payload_len = reader.u32()? as usize;
    let sequence = reader.number()?;
    let durable_to = reader.number()?;
    let previous = reader.u32()?;
    let kind = match reader.u32()? {
        1 => Kind::Batch,
        2 => Kind::Link,
        3 => Kind::Close,
        _ => return None,
    };
    reader.u32()?;
    let crc = reader.u32()?;
    let padded = reader.take(payload_len.next_multiple_of(ALIGN))?;
    let found = [head, padded]
        .iter()
        .fold(crc32c::crc32c(salt), |crc, bytes| crc32c::crc32c_append(crc, bytes));
    let payload = padded.get(..payload_len)?;
    let len = HEADER + padded.len();
    (found == crc).then_some(Frame { kind, sequence, durable_to, previous, crc, payload, len })
}

/// Whether bytes that do not check out look like the beginning of the frame that was due here: a
/// torn or damaged frame rather than space never written.
pub(crate) fn resembles(bytes: &[u8], salt: &Salt, sequence: u64, previous: Option<u32>) -> bool {
    let mut reader = Reader(bytes);
    let Some(found_mark) = reader.array() else { return false };
    let mut fields = || Some((reader.u32()?, reader.u64()?, reader.u64()?, reader.u32()?));
    let Some((_, found_sequence, _, found_previous)) = fields() else {
        return found_mark == mark(salt);
    };
    found_mark == mark(salt) || found_sequence == sequence || Some(found_previous) == previous
}

/// The first bytes of each frame of a segment, so that a search for frames is cheap.
fn mark(salt: &Salt) -> [u8; 4] {
    let [a, b, c, d, ..] = *salt;
    [a, b, c, d]
}

#[cfg(test)]
mod tests {
    use super::*;

    const SALT: Salt = *b"0123456789abcdef";

    fn parts(payload: &[u8]) -> Parts<'_> {
        Parts { kind: Kind::Batch, sequence: 7, durable_to: 5, previous: 0xdead_beef, payload }
    }

    #[test]
    fn golden_frame_bytes() {
        let mut bytes = Vec::new();
        encode(&mut bytes, &SALT, parts(b"a payload of 21 bytes"));
        assert_eq!(bytes, include_bytes!("../tests/golden/v1/frame.bin"));
        let frame = decode(&bytes, &SALT).unwrap();
        assert_eq!((frame.sequence, frame.durable_to, frame.len), (7, 5, bytes.len()));
        assert_eq!(frame.payload, b"a payload of 21 bytes");
    }

    #[test]
    fn a_frame_made_of_its_front_and_its_rest_is_the_same() {
        for len in [0, 3, 8, 9, 16, 100, 5000] {
            let payload: Vec<u8> = (0..len).map(|at| at as u8).collect();
            let (mut whole, mut front) = (Vec::new(), Vec::new());
            let crc = encode(&mut whole, &SALT, parts(&payload));
            assert_eq!(encode_front(&mut front, &SALT, parts(&payload), rest_crc(&payload)), crc);
            front.extend_from_slice(payload.get(REST..).unwrap_or_default());
            front.extend_from_slice(padding(len));
            assert_eq!(front, whole, "{len}");
        }
    }

    #[test]
    fn every_byte_of_a_frame_is_covered() {
        let mut bytes = Vec::new();
        encode(&mut bytes, &SALT, parts(b"odd"));
        for at in 0..bytes.len() {
            let mut damaged = bytes.clone();
            damaged[at] ^= 0x10;
            assert_eq!(decode(&damaged, &SALT), None, "byte {at}");
            assert_eq!(decode(&bytes[..at], &SALT), None, "cut at {at}");
        }
        assert!(decode(&bytes, &SALT).is_some());
        assert_eq!(decode(&bytes, b"0123another salt"), None);
    }
}
