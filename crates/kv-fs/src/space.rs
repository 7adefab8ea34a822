//! The keys of one namespace in memory, by name and by creation; small, as there are many.

use std::cmp::Ordering;

use kv_core::{CreationPage, Cursor, Key};

use crate::{
    index::Kept,
    sorted::{At, Sorted},
    table::{Entry, Place, Stamp},
};

#[derive(Debug, Default)]
pub(crate) struct Space {
    keys: Sorted<Front, Slot>,
    by_creation: Sorted<u64, Key>,
}

/// A key and its [`Entry`].
#[derive(Debug)]
pub(crate) struct Slot {
    key: Key,
    created: u64,
    pub(crate) modified: u64,
    pub(crate) version: u64,
    spot: Spot,
}

/// The first 16 bytes of a key: most comparisons need to look no further.
pub(crate) type Front = u128;

pub(crate) fn front(key: &Key) -> Front {
    let mut front = [0; 16];
    for (byte, letter) in front.iter_mut().zip(key.as_str().bytes()) {
        *byte = letter;
    }
    u128::from_be_bytes(front)
}

/// A [`Place`] in less room.
#[derive(Debug)]
enum Spot {
    /// Nearly all of them.
    File {
        size: u32,
        crc: u32,
    },
    Other(Box<Place>),
}

impl From<Place> for Spot {
    fn from(place: Place) -> Self {
        if let Place::File(Stamp { size, crc }) = place
            && let Ok(size) = u32::try_from(size)
        {
            return Self::File { size, crc };
        }
        Self::Other(Box::new(place))
    }
}

impl Slot {
    pub(crate) fn new(key: Key, created: u64, version: u64, place: Place) -> Self {
        Self { key, created, modified: 0, version, spot: Spot::from(place) }
    }

    pub(crate) fn key(&self) -> &Key {
        &self.key
    }

    pub(crate) fn created(&self) -> u64 {
        self.created
    }

    pub(crate) fn entry(&self) -> Entry {
        let place = match &self.spot {
            Spot::File { size, crc } => Place::File(Stamp { size: u64::from(*size), crc: *crc }),
            Spot::Other(place) => Place::clone(place),
        };
        let Self { created, modified, version, .. } = *self;
        Entry { created, modified, version, place }
    }

    pub(crate) fn set_place(&mut self, place: Place) {
        self.spot = Spot::from(place);
    }

    /// Bytes of the value.
    pub(crate) fn size(&self) -> u64 {
        match &self.spot {
            Spot::File { size, .. } => u64::from(*size),
            Spot::Other(place) => place.size(),
        }
    }

    /// Bytes of the value if it is held in memory.
    pub(crate) fn memory(&self) -> u64 {
        match &self.spot {
            Spot::File { .. } => 0,
            Spot::Other(place) => place.memory(),
        }
    }

    pub(crate) fn big_file(&self) -> Option<u64> {
        match &self.spot {
            Spot::Other(place) => match **place {
                Place::Big(id, _) => Some(id),
                _ => None,
            },
            Spot::File { .. } => None,
        }
    }
}

impl Space {
    /// From what the index says, in the order of names.
    pub(crate) fn new(rows: impl Iterator<Item = (Key, Kept)>) -> Self {
        let slot = |(key, Kept { created, modified, stamp })| {
            let front = front(&key);
            (front, Slot { modified, ..Slot::new(key, created, 0, Place::File(stamp)) })
        };
        let keys: Sorted<Front, Slot> = rows.map(slot).collect();
        let mut order: Vec<_> =
            keys.iter().map(|(_, slot)| (slot.created, slot.key.clone())).collect();
        order.sort_by_key(|(created, _)| *created);
        Self { keys, by_creation: order.into_iter().collect() }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// Every key, by name.
    pub(crate) fn slots(&self) -> impl Iterator<Item = &Slot> {
        self.keys.iter().map(|(_, slot)| slot)
    }

    fn find(&self, key: &Key) -> Result<At, At> {
        self.keys.find(front(key), |slot| slot.key.cmp(key))
    }

    pub(crate) fn get(&self, key: &Key) -> Option<&Slot> {
        self.keys.get(self.find(key).ok()?)
    }

    pub(crate) fn get_mut(&mut self, key: &Key) -> Option<&mut Slot> {
        let at = self.find(key).ok()?;
        self.keys.get_mut(at)
    }

    /// Adds a key that is not there yet, with a number that no key has.
    pub(crate) fn insert(&mut self, slot: Slot) {
        let created = slot.created;
        let at = self.by_creation.find(created, |_| Ordering::Equal);
        self.by_creation.insert(at.unwrap_or_else(|at| at), created, slot.key.clone());
        let at = self.find(&slot.key);
        self.keys.insert(at.unwrap_or_else(|at| at), front(&slot.key), slot);
    }

    pub(crate) fn remove(&mut self, key: &Key) -> Option<Slot> {
        let at = self.find(key).ok()?;
        let slot = self.keys.remove(at)?;
        if let Ok(at) = self.by_creation.find(slot.created, |_| Ordering::Equal) {
            self.by_creation.remove(at);
        }
        Some(slot)
    }

    pub(crate) fn list(&self, after: Option<&Key>, limit: usize) -> Vec<Key> {
        // Where something just above the key would be; no key has the lowest rank.
        let above = |slot: &Slot| {
            after.map_or(Ordering::Greater, |after| slot.key.cmp(after).then(Ordering::Less))
        };
        let from =
            self.keys.find(after.map(front).unwrap_or_default(), above).unwrap_or_else(|at| at);
        self.keys.iter_from(from).map(|(_, slot)| slot.key.clone()).take(limit).collect()
    }

    pub(crate) fn newest_first(&self, cursor: Option<&Cursor>, limit: usize) -> CreationPage {
        let before = cursor.map_or(u64::MAX, Cursor::sequence);
        let at = self.by_creation.find(before, |_| Ordering::Equal);
        let mut rest = self.by_creation.iter_before(at.unwrap_or_else(|at| at));
        let page: Vec<_> = rest.by_ref().take(limit).collect();
        let next = match page.last() {
            Some((created, _)) if rest.next().is_some() => Some(Cursor::from_sequence(*created)),
            _ => None,
        };
        CreationPage { keys: page.into_iter().map(|(_, key)| key.clone()).collect(), next }
    }
}
