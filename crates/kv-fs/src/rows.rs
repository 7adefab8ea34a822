//! What the index says of every key, in the order of names.

use std::collections::BTreeMap;

use kv_core::{Key, Namespace};

use crate::{
    index::{Kept, Row},
    sorted::Sorted,
    space::{Front, front},
};

/// The keys with a value in a file.
#[derive(Debug, Default)]
pub(crate) struct Rows(BTreeMap<Namespace, Sorted<Front, (Key, Kept)>>);

impl Rows {
    pub(crate) fn insert(&mut self, ns: &Namespace, key: Key, kept: Kept) {
        let space = match self.0.get_mut(ns) {
            Some(space) => space,
            None => self.0.entry(ns.clone()).or_default(),
        };
        let front = front(&key);
        match space.find(front, |(other, _)| other.cmp(&key)) {
            Err(at) => space.insert(at, front, (key, kept)),
            Ok(at) => {
                if let Some(row) = space.get_mut(at) {
                    row.1 = kept;
                }
            }
        }
    }

    fn remove(&mut self, ns: &Namespace, key: &Key) {
        let Some(space) = self.0.get_mut(ns) else { return };
        if let Ok(at) = space.find(front(key), |(other, _)| other.cmp(key)) {
            space.remove(at);
        }
        if space.is_empty() {
            self.0.remove(ns);
        }
    }

    /// What the index says of a key; `None`: it was removed.
    pub(crate) fn set(&mut self, ns: &Namespace, key: Key, row: Row) {
        match row {
            Some(kept) => self.insert(ns, key, kept),
            None => self.remove(ns, &key),
        }
    }

    /// Leaves out a whole namespace.
    pub(crate) fn remove_all(&mut self, ns: &Namespace) {
        self.0.remove(ns);
    }

    pub(crate) fn namespaces(&self) -> impl Iterator<Item = &Namespace> {
        self.0.keys()
    }

    /// The rows of a namespace.
    pub(crate) fn of(&self, ns: &Namespace) -> impl Iterator<Item = (&Key, &Kept)> {
        self.0
            .get(ns)
            .into_iter()
            .flat_map(|space| space.iter().map(|(_, (key, kept))| (key, kept)))
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&Namespace, &Key, Kept)> {
        self.0
            .iter()
            .flat_map(|(ns, space)| space.iter().map(move |(_, (key, kept))| (ns, key, *kept)))
    }

    /// Everything, by namespace.
    pub(crate) fn into_spaces(
        self,
    ) -> impl Iterator<Item = (Namespace, impl Iterator<Item = (Key, Kept)>)> {
        self.0.into_iter().map(|(ns, space)| (ns, space.drain().map(|(_, row)| row)))
    }
}
