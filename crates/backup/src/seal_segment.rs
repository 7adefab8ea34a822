//! From a cut to the objects of a segment.

use crate::{
    Class, Cut, Entry, Link, ObjectHash, ObjectId, ObjectSealer, Result, Sealed, SegmentBody,
    WriterId, split::Splitter,
};

/// A segment ready to go up.
#[derive(Debug, Clone)]
pub struct SealedSegment {
    /// What the next segment and the head name.
    pub link: Link,
    /// The objects, in any order; the segment is there when all are.
    pub objects: Vec<Sealed>,
    /// Whether it changes single-writer data.
    pub single_writer: bool,
}

impl ObjectSealer {
    /// Seals a cut as the segment after `previous`.
    pub fn seal_segment(
        &self,
        writer: WriterId,
        cut: Cut,
        previous: Option<&Link>,
    ) -> Result<SealedSegment> {
        let mergeable = cut.mergeable.len();
        let single_writer = !cut.single_writer.is_empty();
        let mut splitter = Splitter::default();
        cut.mergeable.into_iter().chain(cut.single_writer).for_each(|entry| splitter.push(entry));
        let mut parts = splitter.finish();
        if parts.is_empty() {
            parts.push(Vec::new());
        }
        let count = parts.len() as u32;
        let previous_hash = previous.map_or(ObjectHash::NONE, Link::hash);
        let mut mergeable_left = mergeable;
        let mut segment = SealedSegment {
            link: Link { parts: Vec::new(), previous: previous_hash },
            objects: Vec::new(),
            single_writer,
        };
        for (part, entries) in (0..).zip(parts) {
            let (mergeable, single_writer) = sections(entries, &mut mergeable_left);
            let body = SegmentBody {
                parts: count,
                previous: previous.cloned(),
                time: cut.time,
                mergeable,
                single_writer,
                extensions: Vec::new(),
            };
            let id = ObjectId {
                class: Class::Segment,
                writer,
                epoch: 0,
                from: cut.from,
                to: cut.to,
                part,
            };
            let (object, sealed) = self.seal(id, previous_hash, &body)?;
            segment.link.parts.push(object);
            segment.objects.push(sealed);
        }
        Ok(segment)
    }
}

/// Parts keep the order of the cut, mergeable entries first: `mergeable_left` counts whole values.
fn sections(entries: Vec<Entry>, mergeable_left: &mut usize) -> (Vec<Entry>, Vec<Entry>) {
    let mut sections = (Vec::new(), Vec::new());
    for entry in entries {
        if *mergeable_left > 0 {
            *mergeable_left -= usize::from(entry.is_last_piece());
            sections.0.push(entry);
        } else {
            sections.1.push(entry);
        }
    }
    sections
}
