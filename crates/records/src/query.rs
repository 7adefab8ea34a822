//! Questions to an object store, and the records that answer them.

use std::{fmt, ops::Range};

use crate::{Found, KeyRange, Record, Result, table::Table, view::View};

/// Which records, in which order, how many.
#[derive(Debug, Clone)]
pub struct Query {
    /// `None`: by primary key.
    index: Option<String>,
    pub(crate) range: KeyRange,
    pub(crate) direction: Direction,
    pub(crate) offset: usize,
    pub(crate) limit: usize,
}

/// Which end a query or cursor begins at, and whether it shows a key more than once. The four
/// directions of IndexedDB (W3C text, section 2.10).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Direction {
    /// From the least key up ("next").
    #[default]
    Forward,
    /// From the least key up, of each key the first record only ("nextunique").
    ForwardUnique,
    /// From the greatest key down ("prev").
    Backward,
    /// From the greatest key down, of each key the first record only ("prevunique"): the records of
    /// [`Direction::ForwardUnique`], the other way round.
    BackwardUnique,
}

impl Query {
    /// Every record, ascending by primary key.
    pub fn all() -> Self {
        Self {
            index: None,
            range: KeyRange::all(),
            direction: Direction::Forward,
            offset: 0,
            limit: usize::MAX,
        }
    }

    /// The records that have a key in this index, ascending by that key, equal ones by primary key.
    pub fn index(name: &str) -> Self {
        Self { index: Some(name.to_owned()), ..Self::all() }
    }

    /// Only records whose key lies in the range.
    #[must_use]
    pub fn range(mut self, range: KeyRange) -> Self {
        self.range = range;
        self
    }

    /// In this direction.
    #[must_use]
    pub fn direction(mut self, direction: Direction) -> Self {
        self.direction = direction;
        self
    }

    /// From the greatest key down.
    #[must_use]
    pub fn backward(self) -> Self {
        self.direction(Direction::Backward)
    }

    /// Without the first so many.
    #[must_use]
    pub fn offset(mut self, offset: usize) -> Self {
        self.offset = offset;
        self
    }

    /// At most so many. With [`Query::backward`] these are the last ones, the greatest first.
    #[must_use]
    pub fn limit(mut self, limit: usize) -> Self {
        self.limit = limit;
        self
    }

    pub(crate) fn index_name(&self) -> Option<&str> {
        self.index.as_deref()
    }
}

/// The records that a query found, one by one: the state as of the query, whatever happens to the
/// store meanwhile.
pub struct Records<R: 'static> {
    view: View<R>,
    left: Range<usize>,
}

impl<R: Record> Records<R> {
    pub(crate) fn new(table: &Table<R>, query: &Query) -> Result<Self> {
        let view = View::new(table, query)?;
        let left = view.positions.clone();
        Ok(Self { view, left })
    }
}

impl<R: 'static> Iterator for Records<R> {
    type Item = Found<R>;

    fn next(&mut self) -> Option<Found<R>> {
        let position = self.view.next(&mut self.left)?;
        self.view.found(position)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        match self.view.direction {
            Direction::Forward | Direction::Backward => (self.left.len(), Some(self.left.len())),
            Direction::ForwardUnique | Direction::BackwardUnique => (0, Some(self.left.len())),
        }
    }
}

impl<R> fmt::Debug for Records<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Records").field("left", &self.left.len()).finish_non_exhaustive()
    }
}
