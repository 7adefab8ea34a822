//! Group commit: one thread at a time takes all queued batches to the log and pays one sync for them.

use std::{collections::VecDeque, time::Duration};

use kv_core::{Operation, Result};

use crate::{
    crew::calmly,
    fault, layout,
    log::{LogWriter, Written},
    queue::{self, BigFile, Queued, Shared, State},
    settings::{LogState, Settings},
};

/// How long a synced batch may lie while nobody waits for it, so that one who submits and then
/// waits can lead the flush without a change of threads, and that a steady load that waits for
/// nothing is not mostly flushing.
pub(crate) const PATIENCE: Duration = Duration::from_millis(20);

impl Shared {
    /// Returns once the batch is decided; leads the flush if no one else does.
    pub(crate) fn flush_to(&self, sequence: u64) -> Result<()> {
        loop {
            if self.turns.is_durable(sequence) {
                return Ok(());
            }
            let state = self.lock();
            if let Some(outcome) = state.outcome(sequence) {
                return outcome;
            }
            if state.writer.is_some() {
                drop(state);
                self.flush();
            } else {
                let place = self.turns.place(&state.turn, sequence);
                drop(state);
                place.wait();
            }
        }
    }

    /// Takes all queued batches to the log, unless someone else is at it.
    pub(crate) fn flush(&self) {
        let mut state = self.lock();
        if state.queue.is_empty() || state.poison.is_some() {
            return;
        }
        let Some(mut writer) = state.writer.take() else { return };
        let mut group = std::mem::take(&mut state.queue);
        state.flush_due = None;
        let last = state.submitted;
        state.turn.begin(last);
        drop(state);

        let outcome = calmly(|| self.write_group(&mut writer, &mut group));
        let panicked = || fault::panicked(Operation::Write);

        let mut state = self.lock();
        state.writer = Some(writer);
        state.turn.end();
        let outcome = outcome.unwrap_or_else(|| Err(panicked())).and_then(|written| {
            let applied = calmly(|| {
                self.forget(&group);
                state.take_effect(group, written);
            });
            applied.ok_or_else(panicked)
        });
        let decided = match outcome {
            Ok(()) => {
                self.turns.set_durable(state.durable);
                self.turns.wake(&state.turn);
                let later = state.durable + 1;
                let rest = state.wakers.split_off(&later);
                std::mem::replace(&mut state.wakers, rest)
            }
            Err(error) => {
                tracing::error!(%error, "the log cannot be written, no further change is taken");
                self.poison(&mut state, error);
                std::mem::take(&mut state.wakers)
            }
        };
        if state.checkpoint_is_due(&self.settings) || state.room.due {
            self.wake();
        }
        drop(state);
        queue::call(decided);
    }

    /// What is about to change is not read from the cache any more. All of it, before any of it.
    fn forget(&self, group: &VecDeque<Queued>) {
        for (ns, key, _) in group.iter().flat_map(|queued| &queued.changes) {
            self.cache.forget(ns, key);
        }
    }

    fn write_group(
        &self,
        writer: &mut LogWriter,
        group: &mut VecDeque<Queued>,
    ) -> Result<Vec<Written>> {
        // A big value is durable under its name before the frame that names it is written.
        let sync_failed = |source| fault::unknown(Operation::Sync, source);
        let mut big_files = 0;
        for big in group.iter_mut().flat_map(|queued| queued.big_files.drain(..)) {
            let BigFile { mut file, .. } = big;
            file.sync().map_err(sync_failed)?;
            big_files += 1;
        }
        if big_files > 0 {
            self.disk.sync_dir(layout::OWN).map_err(sync_failed)?;
        }
        writer.flush(&*self.disk, group)
    }
}

impl State {
    /// The group is durable: from here on it is visible.
    fn take_effect(&mut self, group: VecDeque<Queued>, written: Vec<Written>) {
        for queued in group {
            for (ns, key, _) in &queued.changes {
                let name = (ns.clone(), key.clone());
                if self.pending.get(&name).is_some_and(|(last, _)| *last == queued.sequence) {
                    self.pending.remove(&name);
                }
            }
            self.table.apply(queued.changes, queued.sequence, queued.first_creation);
            self.queued_bytes -= queued.bytes;
            self.checkpoint.log_bytes += queued.payload.len() as u64;
            self.durable = queued.sequence;
        }
        for written in written {
            if self.chain.back().is_some_and(|last| last.number == written.number) {
                self.chain.pop_back();
            }
            self.chain.push_back(written);
        }
    }

    fn checkpoint_is_due(&mut self, settings: &Settings) -> bool {
        let log = LogState {
            bytes: self.checkpoint.log_bytes,
            due_at: self.checkpoint.due_at,
            // After a failure it waits for more log, however much memory is taken.
            memory: if self.checkpoint.last_failed { 0 } else { self.table.memory() },
            changed_keys: self.table.dirty_keys(),
        };
        self.checkpoint.due |= settings.wants_checkpoint(log);
        self.checkpoint.due
    }
}
