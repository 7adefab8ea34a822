//! What several threads do at once in a restore: entries into batches, batches into the store.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use kv_core::{Batch, Change, Commit, Key, KvStore, Namespace, Value};

use super::{names::NameHash, names::NameSet, pieces::PieceRun};
use crate::{
    Content, Entry, EntryName, Error, Result, Rule, Rules, Stamp, frame,
    log::{self, Places},
    tombstones::Removals,
};

/// How large a batch may grow before it is written.
const BATCH_BYTES: usize = 1 << 20;
const BATCH_ENTRIES: usize = 1000;

/// Where entries go.
#[derive(Debug)]
pub(super) struct Target {
    pub(super) store: Arc<dyn KvStore>,
    pub(super) rules: Rules,
    pub(super) places: Places,
    /// The number of the last tombstone.
    pub(super) tombstones: AtomicU64,
    /// An earlier restore has left something here.
    pub(super) resumed: bool,
}

/// How the entries of a layer relate to other layers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Layer {
    /// Older ones follow: they must not undo it.
    Upper,
    /// The full dump below all.
    Base,
}

/// Applies entries of one layer; cheap to clone, for any thread.
#[derive(Debug, Clone)]
pub struct RestoreWorker {
    pub(super) target: Arc<Target>,
    /// Keys decided by newer layers.
    pub(super) newer: Arc<NameSet>,
    pub(super) layer: Layer,
}

/// What became of a run of entries; give it to [`super::Restorer::applied`], in order.
#[derive(Debug, Default)]
pub struct Applied {
    pub(super) commits: Vec<Commit>,
    pub(super) pieces: PieceRun,
    pub(super) names: Vec<NameHash>,
    pub(super) changes: u64,
    pub(super) bytes: u64,
    pub(super) last_stamp: (u64, u32),
}

/// A batch that grows until it is worth writing.
#[derive(Debug, Default)]
struct Growing {
    batch: Batch,
    bytes: usize,
    /// That of the last entry: most neighbours share it.
    ns: Option<Namespace>,
}

impl Growing {
    /// The validated place of an entry.
    fn place(&mut self, name: &EntryName) -> kv_core::Result<(Namespace, Key)> {
        let (primary, secondary) = (name.primary.as_str(), name.secondary.as_str());
        let same = |ns: &&Namespace| ns.primary() == primary && ns.secondary() == secondary;
        let Some(ns) = self.ns.as_ref().filter(same) else {
            let place = name.place()?;
            self.ns = Some(place.0.clone());
            return Ok(place);
        };
        Ok((ns.clone(), name.checked_key()?))
    }
}

impl RestoreWorker {
    /// Submits what newer layers have not decided; values in pieces are handed on.
    pub fn apply(&self, entries: Vec<Entry>) -> Result<Applied> {
        let mut applied = Applied::default();
        let mut growing = Growing::default();
        for entry in entries {
            // Whether it counts or not: only whole values may be skipped.
            if let Some(entry) = applied.pieces.sort(entry) {
                self.add(entry, &mut growing, &mut applied)?;
            }
        }
        self.submit(&mut growing, &mut applied);
        Ok(applied)
    }

    /// As [`RestoreWorker::apply`], for values that were put together.
    pub(super) fn apply_whole(&self, entries: Vec<Entry>, applied: &mut Applied) -> Result<()> {
        let mut growing = Growing::default();
        for entry in entries {
            self.add(entry, &mut growing, applied)?;
        }
        self.submit(&mut growing, applied);
        Ok(())
    }

    fn add(&self, entry: Entry, growing: &mut Growing, applied: &mut Applied) -> Result<()> {
        let Target { rules, places, tombstones, resumed, .. } = &*self.target;
        let place = growing.place(&entry.name).ok().filter(|(ns, _)| ns.primary() != log::PRIMARY);
        let (ns, key) = place
            .ok_or(Error::BrokenChain { what: "an entry has a name that is never backed up" })?;
        if self.newer.contains(&entry.name) {
            return Ok(());
        }
        if self.layer == Layer::Upper {
            applied.names.push(NameHash::of(&entry.name));
        }
        applied.changes += 1;
        match entry.content {
            Content::Value(value) => {
                applied.bytes += value.len() as u64;
                growing.bytes += value.len();
                let value = Value::from(value);
                if rules.of(&ns) == Rule::Mergeable {
                    let (stamp, _) = frame::unwrap(value.clone())?;
                    applied.saw(&stamp);
                }
                growing.batch.insert(ns, key, Change::Put(value));
            }
            Content::Removed(stamp) => {
                if let Some(stamp) = stamp {
                    applied.saw(&stamp);
                    let number = tombstones.fetch_add(1, Ordering::Relaxed) + 1;
                    let tombstone = log::write(&Removals(vec![(stamp, vec![entry.name])]));
                    let (ns, key) = (places.tombstones.clone(), Key::number(number));
                    growing.batch.insert(ns, key, Change::Put(tombstone));
                }
                // Older layers cannot bring it back, and a dump may hold a value beside the
                // tombstone, which counts. Only an earlier restore may have put something here.
                if self.layer == Layer::Upper && *resumed {
                    growing.batch.insert(ns, key, Change::Remove);
                }
            }
            Content::Piece { .. } => {
                return Err(Error::BrokenChain { what: "a piece is taken for a value" });
            }
        }
        if growing.batch.len() >= BATCH_ENTRIES || growing.bytes >= BATCH_BYTES {
            self.submit(growing, applied);
        }
        Ok(())
    }

    fn submit(&self, growing: &mut Growing, applied: &mut Applied) {
        growing.bytes = 0;
        let batch = std::mem::take(&mut growing.batch);
        if !batch.is_empty() {
            applied.commits.push(self.target.store.submit(batch));
        }
    }
}

impl Applied {
    fn saw(&mut self, stamp: &Stamp) {
        self.last_stamp = self.last_stamp.max((stamp.time, stamp.counter));
    }
}
