//! The decorator that logs each change in the same batch as the change itself.

mod apply;
mod cut;
mod dump;
mod fence;
mod memory;
mod open;
mod writers;

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use kv_core::{
    Batch, Capabilities, Change, Clock, Commit, CreationOrder, CreationPage, Cursor, Durability,
    Error, InvalidName, Key, KvStore, Namespace, Result, Value,
};

pub(crate) use self::open::no_randomness;
pub use self::{
    apply::Merger,
    cut::Cut,
    dump::{DumpChunk, DumpReader},
    open::RecorderSettings,
};
use self::{
    fence::FenceKeeper,
    memory::{Held, Memory},
};
use crate::{
    BackupState, Rule, Rules, Stamp, frame,
    log::{self, LogEntry, LoggedChange, Places},
    others::Others,
    stamp::StampClock,
    tombstones::{Removals, Tombstones},
};

const STORE: &str = "backup";

/// A store that remembers what has changed since the last backup.
///
/// Above it nobody knows that a log exists: mergeable values lose their frame on the way up, and
/// the `~backup` namespaces are hidden.
#[derive(Debug)]
pub struct Recorder {
    inner: Arc<dyn KvStore>,
    rules: Rules,
    clock: Arc<dyn Clock>,
    places: Places,
    /// Fixes the order of batches. Held across the inner `submit`, which does no I/O, and nothing else.
    order: Mutex<Order>,
    /// One cut at a time.
    cutting: Mutex<()>,
    /// One merge at a time.
    merging: Mutex<()>,
    /// Whether single-writer data is taken.
    fence: FenceKeeper,
}

#[derive(Debug)]
struct Order {
    /// The next sequence number; the first is 1.
    next: u64,
    stamps: StampClock,
    memory: Memory,
    state: BackupState,
    others: Others,
    tombstones: Tombstones,
    /// While a merge is under way: the mergeable keys that were changed here meanwhile.
    touched: Option<BTreeSet<crate::EntryName>>,
}

/// What is not yet in the cloud.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Lag {
    /// Changes (a key changed twice counts twice).
    pub records: u64,
    /// Bytes of their values.
    pub bytes: u64,
    /// When the oldest of them was made, in milliseconds since the Unix epoch.
    pub oldest: Option<u64>,
}

impl Recorder {
    /// What is not yet in the cloud: exact, from memory.
    pub fn lag(&self) -> Lag {
        self.order().memory.lag()
    }

    /// How far this installation's chain has come.
    pub fn state(&self) -> BackupState {
        self.order().state.clone()
    }

    /// The time to put into a head: that of the clock, but never before a stamp or head made or seen.
    pub fn head_time(&self) -> u64 {
        self.order().stamps.next(&*self.clock).time
    }

    /// Takes over the result of a backup: every change up to `state.backed_up` is in the cloud, its
    /// log entries go. Lazy: if it is lost in a crash, those changes are backed up again.
    ///
    /// `backed_up` only grows, and not beyond the newest change: what does not exist yet is not in
    /// the cloud.
    pub fn acknowledge(&self, mut state: BackupState) -> Result<()> {
        let mut order = self.order();
        if state.writer != order.state.writer {
            // It belongs to a chain that was left: see `continue_as_new_writer`.
            return Ok(());
        }
        state.backed_up = state.backed_up.min(order.next - 1).max(order.state.backed_up);
        state.last_stamp = order.stamps.last();
        let mut batch = Batch::new().lazy();
        for sequence in order.memory.sequences_to(state.backed_up) {
            batch = batch.remove(&self.places.log, &Key::number(sequence));
        }
        batch = batch.put(&self.places.state, &log::state(), log::write(&state));
        let commit = self.inner.submit(batch);
        if let Some(Err(error)) = commit.receipt().outcome() {
            return Err(error);
        }
        order.memory.forget_to(state.backed_up);
        order.state = state;
        Ok(())
    }

    fn order(&self) -> MutexGuard<'_, Order> {
        self.order.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_own(ns: &Namespace) -> bool {
        ns.primary() == log::PRIMARY
    }

