//! Every key of the store, in memory: where its value is and when it was created.

use std::collections::{BTreeMap, BTreeSet};

use kv_core::{CreationPage, Cursor, Key, Namespace, Value};

use crate::{
    index::Kept,
    rows::Rows,
    space::{Slot, Space},
};

/// Size and checksum of a value in a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stamp {
    pub(crate) size: u64,
    pub(crate) crc: u32,
}

impl Stamp {
    pub(crate) fn of(bytes: &[u8]) -> Self {
        Self { size: bytes.len() as u64, crc: crc32c::crc32c(bytes) }
    }
}

/// What happens to one key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Effect {
    Remove,
    Put(Value),
    /// The value is in the big file of this number.
    PutBig(u64, Stamp),
}

/// Where a value is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Place {
    /// Here and in the log.
    Memory(Value),
    /// In a big file named by the log; a checkpoint moves it to its key's file.
    Big(u64, Stamp),
    /// In its key's file.
    File(Stamp),
}

impl Place {
    pub(crate) fn size(&self) -> u64 {
        match self {
            Self::Memory(value) => value.len() as u64,
            Self::Big(_, stamp) | Self::File(stamp) => stamp.size,
        }
    }

    pub(crate) fn memory(&self) -> u64 {
        match self {
            Self::Memory(value) => value.len() as u64,
            _ => 0,
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Entry {
    /// The place in the creation order; never used twice.
    pub(crate) created: u64,
    /// The time of its file in milliseconds since the Unix epoch; 0 before it has one.
    pub(crate) modified: u64,
    /// Sequence of the batch that wrote it, 0 if read from the index.
    pub(crate) version: u64,
    pub(crate) place: Place,
}

pub(crate) type Name = (Namespace, Key);

#[derive(Debug, Default)]
pub(crate) struct Table {
    spaces: BTreeMap<Namespace, Space>,
    /// What changed since the last checkpoint.
    dirty: BTreeSet<Name>,
    totals: Totals,
}

/// Sums over all keys, and what is left of those that are gone.
#[derive(Debug, Default)]
struct Totals {
    keys: u64,
    value_bytes: u64,
    memory: u64,
    /// Big files that no live key needs any more.
    dead_big: Vec<u64>,
}

impl Totals {
    fn add(&mut self, slot: &Slot) {
        self.keys += 1;
        // An index that lies about sizes must not stop us; the files will tell.
        self.value_bytes = self.value_bytes.wrapping_add(slot.size());
        self.memory += slot.memory();
    }

    fn remove(&mut self, slot: &Slot) {
        self.keys -= 1;
        self.value_bytes = self.value_bytes.wrapping_sub(slot.size());
        self.memory -= slot.memory();
        self.dead_big.extend(slot.big_file());
    }
}

impl Table {
    /// The keys that the index has.
    pub(crate) fn new(rows: Rows) -> Self {
        let mut table = Self::default();
        for (ns, rows) in rows.into_spaces() {
            let space = Space::new(rows);
            space.slots().for_each(|slot| table.totals.add(slot));
            table.spaces.insert(ns, space);
        }
        table
    }

    pub(crate) fn get(&self, ns: &Namespace, key: &Key) -> Option<Entry> {
        self.spaces.get(ns)?.get(key).map(Slot::entry)
    }

    /// Lets a durable batch take effect.
    pub(crate) fn apply(
        &mut self,
        changes: impl IntoIterator<Item = (Namespace, Key, Effect)>,
        sequence: u64,
        first_creation: u64,
    ) {
        for (created, (ns, key, effect)) in (first_creation..).zip(changes) {
            let place = match effect {
                Effect::Remove => {
                    self.remove(&ns, &key);
                    self.dirty.insert((ns, key));
                    continue;
                }
                Effect::Put(value) => Place::Memory(value),
                Effect::PutBig(id, stamp) => Place::Big(id, stamp),
            };
            self.put(&ns, &key, created, sequence, place);
            self.dirty.insert((ns, key));
        }
    }

    /// A checkpoint has put this version of the value into its key's file.
    pub(crate) fn moved_to_file(&mut self, (ns, key): &Name, version: u64, kept: Kept) {
        let slot = self.spaces.get_mut(ns).and_then(|space| space.get_mut(key));
        let Some(slot) = slot.filter(|slot| slot.created() == kept.created) else { return };
        // Also if it was overwritten meanwhile: the next file keeps the time of this one.
        slot.modified = kept.modified;
        if slot.version == version {
            self.totals.remove(slot);
            slot.set_place(Place::File(kept.stamp));
            self.totals.add(slot);
        }
    }

    fn put(&mut self, ns: &Namespace, key: &Key, created: u64, version: u64, place: Place) {
        let space = match self.spaces.get_mut(ns) {
            Some(space) => space,
            None => self.spaces.entry(ns.clone()).or_default(),
        };
        match space.get_mut(key) {
            // Overwriting keeps the place in the order.
            Some(slot) => {
                self.totals.remove(slot);
                slot.version = version;
                slot.set_place(place);
                self.totals.add(slot);
            }
            None => {
                let slot = Slot::new(key.clone(), created, version, place);
                self.totals.add(&slot);
                space.insert(slot);
            }
        }
    }

    fn remove(&mut self, ns: &Namespace, key: &Key) {
        let Some(space) = self.spaces.get_mut(ns) else { return };
        if let Some(slot) = space.remove(key) {
            self.totals.remove(&slot);
        }
        if space.is_empty() {
            self.spaces.remove(ns);
        }
    }

    pub(crate) fn list(&self, ns: &Namespace, after: Option<&Key>, limit: usize) -> Vec<Key> {
        self.spaces.get(ns).map(|space| space.list(after, limit)).unwrap_or_default()
    }

    pub(crate) fn namespaces(&self) -> Vec<Namespace> {
        self.spaces.keys().cloned().collect()
    }

    pub(crate) fn newest_first(
        &self,
        ns: &Namespace,
        cursor: Option<&Cursor>,
        limit: usize,
    ) -> CreationPage {
        let space = self.spaces.get(ns);
        space.map(|space| space.newest_first(cursor, limit)).unwrap_or_default()
    }

    /// Every key, in the order of names.
    pub(crate) fn names(&self) -> impl Iterator<Item = (&Namespace, &Key)> {
        let slots = self.spaces.iter().map(|(ns, space)| (ns, space.slots()));
        slots.flat_map(|(ns, slots)| slots.map(move |slot| (ns, slot.key())))
    }

    /// The numbers of the big files that live keys need.
    pub(crate) fn big_files(&self) -> impl Iterator<Item = u64> {
        self.spaces.values().flat_map(|space| space.slots().filter_map(Slot::big_file))
    }

    /// What changed since the last checkpoint, each with its entry now; `None` was removed.
    pub(crate) fn take_dirty(&mut self) -> Vec<(Name, Option<Entry>)> {
        let dirty = std::mem::take(&mut self.dirty);
        let entry = |name: Name| {
            let entry = self.get(&name.0, &name.1);
            (name, entry)
        };
        dirty.into_iter().map(entry).collect()
    }

    /// Takes names back after a checkpoint that failed.
    pub(crate) fn put_back_dirty(&mut self, names: impl IntoIterator<Item = Name>) {
        self.dirty.extend(names);
    }

    /// Big files that nothing needs, to be removed.
    pub(crate) fn abandon_big(&mut self, ids: impl IntoIterator<Item = u64>) {
        self.totals.dead_big.extend(ids);
    }

    pub(crate) fn take_dead_big(&mut self) -> Vec<u64> {
        std::mem::take(&mut self.totals.dead_big)
    }

    pub(crate) fn dirty_keys(&self) -> usize {
        self.dirty.len()
    }

    pub(crate) fn is_dirty(&self) -> bool {
        !self.dirty.is_empty()
    }

    pub(crate) fn keys(&self) -> u64 {
        self.totals.keys
    }

    pub(crate) fn value_bytes(&self) -> u64 {
        self.totals.value_bytes
    }

    /// Bytes of values held in memory.
    pub(crate) fn memory(&self) -> u64 {
        self.totals.memory
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A checkpoint gives a file its time while the key is overwritten: the next file keeps it.
    #[test]
    fn a_value_overwritten_during_a_checkpoint_keeps_the_time_of_its_file() {
        let (ns, key) = (Namespace::new("a", "").unwrap(), Key::new("k").unwrap());
        let put = |value: &str| [(ns.clone(), key.clone(), Effect::Put(Value::from(value)))];
        let mut table = Table::default();
        table.apply(put("old"), 1, 7);
        let (name, entry) = table.take_dirty().remove(0);
        table.apply(put("new"), 2, 8);
        let kept = Kept { created: 7, modified: 1_000, stamp: Stamp::of(b"old") };
        table.moved_to_file(&name, entry.unwrap().version, kept);
        let now = table.get(&ns, &key).unwrap();
        assert_eq!((now.created, now.modified), (7, 1_000));
        assert_eq!(now.place, Place::Memory(Value::from("new")));

        // But not a key that was removed and created again.
        table.apply([(ns.clone(), key.clone(), Effect::Remove)], 3, 9);
        table.apply(put("again"), 4, 10);
        table.moved_to_file(&name, 2, kept);
        assert_eq!(table.get(&ns, &key).unwrap().modified, 0);
    }
}
