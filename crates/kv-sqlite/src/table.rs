//! The names of all keys, in memory: which there are, and the creation number of each.
//!
//! SQLite's pages have no checksums, so a damaged one can hide a row. This table is checked as a
//! whole when a store is opened; from then on it says what is there, and SQLite only what is in it.

use std::{collections::BTreeMap, ops::Bound};

use kv_core::{CreationPage, Cursor, Key, Namespace, SortKey};

use crate::row;

/// The keys of a store, by name and by creation.
#[derive(Debug, Default)]
pub(crate) struct Table {
    namespaces: BTreeMap<Namespace, Keys>,
    keys: u64,
    /// Wrapping sum of [`row::name_sum`] over all keys.
    names: u64,
    memory: u64,
}

#[derive(Debug, Default)]
struct Keys {
    by_name: BTreeMap<SortKey, u64>,
    by_creation: BTreeMap<u64, Key>,
}

/// Bytes of memory a key costs beside its name, roughly.
const KEY_MEMORY: u64 = 130;

impl Table {
    /// A table of all names by namespace; `None` if one comes twice.
    pub(crate) fn from_names(
        names: impl IntoIterator<Item = (Namespace, Vec<(Key, u64)>)>,
    ) -> Option<Self> {
        let mut table = Self::default();
        for (ns, mut keys) in names {
            let count = keys.len();
            keys.sort_unstable_by_key(|(_, created)| *created);
            for (key, created) in &keys {
                table.count(&ns, key, *created);
            }
            let mut by_name: Vec<(SortKey, u64)> =
                keys.iter().map(|(key, created)| (key.into(), *created)).collect();
            by_name.sort_unstable();
            // Both are sorted now, so that the trees are built in one go.
            let keys = Keys {
                by_name: by_name.into_iter().collect(),
                by_creation: keys.into_iter().map(|(key, created)| (created, key)).collect(),
            };
            let distinct = (keys.by_name.len(), keys.by_creation.len());
            if distinct != (count, count) || table.namespaces.insert(ns, keys).is_some() {
                return None;
            }
        }
        Some(table)
    }

    pub(crate) fn get(&self, ns: &Namespace, key: &Key) -> Option<u64> {
        self.namespaces.get(ns)?.by_name.get(&SortKey::from(key)).copied()
    }

    /// The creation numbers of several keys of one namespace.
    pub(crate) fn get_each(&self, ns: &Namespace, keys: &[Key]) -> Vec<Option<u64>> {
        let there = self.namespaces.get(ns);
        let created = |key| there?.by_name.get(&SortKey::from(key)).copied();
        keys.iter().map(created).collect()
    }

    pub(crate) fn insert(&mut self, ns: &Namespace, key: &Key, created: u64) {
        self.count(ns, key, created);
        if !self.namespaces.contains_key(ns) {
            self.namespaces.insert(ns.clone(), Keys::default());
        }
        if let Some(keys) = self.namespaces.get_mut(ns) {
            keys.by_name.insert(key.into(), created);
            keys.by_creation.insert(created, key.clone());
        }
    }

    pub(crate) fn remove(&mut self, ns: &Namespace, key: &Key) {
        let Some(keys) = self.namespaces.get_mut(ns) else { return };
        let Some(created) = keys.by_name.remove(&SortKey::from(key)) else { return };
        keys.by_creation.remove(&created);
        if keys.by_name.is_empty() {
            self.namespaces.remove(ns);
        }
        self.keys -= 1;
        self.names = self.names.wrapping_sub(row::name_sum(created, ns, key));
        self.memory -= memory(key);
    }

    fn count(&mut self, ns: &Namespace, key: &Key, created: u64) {
        self.keys += 1;
        self.names = self.names.wrapping_add(row::name_sum(created, ns, key));
        self.memory += memory(key);
    }

    pub(crate) fn list(&self, ns: &Namespace, after: Option<&Key>, limit: usize) -> Vec<Key> {
        let Some(keys) = self.namespaces.get(ns) else { return Vec::new() };
        let start = after.map_or(Bound::Unbounded, |after| Bound::Excluded(SortKey::from(after)));
        let page = keys.by_name.range((start, Bound::Unbounded)).take(limit);
        page.map(|(key, _)| key.key().clone()).collect()
    }

    pub(crate) fn namespaces(&self) -> Vec<Namespace> {
        self.namespaces.keys().cloned().collect()
    }

    pub(crate) fn newest_first(
        &self,
        ns: &Namespace,
        cursor: Option<&Cursor>,
        limit: usize,
    ) -> CreationPage {
        let Some(keys) = self.namespaces.get(ns) else { return CreationPage::default() };
        let end = cursor.map_or(Bound::Unbounded, |cursor| Bound::Excluded(cursor.sequence()));
        let mut older = keys.by_creation.range((Bound::Unbounded, end)).rev();
        let page: Vec<(&u64, &Key)> = older.by_ref().take(limit).collect();
        let last = page.last().map(|(created, _)| **created);
        let next = last.filter(|_| older.next().is_some()).map(Cursor::from_sequence);
        CreationPage { keys: page.into_iter().map(|(_, key)| key.clone()).collect(), next }
    }

    /// Every name with its creation number.
    pub(crate) fn all(&self) -> impl Iterator<Item = (&Namespace, &Key, u64)> {
        self.namespaces.iter().flat_map(|(ns, keys)| {
            keys.by_name.iter().map(move |(key, created)| (ns, key.key(), *created))
        })
    }

    pub(crate) fn keys(&self) -> u64 {
        self.keys
    }

    pub(crate) fn names(&self) -> u64 {
        self.names
    }

    pub(crate) fn memory(&self) -> u64 {
        self.memory
    }
}

fn memory(key: &Key) -> u64 {
    KEY_MEMORY + key.as_str().len() as u64
}
