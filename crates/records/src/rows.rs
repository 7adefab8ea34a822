//! The records in memory: what is decided, sorted by key and by every index.

use std::{
    collections::{BTreeMap, BTreeSet, HashSet},
    sync::{Arc, Mutex, PoisonError},
};

use crate::{
    Index, KeyRange, Record,
    encoding::EncodedKey,
    order::{ByIndex, ByKey, ByPrimary, Place},
    parallel,
    row::{IndexKey, Keyed, Row, keys_of},
    sort::{count, in_order, sorted},
    tree::{Order, Tree},
    undecided::RowChange,
};

/// From so many records on it is worth beginning threads to sort them.
const MANY: usize = 2000;

/// From so many new ones on it is worth beginning a thread for the indexes.
const MANY_NEW: usize = 250;

/// Which records are there and where they stand in each index.
pub(crate) struct Rows<R> {
    /// In the order of their keys.
    records: Tree<Arc<Row<R>>>,
    /// The same, found with one look instead of one for each comparison.
    by_key: HashSet<ByKey<R>>,
    /// In the order of [`Record::INDEXES`]. Equal keys stand in the order of their primary keys, as
    /// the W3C text has it (section 2.6).
    indexes: Vec<Tree<Place<R>>>,
    /// The primary keys of the records that an older version wrote.
    old: BTreeSet<EncodedKey>,
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
        let by_key = rows.iter().map(|row| ByKey(Arc::clone(row))).collect();
        (Self { records: Tree::from_sorted(rows, &ByPrimary), by_key, indexes, old }, twins)
    }

    /// Puts or removes (`None`) the records that a batch changes.
    pub(crate) fn set_all(&mut self, changes: Vec<RowChange<R>>) {
        let mut new = Vec::new();
        for (primary, keyed) in changes {
            match keyed {
                Some(keyed) if self.get(&primary).is_none() => new.push(keyed),
                keyed => self.set(&primary, keyed),
            }
        }
        self.add(&new);
    }

    /// Puts records none of which is there.
    fn add(&mut self, new: &[Keyed<R>]) {
        if let [only] = new {
            return self.set(&only.row.primary, Some(only.clone()));
        }
        let rows = new.iter().map(|keyed| (keyed.row.primary.to_vec(), Arc::clone(&keyed.row)));
        self.records.extend(ascending(rows), &ByPrimary);
        self.by_key.extend(new.iter().map(|keyed| ByKey(Arc::clone(&keyed.row))));
        let old = new.iter().filter(|keyed| keyed.row.version < R::VERSION);
        self.old.extend(old.map(|keyed| EncodedKey::from(&*keyed.row.primary)));
        let trees: Vec<_> = self.indexes.iter_mut().zip(R::INDEXES).map(Mutex::new).collect();
        parallel::each(trees.len(), new.len() >= MANY_NEW, |position| {
            let Some(tree) = trees.get(position) else { return };
            // Nobody else asks for this one.
            let mut tree = tree.lock().unwrap_or_else(PoisonError::into_inner);
            let (tree, index) = &mut *tree;
            let places = new.iter().flat_map(|Keyed { row, keys }| {
                let keys = keys.iter().filter(move |key| key.index == position);
                keys.map(|key| {
                    let place = Place { row: Arc::clone(row), nth: key.nth };
                    ([&*key.bytes, &*row.primary].concat(), place)
                })
            });
            tree.extend(ascending(places), &ByIndex::new(index));
        });
    }

    /// Puts or removes (`None`) a record.
    pub(crate) fn set(&mut self, primary: &[u8], new: Option<Keyed<R>>) {
        let keys = new.as_ref().map(|new| &*new.keys).unwrap_or_default();
        let old = match &new {
            Some(new) => {
                self.by_key.replace(ByKey(Arc::clone(&new.row)));
                self.records.insert(primary, Arc::clone(&new.row), &ByPrimary)
            }
            None => {
                self.by_key.remove(primary);
                self.records.remove(primary, &ByPrimary)
            }
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
        self.by_key.get(primary).map(|ByKey(row)| row)
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

fn ascending<E>(entries: impl Iterator<Item = (Vec<u8>, E)>) -> Vec<(Vec<u8>, E)> {
    let mut entries: Vec<_> = entries.collect();
    entries.sort_unstable_by(|(a, _), (b, _)| a.cmp(b));
    entries
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
    // The keys one after the other, where each ends, and whose it is.
    let mut bytes: Vec<u8> = Vec::new();
    let mut ends: Vec<usize> = Vec::with_capacity(rows.len());
    let mut owners: Vec<(u32, u32)> = Vec::with_capacity(rows.len());
    for (at, row) in (0..).zip(rows) {
        index.encode_all(&row.record, &mut bytes, |nth, end| {
            ends.push(end);
            owners.push((at, nth));
        });
    }
    let key = |at: u32| {
        let start = at.checked_sub(1).and_then(|before| ends.get(before as usize));
        let end = ends.get(at as usize).copied().unwrap_or_default();
        bytes.get(start.copied().unwrap_or_default()..end).unwrap_or_default()
    };
    let row = |at: u32| rows.get(owners.get(at as usize)?.0 as usize);
    // Equal keys stay in the order of the records.
    let order = sorted(count(owners.len()), key);
    let twins = if index.is_unique() {
        let pairs = order.iter().zip(order.iter().skip(1));
        let twins = pairs.filter(|(a, b)| key(**a) == key(**b)).filter_map(|(a, b)| {
            Some([row(*a)?, row(*b)?].map(|row| EncodedKey::from(&*row.primary)))
        });
        twins.collect()
    } else {
        Vec::new()
    };
    drop(bytes);
    let place = |(at, nth): (u32, u32)| {
        rows.get(at as usize).map(|row| Place { row: Arc::clone(row), nth })
    };
    let places = in_order(&owners, &order).filter_map(place);
    (Tree::from_sorted(places, &ByIndex::new(index)), twins)
}
