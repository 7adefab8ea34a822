//! Reading the log back: which frames survive, and whether what ends them is a torn tail or damage.

use std::collections::BTreeMap;

use kv_core::Result;

use crate::{
    batch_bytes::{self, RawChanges},
    bytes::Reader,
    fault,
    frame::{self, Frame, Kind, Salt},
    layout,
    segment::{self, Header, Parsed},
};

/// Segment files by the number in their name: header and all bytes.
pub(crate) type Segments = BTreeMap<u64, (Parsed, Vec<u8>)>;

/// A batch read back.
#[derive(Debug)]
pub(crate) struct Replayed<'a> {
    pub(crate) sequence: u64,
    pub(crate) payload: &'a [u8],
    pub(crate) first_creation: u64,
    pub(crate) changes: RawChanges<'a>,
}

/// What the log says.
#[derive(Debug)]
pub(crate) struct Replay<'a> {
    /// The batches that the index does not have yet, in order and without a gap.
    pub(crate) batches: Vec<Replayed<'a>>,
    /// The last thing in the log is the note of a clean close.
    pub(crate) clean: bool,
    /// Something after the last good frame was cut.
    pub(crate) torn: bool,
}

/// Reads the log from its beginning, `log_from` or the newest start segment. `applied` is the
/// last sequence the index has.
pub(crate) fn replay(segments: &Segments, log_from: u64, applied: u64) -> Result<Replay<'_>> {
    let newest_start = segments
        .iter()
        .rev()
        .find(|(_, (parsed, _))| matches!(parsed, Parsed::Good(Header { start: Some(_), .. })));
    let begin = newest_start.map_or(log_from, |(number, _)| log_from.max(*number));
    let mut walk = Walk {
        segments,
        applied,
        expected: None,
        previous: None,
        visited: Vec::new(),
        found: Replay { batches: Vec::new(), clean: false, torn: false },
    };
    let mut next = Some((begin, None));
    while let Some((number, salt)) = next {
        next = walk.segment(number, salt)?;
    }
    walk.nothing_unlinked()?;
    Ok(walk.found)
}

struct Walk<'a> {
    segments: &'a Segments,
    applied: u64,
    /// The sequence the next batch must have; unknown until the first.
    expected: Option<u64>,
    /// The checksum the next frame must name; unknown at the start of a segment whose predecessor is retired.
    previous: Option<u32>,
    visited: Vec<u64>,
    found: Replay<'a>,
}

impl<'a> Walk<'a> {
    /// Walks one segment; answers the segment that a link names.
    fn segment(&mut self, number: u64, salt: Option<Salt>) -> Result<Option<(u64, Option<Salt>)>> {
        let Some((parsed, bytes)) = self.segments.get(&number) else {
            return Err(fault::corrupt("a segment of the log is missing"));
        };
        let header = match parsed {
            Parsed::Good(header) => header,
            Parsed::TooNew(found) => return Err(too_new(*found)),
            Parsed::Damaged => {
                return Err(fault::corrupt("the header of a log segment is damaged"));
            }
        };
        if salt.is_some_and(|salt| salt != header.salt) || header.number != number {
            return Err(fault::corrupt("a segment of the log is not the one expected"));
        }
        if self.visited.contains(&number) {
            return Err(fault::corrupt("the log is linked in a circle"));
        }
        self.visited.push(number);
        let mut known_durable = 0;
        if let Some(start) = header.start
            && salt.is_none()
        {
            if start.base > self.applied {
                return Err(fault::corrupt("the index is older than the log"));
            }
            self.expected = Some(start.base + 1);
            self.previous = Some(header.crc);
            known_durable = start.until;
        }
        let mut offset = segment::HEADER;
        loop {
            let rest = bytes.get(offset..).unwrap_or_default();
            match frame::decode(rest, &header.salt).filter(|frame| self.is_next(frame)) {
                Some(frame) => {
                    offset += frame.len;
                    if let Some(link) = self.take(frame)? {
                        return Ok(Some(link));
                    }
                }
                None => match self.after_bad_frame(bytes, offset, header, known_durable)? {
                    Some(resume) => offset = resume,
                    None => return Ok(None),
                },
            }
        }
    }

