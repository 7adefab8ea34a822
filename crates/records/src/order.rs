//! The orders of records in memory: by key, and by what an index gives.

use std::{
    borrow::Borrow,
    cell::RefCell,
    cmp::Ordering,
    hash::{Hash, Hasher},
    sync::Arc,
};

use crate::{Index, row::Row, tree::Order};

/// A record that is its key.
pub(crate) struct ByKey<R>(pub(crate) Arc<Row<R>>);

/// The place of a record in an index. Its key is not stored: the record gives it.
pub(crate) struct Place<R> {
    pub(crate) row: Arc<Row<R>>,
    pub(crate) nth: u32,
}

/// The order of the records.
pub(crate) struct ByPrimary;

/// The order of an index: by the key there, then by primary key.
pub(crate) struct ByIndex<R: 'static> {
    index: &'static Index<R>,
    /// Where keys are made to be compared: each search makes several.
    key: RefCell<Vec<u8>>,
}

impl<R> Borrow<[u8]> for ByKey<R> {
    fn borrow(&self) -> &[u8] {
        &self.0.primary
    }
}

impl<R> Hash for ByKey<R> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        // As the bytes do that it is looked up by.
        (*self.0.primary).hash(state);
    }
}

impl<R> PartialEq for ByKey<R> {
    fn eq(&self, other: &Self) -> bool {
        *self.0.primary == *other.0.primary
    }
}

impl<R> Eq for ByKey<R> {}

impl<R> Order<Arc<Row<R>>> for ByPrimary {
    fn compare(&self, row: &Arc<Row<R>>, key: &[u8]) -> Ordering {
        (*row.primary).cmp(key)
    }

    fn key(&self, row: &Arc<Row<R>>) -> Arc<[u8]> {
        (*row.primary).into()
    }
}

impl<R: 'static> ByIndex<R> {
    pub(crate) fn new(index: &'static Index<R>) -> Self {
        Self { index, key: RefCell::default() }
    }
}

impl<R: 'static> Order<Place<R>> for ByIndex<R> {
    fn compare(&self, place: &Place<R>, key: &[u8]) -> Ordering {
        let mut own = self.key.borrow_mut();
        own.clear();
        // A record that was placed has such a key: it never changes.
        self.index.encode_nth(&place.row.record, place.nth, &mut own);
        match key.strip_prefix(own.as_slice()) {
            Some(primary) => (*place.row.primary).cmp(primary),
            None => own.as_slice().cmp(key),
        }
    }

    fn key(&self, place: &Place<R>) -> Arc<[u8]> {
        [place.key(self.index).as_slice(), &place.row.primary].concat().into()
    }
}

impl<R: 'static> Place<R> {
    /// The key in the index.
    pub(crate) fn key(&self, index: &Index<R>) -> Vec<u8> {
        let mut key = Vec::with_capacity(128);
        index.encode_nth(&self.row.record, self.nth, &mut key);
        key
    }
}

impl<R> Clone for Place<R> {
    fn clone(&self) -> Self {
        Self { row: Arc::clone(&self.row), nth: self.nth }
    }
}
