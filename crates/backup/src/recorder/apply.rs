//! Merging what other writers have put: a batch of this device like any other, with their stamps.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, PoisonError},
};

use kv_core::{Batch, Change, Error as StoreError, Key, Namespace, Value};

use super::{Recorder, record::Recorded};
use crate::{
    Conflict, Entry, EntryName, Head, Merged, ObjectRef, Replaced, Result, Stamp, frame, log,
    merge::{Incoming, Known},
    pieces::Pieces,
};

/// How much goes into one batch, about. A segment of another writer below this is applied whole.
const BATCH_BYTES: usize = 4 << 20;
const BATCH_ENTRIES: usize = 10_000;

/// Merges the chain of one other writer up to one of its heads: [`Merger::apply`] for each segment,
/// oldest first (or the parts of a dump, then the segments), and [`Merger::finish`].
///
/// Dropping it half way harms nothing: what was applied is durable, and applying it again changes
/// nothing.
#[derive(Debug)]
pub struct Merger {
    recorder: Arc<Recorder>,
    object: ObjectRef,
    head: Head,
    /// What the other writer had seen.
    theirs: Known,
    /// What this device had seen before.
    ours: Known,
    /// What it has seen at the end.
    learned: Known,
    pieces: Pieces,
    waiting: Vec<Incoming>,
    waiting_bytes: usize,
}

impl Recorder {
    /// Begins to merge what `head` names and is not here yet.
    ///
    /// `Error::Retired` if its writer, or this one, no longer counts.
    pub fn merger(self: &Arc<Self>, object: ObjectRef, head: Head) -> Result<Merger> {
        self.check_counts(&object, &head)?;
        Ok(self.unchecked_merger(object, head))
    }

    pub(super) fn unchecked_merger(self: &Arc<Self>, object: ObjectRef, head: Head) -> Merger {
        let mut order = self.order();
        // Our heads come after all that were seen, whatever our clock says.
        order.stamps.saw_time(head.time);
        let ours = order.others.known();
        drop(order);
        let theirs = head.known();
        let mut learned = ours.clone();
        learned.extend(&theirs);
        Merger {
            recorder: Arc::clone(self),
            object,
            head,
            theirs,
            ours,
            learned,
            pieces: Pieces::default(),
            waiting: Vec::new(),
            waiting_bytes: 0,
        }
    }
}

impl Merger {
    /// Up to which sequence number of its writer everything is here already: segments that end
    /// there or before need not be fetched.
    pub fn have(&self) -> u64 {
        let order = self.recorder.order();
        order.others.newest(self.object.id.writer).map_or(0, |applied| applied.head.id.to)
    }

    /// Merges entries. Those of namespaces that do not merge are passed over. What is added to
    /// `merged` is durable, also on an error.
    pub fn apply(&mut self, entries: Vec<Entry>, merged: &mut Merged) -> Result<()> {
        // The end of the call before waits for what comes with it; it is a segment of its own.
        self.flush(false, merged)?;
        for entry in entries {
            let Some((name, whole)) = self.pieces.push(entry)? else { continue };
            let Some(incoming) = Incoming::new(&name, whole, &self.recorder.rules)? else {
                continue;
            };
            if self.waiting.len() >= BATCH_ENTRIES
                || self.waiting_bytes + incoming.bytes() > BATCH_BYTES
            {
                self.flush(false, merged)?;
            }
            self.learned.add(&incoming.stamp);
            self.waiting_bytes += incoming.bytes();
            self.waiting.push(incoming);
        }
        Ok(())
    }

    /// Merges the rest and remembers, in the same batch, that everything of the head is here.
    pub fn finish(mut self, merged: &mut Merged) -> Result<()> {
        self.pieces.finish()?;
        self.flush(true, merged)
    }

    fn flush(&mut self, done: bool, merged: &mut Merged) -> Result<()> {
        if self.waiting.is_empty() && !done {
            return Ok(());
        }
        self.waiting_bytes = 0;
        let waiting = std::mem::take(&mut self.waiting);
        let recorder = &self.recorder;
        let _one_at_a_time = recorder.merging.lock().unwrap_or_else(PoisonError::into_inner);
        // From here on a local stamp exceeds all of these, so a key that is written locally
        // meanwhile keeps that value.
        let mut order = recorder.order();
        waiting.iter().for_each(|incoming| order.stamps.saw(&incoming.stamp));
        order.touched = Some(BTreeSet::new());
        drop(order);
        let step = self.step(waiting, done);
        recorder.order().touched = None;
        merged.extend(step?);
        Ok(())
    }

