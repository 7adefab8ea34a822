//! Cuts: one consistent moment over all keys.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::PoisonError,
};

use kv_core::{Batch, Error, KvStore, Result};

use super::{Order, Recorder, STORE, memory::Held};
use crate::{Content, Entry, EntryName, Rule};

/// The last change per key of all batches after `from` up to `to`, as of `to`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cut {
    /// The first sequence number covered.
    pub from: u64,
    /// The last sequence number covered: the restore point.
    pub to: u64,
    /// Time of the first and the last change, in milliseconds since the Unix epoch.
    pub time: (u64, u64),
    /// Mergeable entries, ascending by name.
    pub mergeable: Vec<Entry>,
    /// Single-writer entries, ascending by name.
    pub single_writer: Vec<Entry>,
}

impl Recorder {
    /// Takes a cut of everything after sequence number `from`, or after what was acknowledged if
    /// that is later (its log is gone, so [`Cut::from`] says so); `None` if nothing changed.
    ///
    /// What is in the cut is durable here: everything submitted so far is flushed first. Values
    /// that are no longer in memory are read from the store; if one of them was changed meanwhile
    /// the cut moves forward over that change, whose value is in memory.
    pub fn cut(&self, from: u64) -> Result<Option<Cut>> {
        let _one_at_a_time = self.cutting.lock().unwrap_or_else(PoisonError::into_inner);
        self.order().memory.pinned = true;
        let cut = self.cut_pinned(from);
        let mut order = self.order();
        order.memory.pinned = false;
        order.memory.shrink();
        cut
    }

    fn cut_pinned(&self, from: u64) -> Result<Option<Cut>> {
        let mut cut = Gathered { from, to: from, ..Gathered::default() };
        loop {
            let to = self.order().next - 1;
            self.inner.submit(Batch::new()).wait()?;
            cut.extend(&self.order(), to);
            if cut.changes.is_empty() {
                return Ok(None);
            }
            if !self.read_dropped(&mut cut)? {
                return cut.finish(self).map(Some);
            }
        }
    }

    /// Reads values that are not held; `true` if one of them was changed after the cut, which then must move.
    fn read_dropped(&self, cut: &mut Gathered) -> Result<bool> {
        let mut read = Vec::new();
        for (name, held) in &cut.changes {
            if matches!(held, Held::Dropped) {
                let (ns, key) = name.place()?;
                read.push((name.clone(), self.inner.read(&ns, &key)?));
            }
        }
        // Only after the last read: a change submitted later cannot have been read.
        let changed = self.order().changed_after(cut.to);
        let mut moved = false;
        for (name, value) in read {
            if changed.contains(&name) {
                moved = true;
            } else if let Some(value) = value {
                cut.changes.insert(name, Held::Value(value));
            } else {
                return Err(Error::corrupt(STORE, "a logged value is missing"));
            }
        }
        Ok(moved)
    }
}

impl Order {
    pub(super) fn changed_after(&self, sequence: u64) -> BTreeSet<EntryName> {
        let later = self.memory.range(sequence, u64::MAX);
        later.flat_map(|(_, batch)| &batch.changes).map(|(name, ..)| name.clone()).collect()
    }
}

#[derive(Default)]
struct Gathered {
    changes: BTreeMap<EntryName, Held>,
    from: u64,
    to: u64,
    time: Option<(u64, u64)>,
}

impl Gathered {
    /// Adds the batches up to `to`, newest last.
    fn extend(&mut self, order: &Order, to: u64) {
        if self.changes.is_empty() {
            // What has been acknowledged, also just now, is no longer in the log.
            self.from = self.from.max(order.state.backed_up);
            self.to = self.from;
        }
        for (sequence, batch) in order.memory.range(self.to, to) {
            for (name, _, held) in &batch.changes {
                self.changes.insert(name.clone(), held.clone());
            }
            let first = self.time.map_or(batch.time, |(first, _)| first);
            self.time = Some((first, batch.time));
            self.to = sequence;
        }
    }

    fn finish(self, recorder: &Recorder) -> Result<Cut> {
        let mut cut = Cut {
            from: self.from + 1,
            to: self.to,
            time: self.time.unwrap_or_default(),
            mergeable: Vec::new(),
            single_writer: Vec::new(),
        };
        for (name, held) in self.changes {
            let mergeable = recorder.rules.of(&name.place()?.0) == Rule::Mergeable;
            let content = match held {
                Held::Value(value) => Content::Value(value.to_vec()),
                Held::Removed(stamp) => Content::Removed(stamp.filter(|_| mergeable)),
                // `read_dropped` leaves none; to skip one would lose a change.
                Held::Dropped => return Err(Error::corrupt(STORE, "a logged value was not read")),
            };
            let section = if mergeable { &mut cut.mergeable } else { &mut cut.single_writer };
            section.push(Entry { name, content });
        }
        Ok(cut)
    }
}
