//! What is not yet in the cloud, and what happens when that grows without end.

use kv_core::{Batch, Change, Key, Lag, Result};

use super::{Order, Place, Recorder, RecorderSettings, memory::Memory};
use crate::log;

/// What is durable on this device but not yet in the cloud, as found when the log was opened.
///
/// Await it before trusting that another device
/// would find everything.
#[derive(Debug, Clone)]
pub struct NotYetReplicated {
    /// How much.
    pub lag: Lag,
    pub(super) place: Place,
    pub(super) recorder: std::sync::Weak<Recorder>,
}

impl Recorder {
    /// How far the newest stamp known here, given or seen, lies in the future of this device's clock,
    /// in milliseconds. Where that is much, the clock of some device is wrong. Nothing is lost by it: what
    /// is written from now on gets a later stamp still.
    pub fn clock_ahead(&self) -> u64 {
        let (newest, _) = self.order().stamps.last();
        newest.saturating_sub(self.clock.now().0)
    }

    /// What is not yet in the cloud: from memory, cheap.
    pub fn lag(&self) -> Lag {
        let order = self.order();
        let mut lag = order.memory.lag();
        if let Some((records, bytes, oldest)) = order.state.dropped {
            lag.records += records;
            lag.bytes = lag.bytes.saturating_add(bytes);
            lag.oldest = Some(oldest);
            lag.dump_needed = true;
        }
        lag
    }
}

impl Memory {
    /// A change was made at this time.
    pub(super) fn saw(&mut self, time: u64) {
        self.open.saw_time(Some((time, time)));
    }

    /// Whether this is too much to be kept.
    pub(super) fn exceeds(&self, settings: &RecorderSettings) -> bool {
        let lag = self.lag();
        lag.records > settings.max_lag_records || lag.bytes > settings.max_lag_bytes
    }
}

impl Order {
    /// Drops the log: everything will go up again in a dump. A refusal only puts it off.
    pub(super) fn drop_log(&mut self, recorder: &Recorder) {
        let lag = self.memory.lag();
        let mut state = self.state.clone();
        let (records, bytes, oldest) = state.dropped.unwrap_or_default();
        let oldest = if state.dropped.is_some() { oldest } else { lag.oldest.unwrap_or_default() };
        state.dropped = Some((records + lag.records, bytes.saturating_add(lag.bytes), oldest));
        (state.dump, state.dumps.full) = (None, None);
        let mut batch = Batch::new().lazy();
        for number in self.memory.pages() {
            let key = Key::number(number);
            batch.insert(recorder.places.dirty.clone(), key, Change::Remove);
        }
        batch = batch.put(&recorder.places.state, &log::state(), log::write(&state));
        if let Some(Err(error)) = recorder.inner.submit(batch).receipt().outcome() {
            tracing::debug!(%error, "the log could not be dropped, trying again later");
            return;
        }
        tracing::warn!(records = lag.records, bytes = lag.bytes, "the cloud lags too far");
        self.state = state;
        self.resumed = false;
        self.drops += 1;
        self.memory.clear(self.next - 1);
        self.journal.forget_all();
    }

    /// Notes changes after `start` again: a dump holds everything before. Until the dump is
    /// acknowledged the log counts as dropped, also after a crash.
    pub(super) fn resume(&mut self, recorder: &Recorder, start: u64) -> Result<()> {
        let mut batch = Batch::new().lazy();
        for number in self.memory.pages() {
            let key = Key::number(number);
            batch.insert(recorder.places.dirty.clone(), key, Change::Remove);
        }
        if !batch.is_empty()
            && let Some(Err(error)) = recorder.inner.submit(batch).receipt().outcome()
        {
            return Err(error);
        }
        self.memory.clear(start);
        self.journal.forget_all();
        self.resumed = true;
        Ok(())
    }

    /// Counts changes that are not noted.
    pub(super) fn count_dropped(&mut self, lengths: impl Iterator<Item = u64>) {
        if let Some((records, bytes, _)) = &mut self.state.dropped {
            for len in lengths {
                *records += 1;
                *bytes = bytes.saturating_add(len);
            }
        }
    }
}