    fn step(&self, waiting: Vec<Incoming>, done: bool) -> Result<Merged> {
        let recorder = &*self.recorder;
        let mut newest: BTreeMap<EntryName, Incoming> = BTreeMap::new();
        let mut merged = Merged::default();
        let now = recorder.clock.now().0;
        for incoming in waiting {
            merged.ahead = merged.ahead.max(incoming.stamp.time.saturating_sub(now));
            let name = EntryName::new(&incoming.ns, &incoming.key);
            match newest.get(&name) {
                Some(known) if !incoming.wins_over(&known.stamp, known.framed.as_deref()) => {}
                _ => {
                    newest.insert(name, incoming);
                }
            }
        }
        // What was submitted before the watch began is read below.
        recorder.inner.submit(Batch::new()).wait()?;
        let mut plan = Vec::new();
        for (name, incoming) in newest {
            let here = recorder.here(&name, &incoming)?;
            let wins = match &here.stamp {
                Some(stamp) => incoming.wins_over(stamp, here.framed.as_deref()),
                None => true,
            };
            if let Some(stamp) = &here.stamp
                && self.is_conflict(&incoming, stamp)
                && here.value != incoming.value()
            {
                let (winner, loser) =
                    if wins { (incoming.stamp, *stamp) } else { (*stamp, incoming.stamp) };
                let (ns, key) = (incoming.ns.clone(), incoming.key.clone());
                merged.conflicts.push(Conflict { ns, key, winner, loser });
            }
            if here.is_damaged {
                merged.damaged.push((incoming.ns.clone(), incoming.key.clone()));
            }
            if wins {
                plan.push((name, incoming, here.value));
            } else {
                merged.kept += 1;
            }
        }
        recorder.submit_merged(plan, done.then_some(self), &mut merged)?;
        Ok(merged)
    }

    /// Whether both sides wrote without knowing of each other.
    fn is_conflict(&self, incoming: &Incoming, here: &Stamp) -> bool {
        let us = self.recorder.order().state.writer;
        let (them, stamp) = (self.object.id.writer, &incoming.stamp);
        let new_to_us = stamp.writer != us && !self.ours.includes(stamp);
        let new_to_them = here.writer != them && !self.theirs.includes(here);
        stamp.writer != here.writer && new_to_us && new_to_them
    }
}

/// Whether an error says that one value cannot be used, so that the others can go on.
pub(super) fn is_damage(error: &StoreError) -> bool {
    matches!(error, StoreError::Corrupt { .. } | StoreError::ChangedOutside { .. })
}

/// What this device has of a key.
struct Here {
    /// Of its value or of its removal; `None`: never heard of.
    stamp: Option<Stamp>,
    /// With that stamp.
    framed: Option<Value>,
    /// Without frame.
    value: Option<Value>,
    /// There is a value, and nobody can read it: whatever another writer has takes its place.
    is_damaged: bool,
}

impl Recorder {
    fn here(&self, name: &EntryName, incoming: &Incoming) -> kv_core::Result<Here> {
        let removed = self.order().tombstones.stamp(name);
        let absent = Here { stamp: removed, framed: None, value: None, is_damaged: false };
        match self.read_framed(&incoming.ns, &incoming.key) {
            Ok(None) => Ok(absent),
            Ok(Some((framed, stamp, value))) => {
                let (stamp, framed, value) = (Some(stamp), Some(framed), Some(value));
                Ok(Here { stamp, framed, value, is_damaged: false })
            }
            // One value must not hold up all others for good.
            Err(error) if is_damage(&error) => Ok(Here { stamp: None, is_damaged: true, ..absent }),
            Err(error) => Err(error),
        }
    }

    /// A mergeable value: in its frame, its stamp, and without frame.
    pub(super) fn read_framed(
        &self,
        ns: &Namespace,
        key: &Key,
    ) -> kv_core::Result<Option<(Value, Stamp, Value)>> {
        let Some(framed) = self.inner.read(ns, key)? else { return Ok(None) };
        let (stamp, value) = frame::unwrap(framed.clone())?;
        Ok(Some((framed, stamp, value)))
    }

    /// One batch: the winners, their log entry, and at the end how far the other writer is merged.
    fn submit_merged(
        &self,
        plan: Vec<(EntryName, Incoming, Option<Value>)>,
        done: Option<&Merger>,
        merged: &mut Merged,
    ) -> Result<()> {
        let mut recorded = Recorded::default();
        let mut order = self.order();
        let touched = order.touched.take().unwrap_or_default();
        for (name, Incoming { ns, key, stamp, framed }, before) in plan {
            if touched.contains(&name) {
                merged.kept += 1;
                continue;
            }
            let after = framed
                .clone()
                .and_then(|framed| frame::unwrap(framed).ok())
                .map(|(_, value)| value);
            // What was damaged may still be in somebody's memory.
            let was_damaged = || merged.damaged.iter().any(|at| at.0 == ns && at.1 == key);
            if before.is_some() || after.is_some() || was_damaged() {
                let (ns, key) = (ns.clone(), key.clone());
                merged.changes.push(Replaced { ns, key, before, after });
            }
            recorded.merge((ns, key), framed, &stamp);
        }
        let mut others = order.others.clone();
        if let Some(merger) = done {
            let at = if recorded.is_empty() { order.next - 1 } else { order.next };
            let (us, backed_up) = (order.state.writer, order.state.backed_up);
            others.applied(merger.object, &merger.head, us, at, backed_up);
            others.set_known(&merger.learned, at, backed_up);
            let put = Change::Put(log::write(&others));
            recorded.batch.insert(self.places.state.clone(), log::others(), put);
        }
        if recorded.batch.is_empty() {
            return Ok(());
        }
        let commit = match recorded.is_empty() {
            true => self.inner.submit(recorded.batch),
            false => order.append(self, recorded).0,
        };
        if let Some(Err(error)) = commit.receipt().outcome() {
            return Err(error.into());
        }
        order.others = others;
        drop(order);
        commit.wait()?;
        Ok(())
    }
}
