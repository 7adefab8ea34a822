//! A segment of the log: its header, and how one is made ready before it is used.

use std::io;

use crate::{
    bytes::Reader,
    disk::{Disk, DiskFile},
    frame::{self, Salt},
    layout,
};

/// Bytes before the first frame.
pub(crate) const HEADER: usize = 64;
/// Bytes at the end that no batch may take: room for a link and a close frame.
pub(crate) const TAIL_ROOM: usize = 2 * (frame::HEADER + 24);

const MAGIC: &[u8; 8] = b"SRKVFSLG";
const START: u32 = 1;

/// The first bytes of a segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) number: u64,
    pub(crate) salt: Salt,
    /// Set if the log begins here: whatever was before is superseded.
    pub(crate) start: Option<Start>,
    /// Checksum of the header, from which the chain of frames of a start segment begins.
    pub(crate) crc: u32,
}

/// Where a log begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Start {
    /// Batches up to this sequence are in the index.
    pub(crate) base: u64,
    /// Batches after `base` and up to this sequence are in this segment, and were durable before it got its name.
    pub(crate) until: u64,
}

/// What the first bytes of a segment may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Parsed {
    Good(Header),
    TooNew(u32),
    Damaged,
}

/// A segment with a durable header and a durable name, ready for its first frame. Its file is open
/// only while it is written to: a process may have many stores.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Segment {
    pub(crate) header: Header,
    pub(crate) capacity: usize,
}

/// A segment that is written to.
#[derive(Debug)]
pub(crate) struct OpenSegment {
    pub(crate) segment: Segment,
    pub(crate) file: Box<dyn DiskFile>,
}

impl Segment {
    pub(crate) fn open(self, disk: &dyn Disk) -> io::Result<OpenSegment> {
        let file = disk.open(&layout::log(self.header.number))?;
        Ok(OpenSegment { segment: self, file })
    }
}

impl Header {
    pub(crate) fn encode(number: u64, salt: Salt, start: Option<Start>) -> ([u8; HEADER], Self) {
        let mut bytes = Vec::with_capacity(HEADER);
        let Start { base, until } = start.unwrap_or(Start { base: 0, until: 0 });
        bytes.extend_from_slice(MAGIC);
        bytes.extend_from_slice(&layout::FORMAT.to_le_bytes());
        bytes.extend_from_slice(&if start.is_some() { START } else { 0 }.to_le_bytes());
        bytes.extend_from_slice(&number.to_le_bytes());
        bytes.extend_from_slice(&salt);
        bytes.extend_from_slice(&base.to_le_bytes());
        bytes.extend_from_slice(&until.to_le_bytes());
        bytes.extend_from_slice(&[0; 4]);
        let crc = crc32c::crc32c(&bytes);
        bytes.extend_from_slice(&crc.to_le_bytes());
        let mut header = [0; HEADER];
        header.copy_from_slice(&bytes);
        (header, Self { number, salt, start, crc })
    }

    pub(crate) fn parse(bytes: &[u8]) -> Parsed {
        let mut reader = Reader(bytes);
        let Some((checked, true)) = bytes
            .get(..HEADER - 4)
            .map(|checked| (checked, reader.array::<8>().as_ref() == Some(MAGIC)))
        else {
            return Parsed::Damaged;
        };
        let mut fields = || {
            let version = reader.u32()?;
            let flags = reader.u32()?;
            let number = reader.number()?;
            let salt = reader.array()?;
            let start = Start { base: reader.number()?, until: reader.number()? };
            reader.u32()?;
            let crc = reader.u32()?;
            let start = (flags & START != 0).then_some(start);
            Some((version, Self { number, salt, start, crc }))
        };
        match fields() {
            Some((_, header)) if header.crc != crc32c::crc32c(checked) => Parsed::Damaged,
            Some((version, _)) if version > layout::FORMAT => Parsed::TooNew(version),
            Some((_, header)) => Parsed::Good(header),
            None => Parsed::Damaged,
        }
    }
}

/// Makes a segment: in a recycled file (path and length) or in a new one filled with zeros, since
/// a first write to space that was only reserved costs a journal entry at each sync. `frames` are
/// written behind the header before the segment gets its name.
pub(crate) fn prepare(
    disk: &dyn Disk,
    number: u64,
    start: Option<Start>,
    frames: impl FnOnce(&Header) -> Vec<u8>,
    recycled: Option<(String, usize)>,
    capacity: usize,
) -> io::Result<OpenSegment> {
    let mut salt = Salt::default();
    getrandom::fill(&mut salt).map_err(io::Error::other)?;
    let (header_bytes, header) = Header::encode(number, salt, start);
    let mut bytes = header_bytes.to_vec();
    bytes.append(&mut frames(&header));
    let (path, mut file, capacity) = match recycled {
        Some((path, len)) => {
            let file = disk.open(&path)?;
            (path, file, len)
        }
        None => {
            let path = layout::new("log");
            let mut file = disk.create(&path)?;
            let used = bytes.len();
            if let Err(error) = file.write_at(used as u64, &vec![0; capacity.saturating_sub(used)])
            {
                drop(file);
                // A full disk should not stay fuller for the attempt.
                disk.remove(&path).ok();
                return Err(error);
            }
            (path, file, capacity)
        }
    };
    file.write_at(0, &bytes)?;
    file.sync()?;
    disk.rename(&path, &layout::log(number))?;
    disk.sync_dir(layout::OWN)?;
    Ok(OpenSegment { segment: Segment { header, capacity }, file })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn golden_header_bytes() {
        let start = Some(Start { base: 17, until: 19 });
        let (bytes, header) = Header::encode(3, *b"0123456789abcdef", start);
        assert_eq!(&bytes[..], include_bytes!("../tests/golden/v1/segment-header.bin"));
        assert_eq!(Header::parse(&bytes), Parsed::Good(header));
    }

    #[test]
    fn every_byte_of_a_header_is_covered() {
        let (bytes, _) = Header::encode(3, *b"0123456789abcdef", None);
        for at in 0..bytes.len() {
            let mut damaged = bytes;
            damaged[at] ^= 1;
            assert_eq!(Header::parse(&damaged), Parsed::Damaged, "byte {at}");
        }
    }
}
