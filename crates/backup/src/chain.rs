//! The walk along a chain, from its head back to the dump it builds on.

use crate::{Class, Entry, Error, Head, Link, ObjectHash, Result, SegmentBody, WriterId};

/// Follows a chain backwards from a head to the dump it builds on. It ends only when dump and
/// segments together cover every sequence number up to the head's.
#[derive(Debug)]
pub struct ChainWalk {
    writer: WriterId,
    /// The dump holds everything up to here.
    dump_from: u64,
    /// What lies behind this sequence number was opened.
    left: u64,
    /// The segment that ends there.
    next: Option<Link>,
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
        Ok(Self { writer, dump_from, left: head.sequence, next: head.newest.clone() })
    }

    /// The segment to fetch next; `None` when the dump covers the rest.
    pub fn next_link(&self) -> Result<Option<&Link>> {
        if self.left <= self.dump_from {
            return Ok(None);
        }
        let missing = Error::BrokenChain { what: "a segment is missing between dump and head" };
        let link = self.next.as_ref().ok_or(missing)?;
        link.check(self.writer)?;
        if link.range().1 != self.left {
            return Err(Error::BrokenChain { what: "two segments do not follow each other" });
        }
        Ok(Some(link))
    }

    /// Takes the opened parts of the segment that [`ChainWalk::next_link`] named, in its order; its
    /// entries, in order.
    pub fn opened(&mut self, bodies: Vec<SegmentBody>) -> Result<Vec<Entry>> {
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
        let left = link.range().0.saturating_sub(1);
        self.next = first.previous.clone();
        self.left = left;
        let sections =
            bodies.into_iter().map(|body| body.mergeable.into_iter().chain(body.single_writer));
        Ok(sections.flatten().collect())
    }
}
