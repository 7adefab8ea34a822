//! The indexes in memory: what is decided, sorted by every index.

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::Bound,
    sync::Arc,
};

use crate::{KeyRange, encoding::EncodedKey};

/// The keys of one record in the indexes, in the order of [`crate::Record::INDEXES`].
pub(crate) type IndexKeys = Arc<[Option<EncodedKey>]>;

/// Which records are there and where they stand in each index.
#[derive(Debug)]
pub(crate) struct Rows {
    records: BTreeMap<EncodedKey, IndexKeys>,
    /// Per index (key there, primary key): equal keys stand in the order of their primary keys,
    /// as the W3C text has it (section 2.6).
    indexes: Vec<BTreeSet<(EncodedKey, EncodedKey)>>,
}

impl Rows {
    /// Collecting into sorted maps is faster, and leaves fuller nodes, than inserting one by one.
    pub(crate) fn build(indexes: usize, rows: Vec<(EncodedKey, IndexKeys)>) -> Self {
        let index = |position: usize| {
            let entry = |(primary, keys): &(EncodedKey, IndexKeys)| {
                let key = keys.get(position)?.clone()?;
                Some((key, Arc::clone(primary)))
            };
            rows.iter().filter_map(entry).collect()
        };
        Self { indexes: (0..indexes).map(index).collect(), records: rows.into_iter().collect() }
    }

    /// Puts or removes (`None`) a record.
    pub(crate) fn set(&mut self, primary: EncodedKey, keys: Option<IndexKeys>) {
        if let Some(old) = self.records.remove(&primary) {
            for (index, key) in self.indexes.iter_mut().zip(old.iter()) {
                if let Some(key) = key {
                    index.remove(&(Arc::clone(key), Arc::clone(&primary)));
                }
            }
        }
        let Some(keys) = keys else { return };
        for (index, key) in self.indexes.iter_mut().zip(keys.iter()) {
            if let Some(key) = key {
                index.insert((Arc::clone(key), Arc::clone(&primary)));
            }
        }
        self.records.insert(primary, keys);
    }

    pub(crate) fn get(&self, primary: &[u8]) -> Option<&IndexKeys> {
        self.records.get(primary)
    }

    pub(crate) fn len(&self) -> usize {
        self.records.len()
    }

    /// The primary keys of a range, ascending by the key of the index (`None`: the primary key).
    pub(crate) fn range(
        &self,
        index: Option<usize>,
        range: &KeyRange,
    ) -> Box<dyn DoubleEndedIterator<Item = &EncodedKey> + '_> {
        let Some((lower, upper)) = range.encoded() else {
            return Box::new(std::iter::empty());
        };
        let Some(index) = index else {
            let upper = upper.as_deref().map_or(Bound::Unbounded, Bound::Excluded);
            let bounds = (Bound::Included(&*lower), upper);
            return Box::new(self.records.range::<[u8], _>(bounds).map(|(primary, _)| primary));
        };
        let Some(entries) = self.indexes.get(index) else {
            return Box::new(std::iter::empty());
        };
        let first = |key| (key, EncodedKey::from([])); // comes before every entry of that key
        let upper = upper.map_or(Bound::Unbounded, |key| Bound::Excluded(first(key)));
        let bounds = (Bound::Included(first(lower)), upper);
        Box::new(entries.range(bounds).map(|(_, primary)| primary))
    }

    /// The records with this very key in the index.
    pub(crate) fn owners(
        &self,
        index: usize,
        key: &EncodedKey,
    ) -> impl Iterator<Item = &EncodedKey> {
        let from = (Arc::clone(key), EncodedKey::from([]));
        let entries = self.indexes.get(index).into_iter();
        entries
            .flat_map(move |entries| entries.range(from.clone()..))
            .take_while(move |(other, _)| other == key)
            .map(|(_, primary)| primary)
    }

    /// Neighbours that share a key in the index.
    pub(crate) fn twins(&self, index: usize) -> impl Iterator<Item = [&EncodedKey; 2]> {
        let entries = || self.indexes.get(index).into_iter().flatten();
        let pairs = entries().zip(entries().skip(1));
        pairs.filter(|(a, b)| a.0 == b.0).map(|(a, b)| [&a.1, &b.1])
    }
}
