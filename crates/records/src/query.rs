//! Questions to an object store, and the records that answer them.

use std::{fmt, marker::PhantomData, sync::Arc, vec};

use crate::{
    KeyRange, Record, Result, codec,
    encoding::EncodedKey,
    table::{Loaded, Table},
};

/// Which records, in which order, how many.
#[derive(Debug, Clone)]
pub struct Query {
    /// `None`: by primary key.
    index: Option<String>,
    range: KeyRange,
    direction: Direction,
    limit: usize,
}

/// Which end a query begins at.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Direction {
    /// From the least key up.
    #[default]
    Forward,
    /// From the greatest key down.
    Backward,
}

impl Query {
    /// Every record, ascending by primary key.
    pub fn all() -> Self {
        Self {
            index: None,
            range: KeyRange::all(),
            direction: Direction::Forward,
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

    /// From this end.
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

    /// At most so many.
    #[must_use]
    pub fn limit(mut self, limit: usize) -> Self {
        self.limit = limit;
        self
    }

    pub(crate) fn index_name(&self) -> Option<&str> {
        self.index.as_deref()
    }

    /// The primary keys that answer, as of now.
    pub(crate) fn primaries(&self, table: &Table) -> Result<Vec<EncodedKey>> {
        let position = table.position(self)?;
        let state = table.lock();
        let range = state.range(position, &self.range);
        Ok(match self.direction {
            Direction::Forward => range.take(self.limit).map(Arc::clone).collect(),
            Direction::Backward => range.rev().take(self.limit).map(Arc::clone).collect(),
        })
    }

    /// How many records answer, as of now.
    pub(crate) fn count(&self, table: &Table) -> Result<usize> {
        let position = table.position(self)?;
        Ok(table.lock().range(position, &self.range).take(self.limit).count())
    }
}

/// The records a query found. Which ones and in which order was settled when the query was made;
/// each is read when the iterator comes to it, as it is then. One that was deleted, or left the
/// range, in the meantime is left out.
pub struct Found<R> {
    table: Arc<Table>,
    left: vec::IntoIter<EncodedKey>,
    index: Option<usize>,
    range: KeyRange,
    record: PhantomData<fn() -> R>,
}

impl<R: Record> Found<R> {
    pub(crate) fn new(table: &Arc<Table>, query: &Query) -> Result<Self> {
        Ok(Self {
            table: Arc::clone(table),
            left: query.primaries(table)?.into_iter(),
            index: table.position(query)?,
            range: query.range.clone(),
            record: PhantomData,
        })
    }

    fn load(&self, primary: &[u8]) -> Result<Option<R>> {
        let name = codec::name(R::STORE, primary)?;
        let loaded: Option<Loaded<R>> = self.table.load(&name)?;
        Ok(loaded.map(|loaded| loaded.record).filter(|record| self.still_fits(record)))
    }

    /// The primary key of a record never changes, the others may have since the query was made.
    fn still_fits(&self, record: &R) -> bool {
        let Some(index) = self.index.and_then(|index| R::INDEXES.get(index)) else {
            return true;
        };
        index.key(record).is_some_and(|key| self.range.contains(&key))
    }
}

impl<R: Record> Iterator for Found<R> {
    type Item = Result<R>;

    fn next(&mut self) -> Option<Result<R>> {
        loop {
            let primary = self.left.next()?;
            if let Some(found) = self.load(&primary).transpose() {
                return Some(found);
            }
        }
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (0, Some(self.left.len()))
    }
}

impl<R> fmt::Debug for Found<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Found").field("left", &self.left.len()).finish_non_exhaustive()
    }
}
