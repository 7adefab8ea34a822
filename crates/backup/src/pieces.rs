//! Large values: pieces that follow each other, put together again.

use crate::{Content, Entry, EntryName, Error, Result, Stamp};

/// An entry without pieces.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Whole {
    Value(Vec<u8>),
    Removed(Option<Stamp>),
}

/// Takes entries in the order of their objects.
#[derive(Debug, Default)]
pub(crate) struct Pieces {
    /// A large value under construction.
    begun: Option<(EntryName, Vec<u8>)>,
}

impl Pieces {
    /// The entry, once its last piece is there.
    pub(crate) fn push(&mut self, entry: Entry) -> Result<Option<(EntryName, Whole)>> {
        let Entry { name, content } = entry;
        match (content, self.begun.take()) {
            (Content::Value(value), None) => Ok(Some((name, Whole::Value(value)))),
            (Content::Removed(stamp), None) => Ok(Some((name, Whole::Removed(stamp)))),
            (Content::Piece { offset, total, bytes }, begun) => {
                let mut value = match begun {
                    None if offset == 0 => Vec::new(),
                    Some((first, value)) if first == name && value.len() as u64 == offset => value,
                    _ => return Err(BROKEN),
                };
                value.extend_from_slice(&bytes);
                match (value.len() as u64).cmp(&total) {
                    std::cmp::Ordering::Less => {
                        self.begun = Some((name, value));
                        Ok(None)
                    }
                    std::cmp::Ordering::Equal => Ok(Some((name, Whole::Value(value)))),
                    std::cmp::Ordering::Greater => Err(BROKEN),
                }
            }
            (_, Some(_)) => Err(BROKEN),
        }
    }

    /// Whether nothing is missing at the end.
    pub(crate) fn finish(&self) -> Result<()> {
        match self.begun {
            None => Ok(()),
            Some(_) => Err(Error::BrokenChain { what: "a large value is incomplete" }),
        }
    }
}

const BROKEN: Error =
    Error::BrokenChain { what: "the pieces of a large value do not fit together" };
