//! Cuts: one consistent moment over all keys.

use std::sync::PoisonError;

use kv_core::{Error, KvStore, Result, Value};

use super::{
    Recorder, STORE,
    memory::{Held, Name},
};
use crate::{Content, Entry, EntryName, Rule};

/// The last change per key of all batches after `from` up to `to`, as of `to`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cut {
    /// The first sequence number covered.
    pub from: u64,
    /// The last sequence number covered: the restore point.
    pub to: u64,
    /// Time of the first and the last change noted, in milliseconds since the Unix epoch.
    pub time: (u64, u64),
    /// Mergeable entries, ascending by name.
    pub mergeable: Vec<Entry>,
    /// Single-writer entries, ascending by name.
    pub single_writer: Vec<Entry>,
}

/// What is known of a moment: some values may still have to be read.
struct Gathered {
    from: u64,
    to: u64,
    time: (u64, u64),
    /// Ascending by name.
    changes: Vec<(Name, Held)>,
}

impl Recorder {
    /// Takes a cut of everything after sequence number `from`, or after what was acknowledged if
    /// that is later (its log is gone, so [`Cut::from`] says so); `None` if nothing changed, or if
    /// the log was dropped and only a dump can help.
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
        drop(order);
        if let Err(error) = &cut {
            self.waiting.failed(error);
        }
        cut
    }

    fn cut_pinned(&self, from: u64) -> Result<Option<Cut>> {
        loop {
            let Some(to) = self.freeze()? else { return Ok(None) };
            KvStore::submit(&*self.inner, kv_core::Batch::new()).wait()?;
            // Taken only now: meanwhile something may have been acknowledged.
            let Some(mut gathered) = self.gather(from, to) else { return Ok(None) };
            if self.read_dropped(&mut gathered)? {
                return gathered.finish(self).map(Some);
            }
        }
    }

    /// Ends a generation: what it holds is as of its end. Its end, unless nothing is noted.
    fn freeze(&self) -> Result<Option<u64>> {
        let mut order = self.order();
        if !order.is_tracking() {
            return Ok(None);
        }
        let to = order.mark(self)?;
        order.memory.freeze(to);
        Ok(order.memory.cut.is_some().then_some(to))
    }

    fn gather(&self, from: u64, to: u64) -> Option<Gathered> {
        let (names, from, time) = {
            let order = self.order();
            let cut = order.memory.cut.as_ref().filter(|cut| cut.end == to)?;
            (cut.names.clone(), cut.start.max(from), cut.time.unwrap_or_default())
        };
        let changed = names.iter().filter(|(_, dirty)| dirty.last > from);
        let mut changes: Vec<_> =
            changed.map(|(name, dirty)| (name.clone(), dirty.held.clone())).collect();
        changes.sort_unstable_by(|(a, _), (b, _)| a.cmp(b));
        (!changes.is_empty()).then_some(Gathered { from, to, time, changes })
    }

    /// Reads values that are not held; `false` if one of them was changed after the cut, which then
    /// must move, or may have been since the log was dropped.
    fn read_dropped(&self, cut: &mut Gathered) -> Result<bool> {
        let mut read: Vec<(usize, Option<Value>)> = Vec::new();
        for (i, ((ns, key), held)) in cut.changes.iter().enumerate() {
            if matches!(held, Held::Dropped) {
                read.push((i, self.inner.read(ns, key)?));
            }
        }
        // Only after the last read: a change submitted later cannot have been read.
        let order = self.order();
        if !order.is_tracking() {
            return Ok(false);
        }
        for (i, value) in read {
            let Some((name, held)) = cut.changes.get_mut(i) else { continue };
            if order.memory.open.names.contains_key(name) {
                return Ok(false);
            }
            let missing = || Error::corrupt(STORE, "a logged value is missing");
            *held = Held::Value(value.ok_or_else(missing)?);
        }
        Ok(true)
    }
}

impl Gathered {
    fn finish(self, recorder: &Recorder) -> Result<Cut> {
        let mut cut = Cut {
            from: self.from + 1,
            to: self.to,
            time: self.time,
            mergeable: Vec::new(),
            single_writer: Vec::new(),
        };
        for ((ns, key), held) in self.changes {
            let mergeable = recorder.rules.of(&ns) == Rule::Mergeable;
            let content = match held {
                Held::Value(value) => Content::Value(value.to_vec()),
                Held::Removed(stamp) => Content::Removed(stamp.filter(|_| mergeable)),
                // `read_dropped` leaves none; to skip one would lose a change.
                Held::Dropped => return Err(Error::corrupt(STORE, "a logged value was not read")),
            };
            let section = if mergeable { &mut cut.mergeable } else { &mut cut.single_writer };
            section.push(Entry { name: EntryName::new(&ns, &key), content });
        }
        Ok(cut)
    }
}
