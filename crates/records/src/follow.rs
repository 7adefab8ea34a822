//! Following changes that another layer made below: merged from other devices.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, PoisonError},
};

use kv_core::{Key, Value};

use crate::{
    ObjectStore, OpenReport, Record, Result, Skipped, UniqueConflict, codec, encoding::EncodedKey,
    report, rows::IndexKeys, transaction::index_keys, undecided::key_in,
};

/// A stored record that was changed below this crate, and is durable.
#[derive(Debug, Clone)]
pub struct Below {
    /// The name it is stored under.
    pub name: Key,
    /// What was stored there before.
    pub before: Option<Value>,
}

impl<R: Record> ObjectStore<R> {
    /// Takes over changes that were made below this crate, so that the indexes show them. What
    /// cannot be used is in the report, and no reason to fail; `records` counts those that can.
    ///
    /// A record that is written through this store meanwhile stays as it is written here: the
    /// layer below has put that write after its own change.
    pub fn follow(&self, changes: &[Below]) -> Result<OpenReport> {
        let table = self.table();
        let mut report = OpenReport::default();
        if changes.is_empty() {
            return Ok(report);
        }
        let _one_at_a_time = table.following.lock().unwrap_or_else(PoisonError::into_inner);
        table.lock().touched = Some(BTreeSet::new());
        let mut rows: BTreeMap<EncodedKey, Option<IndexKeys>> = BTreeMap::new();
        let mut too_new = BTreeMap::new();
        let mut failed = None;
        for Below { name, before } in changes {
            // What was there before tells the key that a name is made of.
            let known = before.as_ref().and_then(|bytes| {
                codec::Stored::parse(R::STORE, name, bytes, R::VERSION).ok()?.record::<R>(name).ok()
            });
            if let Some(record) = known {
                rows.insert(record.key().encode().into(), None);
            }
            match table.load::<R>(name) {
                Ok(Some(loaded)) => {
                    report.old += u64::from(loaded.version < R::VERSION);
                    report.records += 1;
                    rows.insert(loaded.primary, Some(index_keys(&loaded.record)));
                }
                Ok(None) => {}
                Err(why) if report::concerns_one_record(&why) => {
                    let skipped = Skipped { name: name.clone(), why };
                    if skipped.is_too_new() {
                        too_new.insert(name.clone(), skipped.why.clone());
                    }
                    report.skipped.push(skipped);
                }
                Err(error) => {
                    failed = Some(error);
                    break;
                }
            }
        }
        let mut state = table.lock();
        let touched = state.touched.take().unwrap_or_default();
        if let Some(error) = failed {
            return Err(error);
        }
        for Below { name, .. } in changes {
            state.too_new.remove(name);
        }
        state.too_new.extend(too_new);
        rows.retain(|primary, _| !touched.contains(primary) && !state.is_undecided(primary));
        for (primary, keys) in &rows {
            state.set(Arc::clone(primary), keys.clone());
        }
        let mut conflicts = BTreeSet::new();
        for (primary, keys) in &rows {
            for (position, index) in table.unique() {
                let Some(key) = keys.as_ref().and_then(|keys| key_in(keys, position)) else {
                    continue;
                };
                for other in state.owners(position, key).filter(|other| *other != primary) {
                    let pair = [primary.min(other), primary.max(other)].map(Arc::clone);
                    conflicts.insert((index, pair));
                }
            }
        }
        drop(state);
        for (index, [a, b]) in conflicts {
            let names = [codec::name(R::STORE, &a)?, codec::name(R::STORE, &b)?];
            report.conflicts.push(UniqueConflict { index, names });
        }
        Ok(report)
    }
}
