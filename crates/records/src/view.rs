//! What a query or cursor looks at: the records or an index as they were, a part of them, a direction.

use std::{ops::Range, sync::Arc};

use crate::{
    Direction, Found, Index, KeyRange, Query, Record, Result,
    order::{ByIndex, ByPrimary, Place},
    row::Row,
    rows::with_key,
    table::Table,
    tree::Tree,
};

/// The records or an index at one moment; what happens to the store later does not show.
enum Source<R: 'static> {
    Records(Tree<Arc<Row<R>>>),
    Index(&'static Index<R>, Tree<Place<R>>),
}

/// The entries that answer a query, by position.
pub(crate) struct View<R: 'static> {
    source: Source<R>,
    pub(crate) direction: Direction,
    /// What the range, the offset and the limit leave.
    pub(crate) positions: Range<usize>,
}

impl<R: Record> View<R> {
    pub(crate) fn new(table: &Table<R>, query: &Query) -> Result<Self> {
        let position = table.position(query)?;
        let state = table.lock()?;
        let index = position.and_then(|at| R::INDEXES.get(at).zip(state.rows.index(at)));
        let source = match index {
            Some((index, tree)) => Source::Index(index, tree.clone()),
            None => Source::Records(state.rows.records().clone()),
        };
        drop(state);
        let positions = source.range(&query.range);
        let mut view = Self { source, direction: query.direction, positions };
        view.narrow(query.offset, query.limit);
        Ok(view)
    }
}

impl<R: 'static> View<R> {
    /// Leaves out the first `offset`, and what comes after `limit` more.
    fn narrow(&mut self, offset: usize, limit: usize) {
        let all = self.positions.clone();
        let mut left = all.clone();
        self.skip(&mut left, offset);
        let from = left.clone();
        self.skip(&mut left, limit);
        self.positions = match self.direction {
            Direction::Forward | Direction::ForwardUnique => from.start..left.start,
            Direction::Backward | Direction::BackwardUnique => left.end..from.end,
        };
    }

    fn skip(&self, left: &mut Range<usize>, count: usize) {
        match self.direction {
            Direction::Forward => left.start = left.start.saturating_add(count).min(left.end),
            Direction::Backward => left.end = left.end.saturating_sub(count).max(left.start),
            // Nothing is limited: no need to walk.
            Direction::ForwardUnique if count == usize::MAX => left.start = left.end,
            Direction::BackwardUnique if count == usize::MAX => left.end = left.start,
            Direction::ForwardUnique | Direction::BackwardUnique => {
                for _ in 0..count {
                    if self.next(left).is_none() {
                        break;
                    }
                }
            }
        }
    }

    /// Takes the position that comes next from those that are left.
    pub(crate) fn next(&self, left: &mut Range<usize>) -> Option<usize> {
        match self.direction {
            Direction::Forward => left.next(),
            Direction::Backward => left.next_back(),
            Direction::ForwardUnique => {
                let first = left.next()?;
                left.start = self.source.same_key(first).end.min(left.end).max(left.start);
                Some(first)
            }
            // The last key, but the first record that has it (section 6.7, "prevunique").
            Direction::BackwardUnique => {
                let last = left.next_back()?;
                let first = self.source.same_key(last).start.max(left.start).min(last);
                left.end = first;
                Some(first)
            }
        }
    }

    /// How many records answer.
    pub(crate) fn count(&self) -> usize {
        match self.direction {
            Direction::Forward | Direction::Backward => self.positions.len(),
            Direction::ForwardUnique | Direction::BackwardUnique => {
                let mut left = self.positions.clone();
                std::iter::from_fn(|| self.next(&mut left)).count()
            }
        }
    }

    pub(crate) fn row(&self, position: usize) -> Option<&Arc<Row<R>>> {
        match &self.source {
            Source::Records(tree) => tree.get(position),
            Source::Index(_, tree) => tree.get(position).map(|place| &place.row),
        }
    }

    pub(crate) fn found(&self, position: usize) -> Option<Found<R>> {
        self.row(position).map(|row| Found(Arc::clone(row)))
    }

    /// The encoded key at a position: in the index if it is one, else the primary key.
    pub(crate) fn key(&self, position: usize) -> Option<Vec<u8>> {
        match &self.source {
            Source::Records(tree) => tree.get(position).map(|row| row.primary.to_vec()),
            Source::Index(index, tree) => tree.get(position).map(|place| place.key(index)),
        }
    }

    /// How many entries of the whole source come before these bytes.
    pub(crate) fn rank(&self, bytes: &[u8]) -> usize {
        self.source.rank(bytes)
    }

    pub(crate) fn is_index(&self) -> bool {
        matches!(self.source, Source::Index(..))
    }
}

impl<R: 'static> Source<R> {
    fn rank(&self, bytes: &[u8]) -> usize {
        match self {
            Self::Records(tree) => tree.rank(bytes, &ByPrimary),
            Self::Index(index, tree) => tree.rank(bytes, &ByIndex::new(index)),
        }
    }

    fn len(&self) -> usize {
        match self {
            Self::Records(tree) => tree.len(),
            Self::Index(_, tree) => tree.len(),
        }
    }

    /// The positions of the keys in a range.
    fn range(&self, range: &KeyRange) -> Range<usize> {
        let (lower, upper) = range.encoded();
        let start = if lower.is_empty() { 0 } else { self.rank(lower) };
        let end = upper.map_or_else(|| self.len(), |upper| self.rank(upper));
        start..end.max(start)
    }

    /// The positions of the entries that have the key of this one.
    fn same_key(&self, position: usize) -> Range<usize> {
        match self {
            Self::Records(_) => position..position + 1,
            Self::Index(index, tree) => tree.get(position).map_or(position..position, |place| {
                with_key(tree, &ByIndex::new(index), &place.key(index))
            }),
        }
    }
}
