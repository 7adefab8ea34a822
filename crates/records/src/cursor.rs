//! Cursors: a place among the records of a query, moved by hand.

use std::{cmp::Ordering, fmt, ops::Range};

use crate::{
    Direction, Error, Found, Query, Record, RecordKey, Result, encoding::decode, table::Table,
    view::View,
};

/// A place among the records of a query, as IndexedDB's cursors are (W3C text, section 2.10 and
/// "cursor iteration operation", section 6.7), with one difference: a cursor sees the state as of
/// its opening, whatever happens to the store meanwhile.
///
/// It opens at the first record, and each step tells whether there was one more. To change what
/// it stands at, use [`Cursor::primary_key`] and the object store.
pub struct Cursor<R: 'static> {
    store: &'static str,
    view: View<R>,
    /// Where it stands; `None` at the end.
    at: Option<usize>,
    /// What comes after.
    left: Range<usize>,
}

impl<R: Record> Cursor<R> {
    pub(crate) fn new(table: &Table<R>, query: &Query) -> Result<Self> {
        let view = View::new(table, query)?;
        let mut left = view.positions.clone();
        let at = view.next(&mut left);
        Ok(Self { store: table.store, view, at, left })
    }
}

impl<R: 'static> Cursor<R> {
    /// The key it stands at, in the index if the query is by one; `None` at the end.
    pub fn key(&self) -> Option<RecordKey> {
        decode(&self.view.key(self.at?)?)
    }

    /// The primary key of the record it stands at; `None` at the end.
    pub fn primary_key(&self) -> Option<RecordKey> {
        decode(&self.view.row(self.at?)?.primary)
    }

    /// The record it stands at; `None` at the end.
    pub fn record(&self) -> Option<&R> {
        Some(&self.view.row(self.at?)?.record)
    }

    /// The record it stands at, to be kept; `None` at the end.
    pub fn found(&self) -> Option<Found<R>> {
        self.view.found(self.at?)
    }

    /// One step; `false` at the end.
    pub fn step(&mut self) -> bool {
        self.at = self.view.next(&mut self.left);
        self.at.is_some()
    }

    /// So many steps at once; `false` at the end. No step is [`Error::Cursor`].
    pub fn advance(&mut self, steps: usize) -> Result<bool> {
        let Some(before) = steps.checked_sub(1) else {
            return Err(self.refused("a cursor cannot be advanced by 0"));
        };
        self.check_not_at_end()?;
        match self.view.direction {
            Direction::Forward => {
                self.left.start = self.left.start.saturating_add(before).min(self.left.end);
            }
            Direction::Backward => {
                self.left.end = self.left.end.saturating_sub(before).max(self.left.start);
            }
            Direction::ForwardUnique | Direction::BackwardUnique => {
                for _ in 0..before {
                    if !self.step() {
                        return Ok(false);
                    }
                }
            }
        }
        Ok(self.step())
    }

    /// To the first record, in its direction, whose key is this one or beyond; `false` at the end.
    /// A key that does not lie ahead is [`Error::Cursor`].
    pub fn continue_to(&mut self, key: impl Into<RecordKey>) -> Result<bool> {
        let key = key.into().encode();
        let here = self.check_not_at_end()?;
        self.check_ahead(key.cmp(&here))?;
        if self.is_forward() {
            self.forward_to(&key);
        } else {
            self.back_to(&key);
        }
        Ok(self.step())
    }

    /// To the first record, in its direction, whose key and primary key are these or beyond;
    /// `false` at the end. Only for queries by an index that show every record.
    pub fn continue_to_record(
        &mut self,
        key: impl Into<RecordKey>,
        primary: impl Into<RecordKey>,
    ) -> Result<bool> {
        if !self.view.is_index() || !self.shows_every_record() {
            return Err(self.refused("only an index that shows every record goes on to a record"));
        }
        let (key, primary) = (key.into().encode(), primary.into().encode());
        let here = self.check_not_at_end()?;
        let row = self.at.and_then(|at| self.view.row(at));
        let here = (here, row.map(|row| row.primary.to_vec()).unwrap_or_default());
        self.check_ahead((&key, &primary).cmp(&(&here.0, &here.1)))?;
        let both = [key, primary].concat();
        if self.is_forward() {
            self.forward_to(&both);
        } else {
            self.back_to(&both);
        }
        Ok(self.step())
    }

    /// Leaves what begins with these bytes or comes after.
    fn forward_to(&mut self, bytes: &[u8]) {
        self.left.start = self.view.rank(bytes).clamp(self.left.start, self.left.end);
    }

    /// Leaves what begins with these bytes or comes before.
    fn back_to(&mut self, bytes: &[u8]) {
        let beyond = self.view.rank(&[bytes, &[0xFF]].concat()); // above every tag
        self.left.end = beyond.clamp(self.left.start, self.left.end);
    }

    fn is_forward(&self) -> bool {
        matches!(self.view.direction, Direction::Forward | Direction::ForwardUnique)
    }

    fn shows_every_record(&self) -> bool {
        matches!(self.view.direction, Direction::Forward | Direction::Backward)
    }

    /// The encoded key it stands at.
    fn check_not_at_end(&self) -> Result<Vec<u8>> {
        let key = self.at.and_then(|at| self.view.key(at));
        key.ok_or_else(|| self.refused("the cursor is at its end"))
    }

    fn check_ahead(&self, order: Ordering) -> Result<()> {
        let ahead = if self.is_forward() { Ordering::Greater } else { Ordering::Less };
        if order == ahead {
            Ok(())
        } else {
            Err(self.refused("the key does not lie ahead of the cursor"))
        }
    }

    fn refused(&self, what: &'static str) -> Error {
        Error::Cursor { store: self.store, what }
    }
}

// Keys are private: only the shape shows.
impl<R> fmt::Debug for Cursor<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cursor")
            .field("store", &self.store)
            .field("left", &self.left.len())
            .finish_non_exhaustive()
    }
}
