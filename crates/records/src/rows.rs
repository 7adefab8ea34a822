//! The records in memory: what is decided, sorted by key and by every index.

use std::{
    cell::RefCell,
    cmp::Ordering,
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use crate::{
    Index, KeyRange, Record,
    encoding::EncodedKey,
    parallel,
    row::{IndexKey, Keyed, Row, keys_of},
    sort::sorted,
    tree::{Order, Tree},
};

/// From so many records on it is worth beginning threads to sort them.
const MANY: usize = 2000;

/// Which records are there and where they stand in each index.
pub(crate) struct Rows<R> {
    records: Tree<Arc<Row<R>>>,
    /// In the order of [`Record::INDEXES`]. Equal keys stand in the order of their primary keys, as
    /// the W3C text has it (section 2.6).
    indexes: Vec<Tree<Place<R>>>,
    /// The primary keys of the records that an older version wrote.
    old: BTreeSet<EncodedKey>,
}

/// The place of a record in an index. Its key is not stored: the record gives it.
pub(crate) struct Place<R> {
    pub(crate) row: Arc<Row<R>>,
    nth: u32,
}

/// The order of the records.
pub(crate) struct ByPrimary;

/// The order of an index: by the key there, then by primary key.
pub(crate) struct ByIndex<R: 'static> {
    index: &'static Index<R>,
    /// Where keys are made to be compared: each search makes several.
    key: RefCell<Vec<u8>>,
}

/// Two primary keys that share a key in a unique index, the lesser one first.
pub(crate) type Twins = [EncodedKey; 2];

impl<R: Record> Rows<R> {
    /// Of all records at once; also gives who shares keys of unique indexes, by position of index.
    pub(crate) fn build(rows: Vec<Arc<Row<R>>>) -> (Self, BTreeMap<usize, Vec<Twins>>) {
        let key = |at: u32| rows.get(at as usize).map(|row| &*row.primary).unwrap_or_default();
        let order = sorted(count(rows.len()), key);
        let rows: Vec<Arc<Row<R>>> = in_order(&rows, &order).collect();
        let is_old = |row: &&Arc<Row<R>>| row.version < R::VERSION;
        let old = rows.iter().filter(is_old).map(|row| EncodedKey::from(&*row.primary)).collect();
        let built = parallel::each(R::INDEXES.len(), rows.len() >= MANY, |position| {
            R::INDEXES.get(position).map(|index| build_index(index, &rows))
        });
        let (mut indexes, mut twins) = (Vec::with_capacity(built.len()), BTreeMap::new());
        for (position, (tree, found)) in built.into_iter().flatten().enumerate() {
            indexes.push(tree);
            if !found.is_empty() {
                twins.insert(position, found);
            }
        }
        (Self { records: Tree::from_sorted(rows, &ByPrimary), indexes, old }, twins)
    }

    /// Puts or removes (`None`) a record.
    pub(crate) fn set(&mut self, primary: &[u8], new: Option<Keyed<R>>) {
        let keys = new.as_ref().map(|new| &*new.keys).unwrap_or_default();
        let old = match &new {
            Some(new) => self.records.insert(primary, Arc::clone(&new.row), &ByPrimary),
            None => self.records.remove(primary, &ByPrimary),
        };
        if old.as_ref().is_some_and(|old| old.version < R::VERSION) {
            self.old.remove(primary);
        }
        if new.as_ref().is_some_and(|new| new.row.version < R::VERSION) {
            self.old.insert(primary.into());
        }
        for gone in old.map(|old| keys_of(&old.record)).unwrap_or_default() {
            if !keys.iter().any(|key| key.index == gone.index && key.bytes == gone.bytes) {
                self.at(&gone, |tree, order| {
                    tree.remove(&[&gone.bytes, primary].concat(), order);
                });
            }
        }
        let Some(row) = new.as_ref().map(|new| &new.row) else { return };
        for key in keys {
            let place = Place { row: Arc::clone(row), nth: key.nth };
            self.at(key, |tree, order| {
                tree.insert(&[&key.bytes, primary].concat(), place, order);
            });
        }
    }

