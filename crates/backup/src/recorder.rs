//! The decorator that notes each changed key in the same batch as the change itself.

mod acknowledge;
mod apply;
mod cut;
mod dump;
mod fence;
mod history;
mod journal;
mod lag;
mod memory;
mod open;
mod record;
mod rejoin;
mod store;
mod waiting;
mod watch;
mod writers;

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use kv_core::{Batch, Clock, KvStore, Namespace, Result};

pub use self::{
    apply::Merger,
    cut::Cut,
    dump::{DumpChunk, DumpReader},
    fence::HeldBack,
    lag::NotYetReplicated,
    open::RecorderSettings,
    rejoin::Rejoin,
    waiting::WaitForCloud,
    watch::Watch,
};
use self::{fence::FenceKeeper, journal::Journal, memory::Memory, waiting::Waiting};
pub(crate) use self::{open::no_randomness, waiting::Place};
use crate::{
    BackupState, Rules,
    log::{self, Places},
    others::Others,
    stamp::StampClock,
    tombstones::Tombstones,
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
    settings: RecorderSettings,
    places: Places,
    /// Fixes the order of batches. Held across the inner `submit`, which does no I/O, and nothing else.
    order: Mutex<Order>,
    /// One cut at a time: only its holder ends a generation.
    cutting: Mutex<()>,
    /// One merge at a time.
    merging: Mutex<()>,
    /// Whether single-writer data is taken.
    fence: FenceKeeper,
    /// Those who wait until the cloud has something.
    waiting: Waiting,
}

#[derive(Debug)]
struct Order {
    /// The next sequence number; the first is 1.
    next: u64,
    stamps: StampClock,
    memory: Memory,
    journal: Journal,
    state: BackupState,
    /// Although the log was dropped, changes are noted again: a dump has begun that will hold all before.
    resumed: bool,
    /// See [`Recorder::log_drops`].
    drops: u64,
    others: Others,
    tombstones: Tombstones,
    /// While a merge, or a [`Watch`], is under way: the keys that were changed here meanwhile.
    touched: Option<BTreeSet<crate::EntryName>>,
    /// The newest batch with single-writer data since the opening; 0: none.
    single_writer: u64,
}

impl Recorder {
    /// How far this installation's chain has come.
    pub fn state(&self) -> BackupState {
        self.order().state.clone()
    }

    /// The sequence number of the newest batch submitted. It may not be durable yet, so nothing
    /// that leaves the device may carry it: see [`DumpReader::end`].
    pub fn sequence(&self) -> u64 {
        self.order().next - 1
    }

    /// The place behind everything submitted so far.
    pub(crate) fn place(&self) -> Place {
        let order = self.order();
        Place { sequence: order.next - 1, single_writer: order.single_writer }
    }

    /// The same, with what is in the cloud already and the fence has not passed.
    pub(crate) fn place_owed(&self) -> Place {
        let mut place = self.place();
        place.single_writer = place.single_writer.max(self.fence_state().owed().unwrap_or(0));
        place
    }

    /// Whether changes are noted: not after the log was dropped because it had grown too large, until
    /// a dump begins that will hold everything.
    pub fn is_noting(&self) -> bool {
        self.order().is_tracking()
    }

    /// How often the log was dropped since the opening. What was sealed, and what dump had begun,
    /// before the last time lacks something that is noted nowhere.
    pub fn log_drops(&self) -> u64 {
        self.order().drops
    }

    /// The time to put into a head: that of the clock, but never before a stamp made or seen, and
    /// always later than a head made or seen: of two heads with the same changes the later one counts.
    pub fn head_time(&self) -> u64 {
        let mut order = self.order();
        let time = order.stamps.next(&*self.clock).time;
        order.stamps.saw_time(time);
        time
    }

    /// A head of that time was seen: the next one of ours has a later one, whatever the clock says.
    pub fn saw_head_time(&self, time: u64) {
        self.order().stamps.saw_time(time);
    }

    fn order(&self) -> MutexGuard<'_, Order> {
        self.order.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_own(ns: &Namespace) -> bool {
        ns.primary() == log::PRIMARY
    }

    /// Makes everything submitted so far durable, its number included.
    fn flush(&self) -> Result<()> {
        self.inner.submit(Batch::new()).wait()
    }
}

impl Order {
    /// Whether changes are noted: not after the log was dropped.
    fn is_tracking(&self) -> bool {
        self.state.dropped.is_none() || self.resumed
    }

    /// Sees to it that no number up to the newest is taken again once the next flush has succeeded.
    /// The newest number.
    fn mark(&mut self, recorder: &Recorder) -> Result<u64> {
        let newest = self.next - 1;
        if !self.journal.is_noted(newest) {
            let time = recorder.clock.now().0;
            let (ns, key, put) =
                self.journal.entry(&recorder.places, newest, time, self.stamps.last(), Vec::new());
            let mut batch = Batch::new().lazy();
            batch.insert(ns, key, put);
            let commit = recorder.inner.submit(batch);
            if let Some(Err(error)) = commit.receipt().outcome() {
                return Err(error);
            }
            self.journal.accept(newest);
        }
        Ok(newest)
    }
}
