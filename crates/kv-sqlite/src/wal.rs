//! Reading the write-ahead log before SQLite does, to tell a torn end from damage.
//!
//! SQLite takes the log up to the last whole transaction before the first frame that does not
//! check, and drops the rest in silence. After a power cut that is right. After damage it would
//! take back what was acknowledged. The two can be told apart while one more transaction follows:
//! it was begun after the one before it had been synced.
//!
//! The format is SQLite's, <https://www.sqlite.org/fileformat2.html#the_write_ahead_log>.

use crate::schema::PAGE;

const HEADER: usize = 32;
const FRAME_HEADER: usize = 24;
pub(crate) const FRAME: usize = FRAME_HEADER + PAGE;
/// With the last bit of the magic number the words of a checksum are big-endian.
const MAGIC: u32 = 0x377F_0682;
const VERSION: u32 = 3_007_000;

type Sum = (u32, u32);

/// What a log holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Content {
    /// Whole transactions up to this many bytes; none if 0. What follows was never acknowledged.
    Good(usize),
    /// A transaction that was durable does not check.
    Damaged,
}

/// Tells what a log holds.
pub(crate) fn judge(bytes: &[u8]) -> Content {
    let header = Header::parse(bytes);
    let frames = bytes.get(HEADER..).unwrap_or_default();
    let frames: Vec<Frame<'_>> = frames.chunks_exact(FRAME).filter_map(Frame::parse).collect();
    let mut sum = header.map_or((0, 0), |header| header.sum);
    let mut checked = 0;
    let mut committed = 0;
    if let Some(header) = header {
        for frame in &frames {
            if frame.salt != header.salt {
                break;
            }
            sum = frame.sum_after(sum, header.big_endian);
            if sum != frame.sum {
                break;
            }
            checked += 1;
            if frame.is_commit {
                committed = checked;
            }
        }
    }
    if proves_more(header, frames.get(checked..).unwrap_or_default(), sum) {
        return Content::Damaged;
    }
    Content::Good(if committed == 0 { 0 } else { HEADER + committed * FRAME })
}

/// Whether these frames, the first of which does not check, hold the end of a transaction and,
/// right behind it, the begin of another. `sum` is what the first should have.
fn proves_more(header: Option<Header>, frames: &[Frame<'_>], sum: Sum) -> bool {
    frames.windows(2).enumerate().any(|(at, pair)| {
        let [end, next] = pair else { return false };
        let follows = |sum: Sum| {
            let orders = header.map_or(vec![false, true], |header| vec![header.big_endian]);
            orders.into_iter().any(|order| next.sum_after(sum, order) == next.sum)
        };
        // The first frame's own header may be what is damaged.
        let same_log = match header {
            Some(header) => next.salt == header.salt && (at == 0 || end.salt == header.salt),
            None => next.salt == end.salt && next.salt != (0, 0),
        };
        same_log && end.is_commit && (follows(end.sum) || (at == 0 && follows(sum)))
    })
}

#[derive(Debug, Clone, Copy)]
struct Header {
    big_endian: bool,
    salt: (u32, u32),
    sum: Sum,
}

impl Header {
    fn parse(bytes: &[u8]) -> Option<Self> {
        let bytes = bytes.get(..HEADER)?;
        let words: Vec<u32> = big_endian(bytes).collect();
        let [magic, version, page, _, salt_1, salt_2, sum_1, sum_2] = *words.as_slice() else {
            return None;
        };
        let big_endian = magic & 1 == 1;
        let sum = checksum((0, 0), bytes.get(..24)?, big_endian);
        let good = magic & !1 == MAGIC
            && version == VERSION
            && page == PAGE as u32
            && sum == (sum_1, sum_2);
        good.then_some(Self { big_endian, salt: (salt_1, salt_2), sum })
    }
}

#[derive(Debug, Clone, Copy)]
struct Frame<'a> {
    /// What the checksum is over: the first eight bytes of the header, and the page.
    start: &'a [u8],
    page: &'a [u8],
    is_commit: bool,
    salt: (u32, u32),
    sum: Sum,
}

impl<'a> Frame<'a> {
    fn parse(bytes: &'a [u8]) -> Option<Self> {
        let (header, page) = bytes.split_at_checked(FRAME_HEADER)?;
        let words: Vec<u32> = big_endian(header).collect();
        let [_, size, salt_1, salt_2, sum_1, sum_2] = *words.as_slice() else { return None };
        Some(Self {
            start: header.get(..8)?,
            page,
            is_commit: size != 0,
            salt: (salt_1, salt_2),
            sum: (sum_1, sum_2),
        })
    }

    fn sum_after(&self, sum: Sum, big_endian: bool) -> Sum {
        checksum(checksum(sum, self.start, big_endian), self.page, big_endian)
    }
}

fn big_endian(bytes: &[u8]) -> impl Iterator<Item = u32> {
    bytes.as_chunks().0.iter().map(|word| u32::from_be_bytes(*word))
}

fn checksum((mut a, mut b): Sum, bytes: &[u8], big_endian: bool) -> Sum {
    let (pairs, _) = bytes.as_chunks::<8>();
    for [a1, a2, a3, a4, b1, b2, b3, b4] in pairs {
        let (x, y) = ([*a1, *a2, *a3, *a4], [*b1, *b2, *b3, *b4]);
        let read = if big_endian { u32::from_be_bytes } else { u32::from_le_bytes };
        a = a.wrapping_add(read(x)).wrapping_add(b);
        b = b.wrapping_add(read(y)).wrapping_add(a);
    }
    (a, b)
}
