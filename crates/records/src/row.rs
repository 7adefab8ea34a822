//! One record in memory, and the handle that shows it.

use std::{fmt, ops::Deref, sync::Arc};

use crate::{Index, Record, RecordKey, encoding::decode, primary::Primary};

/// A record as it is durable, with what its bytes told beside it.
pub(crate) struct Row<R> {
    /// The encoded primary key.
    pub(crate) primary: Primary,
    /// The version it was written by.
    pub(crate) version: u32,
    pub(crate) record: R,
}

/// A key of a record in an index.
pub(crate) struct IndexKey {
    /// Which index.
    pub(crate) index: usize,
    /// Which of the record's keys there; 0 unless the index has several.
    pub(crate) nth: u32,
    pub(crate) bytes: Vec<u8>,
}

/// A record and its keys in all indexes.
pub(crate) struct Keyed<R> {
    pub(crate) row: Arc<Row<R>>,
    pub(crate) keys: Arc<[IndexKey]>,
}

impl<R: Record> Keyed<R> {
    pub(crate) fn new(row: Row<R>) -> Self {
        let keys = keys_of(&row.record).into();
        Self { row: Arc::new(row), keys }
    }
}

/// The keys of a record in all indexes.
pub(crate) fn keys_of<R: Record>(record: &R) -> Vec<IndexKey> {
    let in_index = |(index, of): (usize, &Index<R>)| {
        of.encoded(record).map(move |(nth, bytes)| IndexKey { index, nth, bytes })
    };
    R::INDEXES.iter().enumerate().flat_map(in_index).collect()
}

impl<R> Clone for Keyed<R> {
    fn clone(&self) -> Self {
        Self { row: Arc::clone(&self.row), keys: Arc::clone(&self.keys) }
    }
}

/// A record that was found, and its key. It stays as it was found, whatever happens to the store;
/// cloning is cheap.
///
/// It can be used like a reference to the record; [`Found::into_record`] gives the record itself.
pub struct Found<R>(pub(crate) Arc<Row<R>>);

impl<R> Found<R> {
    /// The primary key.
    pub fn key(&self) -> RecordKey {
        // What is in memory was encoded here.
        decode(&self.0.primary).unwrap_or(RecordKey::Binary(Vec::new()))
    }

    /// The record itself, copied if somebody else holds it, as the object store does.
    pub fn into_record(self) -> R
    where
        R: Clone,
    {
        Arc::try_unwrap(self.0).map_or_else(|row| row.record.clone(), |row| row.record)
    }
}

impl<R> Deref for Found<R> {
    type Target = R;

    fn deref(&self) -> &R {
        &self.0.record
    }
}

impl<R> Clone for Found<R> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<R: PartialEq> PartialEq<R> for Found<R> {
    fn eq(&self, other: &R) -> bool {
        self.0.record == *other
    }
}

/// Shows the record as its own type does.
impl<R: fmt::Debug> fmt::Debug for Found<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.record.fmt(f)
    }
}
