//! The walk along a chain, from its head back to the dump it builds on.

use crate::{
    Class, DumpIndex, Entry, Error, Head, Link, ObjectHash, ObjectRef, Result, SegmentBody,
    WriterId,
};

/// Follows a chain backwards from a head, or from an older dump, to the dump it builds on. It ends
/// only when dump and segments together cover every sequence number up to its beginning.
#[derive(Debug)]
pub struct ChainWalk {
    writer: WriterId,
    /// The dump holds everything up to here.
    dump_from: u64,
    /// What lies behind this sequence number was opened.
    left: u64,
    /// The segment that ends there.
    next: Option<Link>,
    /// Other dumps hold everything up to these.
    covered: Vec<u64>,
}

/// A segment that was opened and belongs where it stands.
#[derive(Debug)]
pub struct OpenedSegment {
    /// The first and last sequence number covered.
    pub range: (u64, u64),
    /// Time of the first and the last change covered, in milliseconds since the Unix epoch.
    pub time: (u64, u64),
    /// Its entries, in order.
    pub entries: Vec<Entry>,
}

impl ChainWalk {
    /// Begins at `head`, whose dump has this index object.
    pub fn new(head: &Head) -> Result<Self> {
        let dump = head.dump.id;
        if dump.class != Class::DumpIndex || dump.from > dump.to {
            return Err(Error::BrokenChain { what: "a head names no dump" });
        }
        let newest = head.newest.as_ref().map_or(0, |link| link.range().1);
        if dump.to > dump.from && newest < dump.to {
            return Err(Error::BrokenChain { what: "a dump lacks the segments it needs" });
        }
        if head.sequence != newest.max(dump.from) {
            return Err(Error::BrokenChain {
                what: "a head names another restore point than its objects",
            });
        }
        let (writer, dump_from) = (dump.writer, dump.from);
        Ok(Self {
            writer,
            dump_from,
            left: head.sequence,
            next: head.newest.clone(),
            covered: Vec::new(),
        })
    }

    /// Begins at the segment `newest` of a writer and goes back to `floor`: what a dump holds that
    /// surely has everything up to there, or where somebody stops reading.
    pub fn back_to(writer: WriterId, newest: Option<Link>, floor: u64) -> Self {
        let left = newest.as_ref().map_or(floor, |link| link.range().1);
        Self { writer, dump_from: floor, left, next: newest, covered: Vec::new() }
    }

    /// The same walk over older dumps, which hold everything up to these sequence numbers. Where a
    /// device had to drop its log, a dump takes the place of segments that were never made.
    #[must_use]
    pub fn over(self, covered: impl IntoIterator<Item = u64>) -> Self {
        Self { covered: covered.into_iter().collect(), ..self }
    }

    /// The segment to fetch next; `None` when the dump covers the rest.
    pub fn next_link(&self) -> Result<Option<&Link>> {
        if self.left <= self.dump_from {
            return Ok(None);
        }
        let missing = Error::BrokenChain { what: "a segment is missing between dump and head" };
        let is_covered = self.covered.contains(&self.left);
        let Some(link) = &self.next else {
            return if is_covered { Ok(None) } else { Err(missing) };
        };
        link.check(self.writer)?;
        let end = link.range().1;
        if is_covered && end <= self.dump_from {
            return Ok(None);
        }
        if end != self.left && !(is_covered && end < self.left) {
            return Err(Error::BrokenChain { what: "two segments do not follow each other" });
        }
        Ok(Some(link))
    }

    /// Takes the opened parts of the segment that [`ChainWalk::next_link`] named, in its order; its
    /// entries, in order.
    pub fn opened(&mut self, bodies: Vec<SegmentBody>) -> Result<Vec<Entry>> {
        Ok(self.opened_segment(bodies)?.entries)
    }

    /// The same, with where and when it belongs.
    pub fn opened_segment(&mut self, bodies: Vec<SegmentBody>) -> Result<OpenedSegment> {
        let broken = || Error::BrokenChain { what: "the parts of a segment differ" };
        let link = self.next_link()?.ok_or_else(broken)?;
        let first = bodies.first().ok_or_else(broken)?;
        let same = |body: &SegmentBody| {
            body.parts as usize == link.parts.len()
                && body.previous == first.previous
                && body.time == first.time
        };
        if bodies.len() != link.parts.len() || !bodies.iter().all(same) {
            return Err(broken());
        }
        if first.previous.as_ref().map_or(ObjectHash::NONE, Link::hash) != link.previous {
            return Err(Error::BrokenChain {
                what: "a segment names another one before it than its successor",
            });
        }
        let (range, time) = (link.range(), first.time);
        self.next = first.previous.clone();
        self.left = range.0.saturating_sub(1);
        let sections =
            bodies.into_iter().map(|body| body.mergeable.into_iter().chain(body.single_writer));
        Ok(OpenedSegment { range, time, entries: sections.flatten().collect() })
    }
}

/// Checks that `index`, the index `object`, can stand in the chain of `writer`, and answers the full
/// dump below it if it is a delta dump.
pub fn check_dump(
    writer: WriterId,
    object: &ObjectRef,
    index: &DumpIndex,
) -> Result<Option<ObjectRef>> {
    let id = object.id;
    if id.class != Class::DumpIndex || id.writer != writer || id.from > id.to {
        return Err(Error::BrokenChain { what: "a chain names no dump of its writer" });
    }
    let Some(base) = index.base else { return Ok(None) };
    // A delta holds one moment; a base that was read over a while needs it to be a later one.
    let fits = id.from == id.to
        && base.id.class == Class::DumpIndex
        && base.id.writer == writer
        && base.id.from <= base.id.to
        && base.id.to <= id.from;
    if fits {
        Ok(Some(base))
    } else {
        Err(Error::BrokenChain { what: "a delta dump does not fit the full one below it" })
    }
}