    /// Frames mergeable values and lists what changes.
    fn record(&self, batch: Batch, stamp: &Stamp) -> Recorded {
        let mut recorded = Recorded {
            batch: Batch::new(),
            changes: Vec::new(),
            held: Vec::new(),
            removals: Removals::default(),
            merging: Vec::new(),
        };
        recorded.batch.set_durability(batch.durability());
        for (ns, key) in batch.absent_keys() {
            recorded.batch.insert_require_absent(ns.clone(), key.clone());
        }
        for (ns, key, change) in batch.into_changes() {
            let rule = self.rules.of(&ns);
            let change = match change {
                Change::Put(value) if rule == Rule::Mergeable => {
                    Change::Put(frame::wrap(stamp, &value))
                }
                other => other,
            };
            if rule != Rule::LocalOnly {
                let name = crate::EntryName::new(&ns, &key);
                let mergeable = rule == Rule::Mergeable;
                let (len, held) = match &change {
                    Change::Put(value) => (Some(value.len() as u64), Held::Value(value.clone())),
                    Change::Remove => (None, Held::Removed(mergeable.then_some(*stamp))),
                };
                if mergeable {
                    recorded.merging.push(name.clone());
                    if len.is_none() {
                        recorded.removals.push(stamp, name.clone());
                    }
                }
                recorded.changes.push(LoggedChange { name, len });
                recorded.held.push(held);
            }
            recorded.batch.insert(ns, key, change);
        }
        recorded
    }
}

struct Recorded {
    batch: Batch,
    changes: Vec<LoggedChange>,
    held: Vec<Held>,
    removals: Removals,
    /// The mergeable keys.
    merging: Vec<crate::EntryName>,
}

impl KvStore for Recorder {
    fn read(&self, ns: &Namespace, key: &Key) -> Result<Option<Value>> {
        if Self::is_own(ns) {
            return Ok(None);
        }
        let value = self.inner.read(ns, key)?;
        if self.rules.of(ns) != Rule::Mergeable {
            return Ok(value);
        }
        let Some(value) = value else { return Ok(None) };
        match frame::unwrap(value) {
            Some((_, value)) => Ok(Some(value)),
            None => Err(Error::corrupt(STORE, "a mergeable value has no frame")),
        }
    }

    fn list(&self, ns: &Namespace, after: Option<&Key>, limit: usize) -> Result<Vec<Key>> {
        if Self::is_own(ns) {
            return Ok(Vec::new());
        }
        self.inner.list(ns, after, limit)
    }

    fn namespaces(&self) -> Result<Vec<Namespace>> {
        let mut all = self.inner.namespaces()?;
        all.retain(|ns| !Self::is_own(ns));
        Ok(all)
    }

    fn submit(&self, batch: Batch) -> Commit {
        if batch.changes().any(|(ns, ..)| Self::is_own(ns))
            || batch.absent_keys().any(|(ns, _)| Self::is_own(ns))
        {
            return Commit::done(Err(InvalidName::Taken.into()));
        }
        if batch.is_empty() {
            return self.inner.submit(batch);
        }
        if let Some(refusal) = self.refusal(&batch) {
            return Commit::done(Err(refusal.into()));
        }
        let lazy = batch.durability() == Durability::Lazy;
        let mut order = self.order();
        let stamp = order.stamps.next(&*self.clock);
        let time = self.clock.now().0;
        let recorded = self.record(batch, &stamp);
        if recorded.changes.is_empty() {
            return self.inner.submit(recorded.batch);
        }
        let sequence = order.next;
        let entry = LogEntry { time, stamp, changes: recorded.changes };
        let mut batch = recorded.batch;
        batch.insert(
            self.places.log.clone(),
            Key::number(sequence),
            Change::Put(log::write(&entry)),
        );
        if !recorded.removals.is_empty() {
            let tombstones = log::write(&recorded.removals);
            batch.insert(
                self.places.tombstones.clone(),
                Key::number(sequence),
                Change::Put(tombstones),
            );
        }
        let commit = self.inner.submit(batch);
        // A refusal is decided when `submit` returns and wrote nothing: the number is still free.
        if !matches!(commit.receipt().outcome(), Some(Err(_))) {
            order.next += 1;
            order.tombstones.insert(sequence, recorded.removals);
            if let Some(touched) = &mut order.touched {
                touched.extend(recorded.merging);
            }
            order.memory.push(sequence, entry, recorded.held);
        }
        drop(order);
        tracing::trace!(sequence, lazy, "recorded a batch");
        commit
    }

    fn capabilities(&self) -> Capabilities<'_> {
        let mut capabilities = self.inner.capabilities();
        if capabilities.creation_order.is_some() {
            capabilities.creation_order = Some(self);
        }
        capabilities
    }

    fn close(&self) -> Result<()> {
        self.inner.close()
    }
}

impl CreationOrder for Recorder {
    fn list_newest_first(
        &self,
        ns: &Namespace,
        cursor: Option<&Cursor>,
        limit: usize,
    ) -> Result<CreationPage> {
        match self.inner.capabilities().creation_order {
            Some(inner) if !Self::is_own(ns) => inner.list_newest_first(ns, cursor, limit),
            _ => Ok(CreationPage::default()),
        }
    }
}
