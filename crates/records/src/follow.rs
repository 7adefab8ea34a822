//! Following changes that another layer made below: merged from other devices.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::PoisonError,
};

use kv_core::{Batch, Key, Value};

use crate::{
    Index, ObjectStore, OpenReport, Record, Result, Skipped, UniqueConflict, codec,
    encoding::EncodedKey, load, numbers, report, row::Keyed, table::State, undecided::unique_keys,
};

/// A stored record that was changed below this crate, and is durable.
#[derive(Debug, Clone)]
pub struct Below {
    /// The name it is stored under.
    pub name: Key,
    /// What was stored there before.
    pub before: Option<Value>,
}

/// Records by primary key; `None`: gone or unusable.
type Rows<R> = BTreeMap<EncodedKey, Option<Keyed<R>>>;

impl<R: Record> ObjectStore<R> {
    /// Takes over changes that were made below this crate, so that reads and indexes show them. What
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
        let order = || table.order.lock().unwrap_or_else(PoisonError::into_inner);
        {
            let _order = order(); // nobody is between submitting a change and remembering it
            let mut state = table.lock()?;
            // What is in flight comes after the changes below, and may land while these are read.
            state.touched = Some(state.undecided.primaries().cloned().collect());
        }
        let read = self.read_below(changes, &mut report);
        let _order = order();
        let mut state = table.lock()?;
        let touched = state.touched.take().unwrap_or_default();
        let (mut rows, counted) = read?;
        for Below { name, .. } in changes {
            state.unusable.remove(name);
        }
        let skipped = report.skipped.iter().map(|skipped| (&skipped.name, &skipped.why));
        state.unusable.extend(skipped.map(|(name, why)| (name.clone(), why.clone())));
        rows.retain(|primary, _| !touched.contains(primary));
        for (primary, keyed) in &rows {
            state.set(primary, keyed.clone());
            if let Some(keyed) = keyed.as_ref().filter(|_| R::NUMBERED.is_some()) {
                state.numbers.saw(&keyed.row.record.key());
            }
        }
        let conflicts = conflicts(&state, &rows);
        let count = state.numbers.unsaved().filter(|_| counted);
        drop(state);
        if let Some(count) = count {
            self.keep_count(count)?;
        }
        for (index, [a, b]) in conflicts {
            let names = [codec::name(R::STORE, &a)?, codec::name(R::STORE, &b)?];
            report.conflicts.push(UniqueConflict { index, names });
        }
        Ok(report)
    }

    /// Stores how far this device has counted, in place of another device's lesser count: what told
    /// of the numbers since then may be gone. Called with the order held.
    fn keep_count(&self, count: u64) -> Result<()> {
        let table = self.table();
        let (name, value) = (numbers::name(R::STORE)?, numbers::to_value(R::STORE, count)?);
        if table.lock()?.check_not_too_new(&name).is_err() {
            return Ok(());
        }
        let commit = table.kv.submit(Batch::new().put(&table.ns, &name, value).lazy());
        // A store that refuses now takes the count with the next change, or none any more.
        if !matches!(commit.receipt().outcome(), Some(Err(_))) {
            table.lock()?.numbers.saved(count);
        }
        Ok(())
    }

    /// The changed records as they are stored now, by primary key; `None`: gone or unusable. And
    /// whether the count is among them.
    fn read_below(&self, changes: &[Below], report: &mut OpenReport) -> Result<(Rows<R>, bool)> {
        let table = self.table();
        let count_name = R::NUMBERED.map(|_| numbers::name(R::STORE)).transpose()?;
        let mut rows = BTreeMap::new();
        let mut counted = false;
        for Below { name, before } in changes {
            if count_name.as_ref() == Some(name) {
                counted = true;
                // One that is damaged or gone tells nothing; what is in memory goes on.
                if let Ok(Some(count)) = load::load_count::<R>(&*table.kv, &table.ns, name) {
                    table.lock()?.numbers.merge(count);
                }
                continue;
            }
            // What was there before tells the key that a name is made of.
            let known = before.as_ref().and_then(|bytes| codec::record::<R>(name, bytes).ok());
            if let Some((record, _)) = known {
                rows.insert(record.key().encode().into(), None);
            }
            match load::load::<R>(&*table.kv, &table.ns, name) {
                Ok(Some(row)) => {
                    report.old += u64::from(row.version < R::VERSION);
                    report.records += 1;
                    rows.insert(EncodedKey::from(&*row.primary), Some(Keyed::new(row)));
                }
                Ok(None) => {}
                Err(why) if report::concerns_one_record(&why) => {
                    report.skipped.push(Skipped { name: name.clone(), why });
                }
                Err(error) => return Err(error),
            }
        }
        Ok((rows, counted))
    }
}

/// Which of these records share a key of a unique index with another one.
fn conflicts<R: Record>(
    state: &State<R>,
    rows: &Rows<R>,
) -> BTreeSet<(&'static str, [EncodedKey; 2])> {
    let mut conflicts = BTreeSet::new();
    for (primary, keyed) in rows {
        for (position, key) in unique_keys(keyed.as_ref()) {
            let name = R::INDEXES.get(position).map_or("", Index::name);
            // What is in flight here was not refused: nobody knew of the merged record yet.
            let holders = state.holders(position, key);
            let holders = holders.filter(|other| state.has_key(other, position, key));
            for other in holders.filter(|other| **other != **primary) {
                let pair = [(&**primary).min(other), (&**primary).max(other)];
                conflicts.insert((name, pair.map(EncodedKey::from)));
            }
        }
    }
    conflicts
}
