//! Taking over the result of a backup.

use kv_core::{Batch, BoxError, Change, Key, Result};

use super::{Order, Place, Recorder};
use crate::{BackupState, ObjectRef, Rule, log};

impl Recorder {
    /// Whether a commit that waits for this place would resolve now.
    pub(crate) fn is_over(&self, place: Place) -> bool {
        self.waiting.is_over(place)
    }

    /// Why single-writer data that has to be replicated is refused, if it is.
    pub(crate) fn unfenceable(&self, batch: &Batch) -> Option<BoxError> {
        let why = self.waiting.unfenceable()?;
        let is_single = |rule: Rule| rule == Rule::SingleWriter;
        batch.changes().any(|(ns, ..)| is_single(self.rules.of(ns))).then_some(why)
    }

    /// Takes over the result of a backup: every change up to `state.backed_up` is in the cloud, and
    /// whoever waits for that is told. Lazy: if it is lost in a crash, those changes are backed up again.
    ///
    /// `backed_up` only grows, and not beyond the newest change: what does not exist yet is not in
    /// the cloud. It costs next to nothing where a cut or a dump ended or began; anywhere else what
    /// remains is written again.
    pub fn acknowledge(&self, state: BackupState) -> Result<()> {
        let mut order = self.order();
        if state.writer != order.state.writer {
            // It belongs to a chain that was left: see `continue_as_new_writer`.
            return Ok(());
        }
        let backed_up = order.acknowledge(self, state);
        drop(order);
        match backed_up {
            Ok(backed_up) => self.waiting.acknowledged(backed_up),
            Err(error) => {
                self.waiting.failed(&error);
                return Err(error);
            }
        }
        Ok(())
    }
}

impl Order {
    fn acknowledge(&mut self, recorder: &Recorder, mut state: BackupState) -> Result<u64> {
        state.backed_up = state.backed_up.min(self.next - 1).max(self.state.backed_up);
        state.last_stamp = self.stamps.last();
        state.dropped = self.state.dropped;
        // One from before the log was dropped lacks what was not noted.
        let holds_all = |dump: ObjectRef| dump.id.from >= self.memory.start();
        if self.resumed && state.dump.is_some_and(holds_all) {
            // The dump holds everything before it began, and what came after was noted.
            state.dropped = None;
            state.backed_up = state.backed_up.max(self.memory.start());
        }
        if state.dropped.is_some() {
            (state.dump, state.dumps.full) = (None, None);
        }
        if state.backed_up < self.next - 1 {
            // What is left must have a number above, also after a crash.
            self.mark(recorder)?;
        }
        let mut batch = Batch::new().lazy();
        // Planned on the side first: a refusal must leave everything as it is.
        let mut memory = self.memory.clone();
        let mut journal = self.journal.clone();
        let forgotten = memory.forget_to(state.backed_up);
        for number in forgotten.pages {
            let key = Key::number(number);
            batch.insert(recorder.places.dirty.clone(), key, Change::Remove);
        }
        journal.forget_to(state.backed_up);
        if forgotten.again {
            batch = journal.note_again(&mut memory, &recorder.places, batch);
        }
        batch = batch.put(&recorder.places.state, &log::state(), log::write(&state));
        let commit = recorder.inner.submit(batch);
        if let Some(Err(error)) = commit.receipt().outcome() {
            return Err(error);
        }
        self.resumed &= state.dropped.is_some();
        (self.memory, self.journal) = (memory, journal);
        self.state = state;
        Ok(self.state.backed_up)
    }
}
