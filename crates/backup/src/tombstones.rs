//! Removed keys, remembered until every writer knows.

use std::collections::BTreeMap;

use kv_core::{Key, KvStore, Result};
use serde::{Deserialize, Serialize};

use crate::{EntryName, Stamp, log};

/// The mergeable keys that one batch removed, by the stamps of their removals.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Removals(pub(crate) Vec<(Stamp, Vec<EntryName>)>);

/// All tombstones, in memory.
#[derive(Debug, Default)]
pub(crate) struct Tombstones {
    /// The newest removal of each key, and the number of its batch.
    by_name: BTreeMap<EntryName, (Stamp, u64)>,
    /// The batches that are stored, with the greatest stamp in each.
    batches: BTreeMap<u64, (Stamp, Vec<EntryName>)>,
}

/// How many to read at once.
const PAGE: usize = 1000;

impl Removals {
    pub(crate) fn push(&mut self, stamp: &Stamp, name: EntryName) {
        match self.0.iter_mut().find(|(known, _)| known == stamp) {
            Some((_, names)) => names.push(name),
            None => self.0.push((*stamp, vec![name])),
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl Tombstones {
    pub(crate) fn load(store: &dyn KvStore, places: &log::Places) -> Result<Self> {
        let mut tombstones = Self::default();
        let mut after: Option<Key> = None;
        loop {
            let page = store.list(&places.tombstones, after.as_ref(), PAGE)?;
            for key in &page {
                let number =
                    key.as_str().parse().map_err(|_| log::damaged("a tombstone's number"))?;
                if let Some(bytes) = store.read(&places.tombstones, key)? {
                    tombstones.insert(number, log::read("tombstones", &bytes)?);
                }
            }
            if page.len() < PAGE {
                return Ok(tombstones);
            }
            after = page.last().cloned();
        }
    }

    /// Remembers what batch `number` removed.
    pub(crate) fn insert(&mut self, number: u64, removals: Removals) {
        for (stamp, names) in removals.0 {
            let batch = self.batches.entry(number).or_insert_with(|| (stamp, Vec::new()));
            batch.0 = batch.0.max(stamp);
            for name in names {
                let newest = self.by_name.entry(name.clone()).or_insert((stamp, number));
                *newest = (*newest).max((stamp, number));
                batch.1.push(name);
            }
        }
    }

    /// When a key was removed last, as far as is remembered. It may have been written since.
    pub(crate) fn stamp(&self, name: &EntryName) -> Option<Stamp> {
        self.by_name.get(name).map(|(stamp, _)| *stamp)
    }

    /// The numbers up to `to` of batches that were removed before `before`, in milliseconds since
    /// the Unix epoch.
    pub(crate) fn older(&self, to: u64, before: u64) -> Vec<u64> {
        let batches = self.batches.range(..=to).take_while(|(_, (stamp, _))| stamp.time < before);
        batches.map(|(number, _)| *number).collect()
    }

    pub(crate) fn forget(&mut self, number: u64) {
        let Some((_, names)) = self.batches.remove(&number) else { return };
        for name in names {
            if self.by_name.get(&name).is_some_and(|(_, newest)| *newest == number) {
                self.by_name.remove(&name);
            }
        }
    }

    /// How many batches are remembered.
    pub(crate) fn len(&self) -> u64 {
        self.batches.len() as u64
    }
}
