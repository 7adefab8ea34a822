//! The times of value files. LDK's `FilesystemStoreV2` lists by them, newest first: by whole
//! milliseconds, then by name, both descending. So each new key gets a time above all others of
//! its namespace, and keeps it when it is overwritten.
//!
//! No wall clock is read: the time of a checkpoint is when the log was last written, as the file
//! system tells it.

use std::{
    collections::{BTreeMap, HashMap},
    io,
};

use kv_core::Namespace;

use crate::{
    disk::Disk,
    layout,
    rows::Rows,
    table::{Entry, Name},
};

pub(crate) const NANOSECONDS: u64 = 1_000_000;

/// The newest time given in each namespace, in milliseconds since the Unix epoch.
#[derive(Debug, Default)]
pub(crate) struct Times(HashMap<Namespace, u64>);

impl Times {
    pub(crate) fn of(rows: &Rows) -> Self {
        let newest = |ns| rows.of(ns).map(|(_, kept)| kept.modified).max().unwrap_or_default();
        Self(rows.namespaces().map(|ns| (ns.clone(), newest(ns))).collect())
    }

    /// Gives every new key its time, in the order of creation: the last one `now` if the clock
    /// has gone on since, else each a millisecond after the one before.
    pub(crate) fn give(&mut self, dirty: &mut [(Name, Option<Entry>)], now: u64) {
        let mut new: BTreeMap<Namespace, Vec<&mut Entry>> = BTreeMap::new();
        for ((ns, _), entry) in dirty {
            if let Some(entry) = entry.as_mut().filter(|entry| entry.modified == 0) {
                new.entry(ns.clone()).or_default().push(entry);
            }
        }
        for (ns, mut entries) in new {
            entries.sort_by_key(|entry| entry.created);
            let newest = self.0.entry(ns).or_default();
            let first = now.saturating_sub(entries.len() as u64 - 1).max(*newest + 1);
            for (time, entry) in (first..).zip(entries) {
                entry.modified = time;
                *newest = time;
            }
        }
    }
}

/// When this segment of the log was last written, in milliseconds since the Unix epoch.
pub(crate) fn of_log(disk: &dyn Disk, segment: u64) -> io::Result<u64> {
    Ok(disk.modified(&layout::log(segment))?.unwrap_or_default() / NANOSECONDS)
}

#[cfg(test)]
mod tests {
    use kv_core::Key;

    use super::*;
    use crate::table::{Place, Stamp};

    fn new(primary: &str, key: &str, created: u64, modified: u64) -> (Name, Option<Entry>) {
        let name = (Namespace::new(primary, "").unwrap(), Key::new(key).unwrap());
        let place = Place::File(Stamp { size: 0, crc: 0 });
        (name, Some(Entry { created, modified, version: 1, place }))
    }

    fn given(times: &mut Times, mut dirty: Vec<(Name, Option<Entry>)>, now: u64) -> Vec<u64> {
        times.give(&mut dirty, now);
        dirty.into_iter().map(|(_, entry)| entry.unwrap().modified).collect()
    }

    #[test]
    fn times_follow_the_order_of_creation_in_each_namespace() {
        let mut times = Times::default();
        let dirty = vec![new("a", "x", 7, 0), new("a", "y", 5, 0), new("b", "z", 6, 0)];
        assert_eq!(given(&mut times, dirty, 1_000), [1_000, 999, 1_000]);
        // An overwritten key keeps its time; a clock that stands still or goes back does not matter.
        let dirty = vec![new("a", "x", 7, 1_000), new("a", "v", 8, 0), new("b", "w", 9, 0)];
        assert_eq!(given(&mut times, dirty, 900), [1_000, 1_001, 1_001]);
        assert_eq!(given(&mut times, vec![new("a", "u", 10, 0)], 5_000), [5_000]);
    }
}