    fn is_next(&self, frame: &Frame<'_>) -> bool {
        let due = match (frame.kind, self.expected) {
            (_, None) => true,
            (Kind::Batch, Some(expected)) => frame.sequence == expected,
            (_, Some(expected)) => frame.sequence + 1 == expected,
        };
        due && self.previous.is_none_or(|previous| previous == frame.previous)
    }

    /// Takes a good frame; answers where a link leads.
    fn take(&mut self, frame: Frame<'a>) -> Result<Option<(u64, Option<Salt>)>> {
        let first = if frame.kind == Kind::Batch { frame.sequence } else { frame.sequence + 1 };
        if self.expected.is_none() && first > self.applied + 1 {
            return Err(fault::corrupt("the index is older than the log"));
        }
        self.previous = Some(frame.crc);
        self.found.clean = frame.kind == Kind::Close;
        self.expected = Some(first);
        match frame.kind {
            Kind::Batch => {
                self.expected = Some(frame.sequence + 1);
                if frame.sequence > self.applied {
                    let (first_creation, changes) = batch_bytes::decode(frame.payload)
                        .ok_or_else(|| fault::corrupt("a batch in the log cannot be read"))?;
                    let (sequence, payload) = (frame.sequence, frame.payload);
                    self.found.batches.push(Replayed {
                        sequence,
                        payload,
                        first_creation,
                        changes,
                    });
                }
                Ok(None)
            }
            Kind::Close => Ok(None),
            Kind::Link => {
                let mut reader = Reader(frame.payload);
                match (reader.number(), reader.array()) {
                    (Some(number), Some(salt)) => Ok(Some((number, Some(salt)))),
                    _ => Err(fault::corrupt("a link in the log cannot be read")),
                }
            }
        }
    }

    /// No good frame is at `offset`. Damage is an error if anything proves that a batch the index
    /// does not have was durable here; else this is the end, or dead frames are skipped.
    fn after_bad_frame(
        &mut self,
        bytes: &[u8],
        offset: usize,
        header: &Header,
        known_durable: u64,
    ) -> Result<Option<usize>> {
        let due = self.expected.unwrap_or(self.applied + 1);
        let missing = due.max(self.applied + 1);
        if known_durable >= missing {
            return Err(fault::corrupt("a durable batch in the log is damaged"));
        }
        let rest = bytes.get(offset..).unwrap_or_default();
        let mut torn = frame::resembles(rest, &header.salt, due, self.previous);
        let mut later = offset + frame::ALIGN;
        while later < bytes.len() {
            let Some(frame) = frame::decode(bytes.get(later..).unwrap_or_default(), &header.salt)
            else {
                later += frame::ALIGN;
                continue;
            };
            let next = if frame.kind == Kind::Batch { frame.sequence } else { frame.sequence + 1 };
            // The sequence of a link proves nothing: it may have been written with that very batch.
            if frame.durable_to >= missing {
                return Err(fault::corrupt("a durable batch in the log is damaged"));
            }
            if self.expected.is_none_or(|due| due <= self.applied) && next <= missing {
                // Whatever is damaged in between is in the index: dead space.
                self.expected = Some(next);
                self.previous = Some(frame.previous);
                return Ok(Some(later));
            }
            torn = true;
            later += frame.len;
        }
        self.found.clean &= !torn;
        self.found.torn = torn;
        Ok(None)
    }

    /// A link is durable before any frame behind it: frames that no link leads to mean that one is damaged.
    fn nothing_unlinked(&self) -> Result<()> {
        let missing = self.expected.unwrap_or(0).max(self.applied + 1);
        for (number, (parsed, bytes)) in self.segments {
            let Parsed::Good(header) = parsed else { continue };
            if self.visited.contains(number) {
                continue;
            }
            let first = bytes.get(segment::HEADER..).unwrap_or_default();
            let first = frame::decode(first, &header.salt);
            if first.is_some_and(|frame| frame.sequence >= missing) {
                return Err(fault::corrupt("a link in the log is damaged"));
            }
        }
        Ok(())
    }
}

