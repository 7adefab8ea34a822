//! What several threads do at once in a restore: entries into batches, batches into the store.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use kv_core::{Batch, Change, Commit, InvalidName, Key, KvStore, Namespace, Value};

use super::{names::NameHash, names::NameSet, pieces::PieceRun};
use crate::{
    EntryName, Error, Result, Rule, Rules, Run, Stamp, frame,
    log::{self, Places},
    segment::{ContentRef, NameRef},
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

/// What becomes of a name.
#[derive(Debug)]
enum What {
    Value(Value),
    Removed(Option<Stamp>),
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
    fn place(&mut self, name: NameRef<'_>) -> Result<(Namespace, Key), InvalidName> {
        let NameRef { primary, secondary, key } = name;
        let same = |ns: &&Namespace| ns.primary() == primary && ns.secondary() == secondary;
        let ns = match self.ns.as_ref().filter(same) {
            Some(ns) => ns.clone(),
            None => self.ns.insert(Namespace::any(primary, secondary)?).clone(),
        };
        Ok((ns, Key::new(key)?))
    }
}

impl RestoreWorker {
    /// Submits what newer layers have not decided; values in pieces are handed on.
    pub fn apply(&self, run: Run) -> Result<Applied> {
        let mut applied = Applied::default();
        let mut growing = Growing::default();
        run.for_each(|entry, keep| {
            // Whether it counts or not: only whole values may be skipped.
            if applied.pieces.takes(entry) {
                return Ok(());
            }
            let what = match entry.content {
                ContentRef::Value(value) => What::Value(keep(value).into()),
                ContentRef::Removed(stamp) => What::Removed(stamp),
                ContentRef::Piece { .. } => {
                    return Err(Error::BrokenChain { what: "a piece is taken for a value" });
                }
            };
            self.add(entry.name, what, &mut growing, &mut applied)
        })?;
        self.submit(&mut growing, &mut applied);
        Ok(applied)
    }

    /// The same, for values that were put together.
    pub(super) fn apply_whole(
        &self,
        values: Vec<(EntryName, Value)>,
        applied: &mut Applied,
    ) -> Result<()> {
        let mut growing = Growing::default();
        for (name, value) in values {
            self.add(NameRef::of(&name), What::Value(value), &mut growing, applied)?;
        }
        self.submit(&mut growing, applied);
        Ok(())
    }

    fn add(
        &self,
        name: NameRef<'_>,
        what: What,
        growing: &mut Growing,
        applied: &mut Applied,
    ) -> Result<()> {
        let Target { rules, places, tombstones, resumed, .. } = &*self.target;
        let place = growing.place(name).ok().filter(|(ns, _)| ns.primary() != log::PRIMARY);
        let (ns, key) = place
            .ok_or(Error::BrokenChain { what: "an entry has a name that is never backed up" })?;
        if self.newer.contains_ref(name) {
            return Ok(());
        }
        if self.layer == Layer::Upper {
            applied.names.push(NameHash::of(name));
        }
        applied.changes += 1;
        match what {
            What::Value(value) => {
                applied.bytes += value.len() as u64;
                growing.bytes += value.len();
                if rules.of(&ns) == Rule::Mergeable {
                    applied.saw(&frame::stamp(&value)?);
                }
                growing.batch.insert(ns, key, Change::Put(value));
            }
            What::Removed(stamp) => {
                if let Some(stamp) = stamp {
                    applied.saw(&stamp);
                    let number = tombstones.fetch_add(1, Ordering::Relaxed) + 1;
                    let removed = vec![name.to_owned()];
                    let tombstone = log::write(&Removals(vec![(stamp, removed)]));
                    let (ns, key) = (places.tombstones.clone(), Key::number(number));
                    growing.batch.insert(ns, key, Change::Put(tombstone));
                }
                // Older layers cannot bring it back, and a dump may hold a value beside the
                // tombstone, which counts. Only an earlier restore may have put something here.
                if self.layer == Layer::Upper && *resumed {
                    growing.batch.insert(ns, key, Change::Remove);
                }
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
