//! Entries into parts: objects stay small, values too large for one object go into several.

use crate::{Content, Entry};

/// How many bytes of entries one object holds, about: large enough that a request is not the cost,
/// small enough to hold several in memory.
pub(crate) const PART_BYTES: usize = 4 << 20;

/// What an entry takes beside its name and value: lengths and tags.
pub(crate) const OVERHEAD: usize = 40;

/// Gathers entries until a part is full.
#[derive(Debug, Default)]
pub(crate) struct Splitter {
    part: Vec<Entry>,
    bytes: usize,
    full: Vec<Vec<Entry>>,
}

impl Splitter {
    pub(crate) fn push(&mut self, entry: Entry) {
        match entry.content {
            Content::Value(value) if value.len() > PART_BYTES => {
                let total = value.len() as u64;
                for (i, bytes) in value.chunks(PART_BYTES).enumerate() {
                    let offset = (i * PART_BYTES) as u64;
                    let content = Content::Piece { offset, total, bytes: bytes.to_vec() };
                    self.push_small(Entry { name: entry.name.clone(), content });
                }
            }
            _ => self.push_small(entry),
        }
    }

    fn push_small(&mut self, entry: Entry) {
        let content = match &entry.content {
            Content::Value(bytes) | Content::Piece { bytes, .. } => bytes.len(),
            Content::Removed(_) => 0,
        };
        let name = entry.name.primary.len() + entry.name.secondary.len() + entry.name.key.len();
        let bytes = content + name + OVERHEAD;
        if self.bytes + bytes > PART_BYTES {
            self.close();
        }
        self.bytes += bytes;
        self.part.push(entry);
    }

    /// Ends the part under construction.
    fn close(&mut self) {
        if !self.part.is_empty() {
            self.full.push(std::mem::take(&mut self.part));
            self.bytes = 0;
        }
    }

    /// All parts that are left, full or not.
    pub(crate) fn finish(mut self) -> Vec<Vec<Entry>> {
        self.close();
        self.full
    }
}