    fn at(&mut self, key: &IndexKey, change: impl FnOnce(&mut Tree<Place<R>>, &ByIndex<R>)) {
        if let Some((tree, index)) = self.indexes.get_mut(key.index).zip(R::INDEXES.get(key.index))
        {
            change(tree, &ByIndex::new(index));
        }
    }

    pub(crate) fn get(&self, primary: &[u8]) -> Option<&Arc<Row<R>>> {
        self.records.find(primary, &ByPrimary)
    }

    pub(crate) fn len(&self) -> usize {
        self.records.len()
    }

    /// The records as they are now, by key.
    pub(crate) fn records(&self) -> &Tree<Arc<Row<R>>> {
        &self.records
    }

    /// The primary keys in a range.
    pub(crate) fn primaries(&self, range: &KeyRange) -> impl Iterator<Item = EncodedKey> {
        let (lower, upper) = range.encoded();
        let rank = |bytes| self.records.rank(bytes, &ByPrimary);
        let positions = rank(lower)..upper.map_or(self.len(), rank);
        positions.filter_map(|at| Some(EncodedKey::from(&*self.records.get(at)?.primary)))
    }

    /// An index as it is now.
    pub(crate) fn index(&self, position: usize) -> Option<&Tree<Place<R>>> {
        self.indexes.get(position)
    }

    /// The primary keys of the records that an older version wrote.
    pub(crate) fn old(&self) -> &BTreeSet<EncodedKey> {
        &self.old
    }

    /// Counts a record no longer among those of an older version.
    pub(crate) fn never_upgrade(&mut self, primary: &[u8]) {
        self.old.remove(primary);
    }

    /// The records with this very key in the index.
    pub(crate) fn owners(&self, index: usize, key: &[u8]) -> impl Iterator<Item = &Arc<Row<R>>> {
        let there = self.indexes.get(index).zip(R::INDEXES.get(index)).into_iter();
        there.flat_map(move |(tree, index)| {
            let positions = with_key(tree, &ByIndex::new(index), key);
            positions.map_while(move |at| tree.get(at).map(|place| &place.row))
        })
    }
}

/// The positions of all entries whose keys begin with `key`, which is a whole key.
pub(crate) fn with_key<E>(
    tree: &Tree<E>,
    order: &impl Order<E>,
    key: &[u8],
) -> std::ops::Range<usize> {
    // Above every tag: what comes after a key is a primary key or nothing.
    tree.rank(key, order)..tree.rank(&[key, &[0xFF]].concat(), order)
}

/// An index of records that are sorted already, and who shares a key there.
fn build_index<R: Record>(
    index: &'static Index<R>,
    rows: &[Arc<Row<R>>],
) -> (Tree<Place<R>>, Vec<Twins>) {
    let mut bytes: Vec<u8> = Vec::new();
    let mut ends: Vec<usize> = Vec::new();
    let mut places: Vec<Place<R>> = Vec::new();
    for row in rows {
        for (nth, key) in index.encoded(&row.record) {
            bytes.extend_from_slice(&key);
            ends.push(bytes.len());
            places.push(Place { row: Arc::clone(row), nth });
        }
    }
    let key = |at: u32| {
        let start = at.checked_sub(1).and_then(|before| ends.get(before as usize));
        let end = ends.get(at as usize).copied().unwrap_or_default();
        bytes.get(start.copied().unwrap_or_default()..end).unwrap_or_default()
    };
    // Equal keys stay in the order of the records.
    let order = sorted(count(places.len()), key);
    let twins = if index.is_unique() {
        let pairs = order.iter().zip(order.iter().skip(1));
        let twins = pairs.filter(|(a, b)| key(**a) == key(**b)).filter_map(|(a, b)| {
            let of = |at: &u32| places.get(*at as usize);
            Some([of(a)?, of(b)?].map(|place| EncodedKey::from(&*place.row.primary)))
        });
        twins.collect()
    } else {
        Vec::new()
    };
    (Tree::from_sorted(in_order(&places, &order), &ByIndex::new(index)), twins)
}

fn in_order<'a, T: Clone>(items: &'a [T], order: &'a [u32]) -> impl Iterator<Item = T> + 'a {
    order.iter().filter_map(|at| items.get(*at as usize).cloned())
}

/// More than four thousand million do not fit into memory.
fn count(len: usize) -> u32 {
    u32::try_from(len).unwrap_or(u32::MAX)
}

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