pub(crate) fn too_new(found: u32) -> kv_core::Error {
    kv_core::Error::TooNew { store: fault::STORE, found, newest: layout::FORMAT }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{batch_bytes::Changes, frame::Parts, segment::Start};

    const SALT: Salt = *b"0123456789abcdef";

    fn push(bytes: &mut Vec<u8>, sequence: u64, durable_to: u64, previous: u32) -> u32 {
        let payload = batch_bytes::encode(&Changes::new());
        let kind = Kind::Batch;
        let parts = Parts { kind, sequence, durable_to, previous, payload: &payload };
        frame::encode(bytes, &SALT, parts)
    }

    fn segments(bytes: Vec<u8>) -> Segments {
        Segments::from([(1, (Header::parse(&bytes), bytes))])
    }

    fn start() -> (Vec<u8>, u32) {
        let (bytes, header) = Header::encode(1, SALT, Some(Start { base: 0, until: 0 }));
        (bytes.to_vec(), header.crc)
    }

    fn sequences(replay: &Replay<'_>) -> Vec<u64> {
        replay.batches.iter().map(|batch| batch.sequence).collect()
    }

    #[test]
    fn a_frame_that_follows_another_frame_is_not_taken() {
        let (mut bytes, crc) = start();
        let first = push(&mut bytes, 1, 0, crc);
        let mut other = bytes.clone();
        push(&mut bytes, 2, 0, first);
        push(&mut other, 2, 0, first ^ 1);
        let (good, bad) = (segments(bytes), segments(other));
        assert_eq!(sequences(&replay(&good, 1, 0).unwrap()), [1, 2]);
        let bad = replay(&bad, 1, 0).unwrap();
        assert_eq!(sequences(&bad), [1]);
        assert!(bad.torn && !bad.clean);
    }

    #[test]
    fn a_torn_group_is_cut_at_its_first_hole() {
        let (mut bytes, crc) = start();
        let first = push(&mut bytes, 1, 0, crc);
        let hole = bytes.len();
        let second = push(&mut bytes, 2, 1, first);
        let end = bytes.len();
        // Written together with the second: it proves nothing about it.
        push(&mut bytes, 3, 1, second);
        bytes[hole..end].fill(0);
        let torn = segments(bytes);
        let torn = replay(&torn, 1, 0).unwrap();
        assert_eq!(sequences(&torn), [1]);
        assert!(torn.torn);
    }

    #[test]
    fn a_link_does_not_prove_what_was_written_with_it() {
        let (mut bytes, crc) = start();
        let first = push(&mut bytes, 1, 0, crc);
        let hole = bytes.len();
        let second = push(&mut bytes, 2, 1, first);
        let link = bytes.len();
        let (kind, sequence, durable_to) = (Kind::Link, 2, 1);
        let parts = Parts { kind, sequence, durable_to, previous: second, payload: &[0; 24] };
        frame::encode(&mut bytes, &SALT, parts);
        bytes[hole..link].fill(0);
        let torn = segments(bytes);
        let torn = replay(&torn, 1, 0).unwrap();
        assert_eq!(sequences(&torn), [1]);
        assert!(torn.torn);
    }

    #[test]
    fn dead_frames_may_be_damaged() {
        let (mut bytes, crc) = start();
        let hole = bytes.len();
        let first = push(&mut bytes, 1, 0, crc);
        let second = push(&mut bytes, 2, 1, first);
        push(&mut bytes, 3, 2, second);
        bytes[hole + 9] ^= 1;
        let segments = segments(bytes);
        // The index has the first two.
        assert_eq!(sequences(&replay(&segments, 1, 2).unwrap()), [3]);
        assert!(replay(&segments, 1, 0).is_err());
    }
}
