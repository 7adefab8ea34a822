//! Taking a batch: everything that can refuse it is decided here, before `submit` returns.

use std::{
    sync::{Arc, MutexGuard},
    time::{Duration, Instant},
};

use kv_core::{Batch, Change, Commit, Durability, Error, Result};

use crate::{
    batch_bytes::{self, Changes},
    crc_shift::Appended,
    fault,
    flush::PATIENCE,
    frame,
    queue::{BigFile, BigJob, Queued, Room, Shared, State, Ticket},
    segment::Segment,
    settings::Settings,
    table::{Effect, Name, Stamp},
};

/// Values of one batch beyond this many bytes get files of their own, if they are not small ...
const INLINE_LIMIT: usize = 16 << 20;
const NOT_SMALL: usize = 64 << 10;

/// ... and no more than so many of them: each file is open until its batch is durable.
const MOST_FILES: usize = 64;

/// Payloads of this many bytes and more go to the log without being copied.
const LARGE: usize = 16 << 10;

/// A batch as it is about to be queued.
struct Incoming {
    absent: Vec<Name>,
    changes: Changes,
    /// Values in files of their own, with the place of their change.
    big: Vec<(usize, kv_core::Value)>,
    payload: Vec<u8>,
    rest_crc: Option<Appended>,
    /// Removes something, and writes at most bookkeeping of our own layers: may use the reserve.
    frees_space: bool,
    durability: Durability,
}

pub(crate) fn submit(shared: &Arc<Shared>, batch: Batch) -> Commit {
    let incoming = Incoming::new(batch, shared.settings.big_value);
    let durability = incoming.durability;
    match shared.take(incoming) {
        Err(refusal) => Commit::done(Err(refusal)),
        Ok(sequence) => {
            let ticket = Arc::new(Ticket { shared: Arc::clone(shared), sequence });
            match durability {
                Durability::Synced => Commit::pending(ticket),
                Durability::Lazy => Commit::lazy(ticket),
            }
        }
    }
}

impl Incoming {
    fn new(batch: Batch, big_value: usize) -> Self {
        let absent = batch.absent_keys().map(|(ns, key)| (ns.clone(), key.clone())).collect();
        let durability = batch.durability();
        let mut changes = Changes::new();
        let mut big = Vec::new();
        let mut inline = 0;
        let (mut removes, mut only_bookkeeping) = (false, true);
        for (ns, key, change) in batch.into_changes() {
            let effect = match change {
                Change::Remove => {
                    removes = true;
                    Effect::Remove
                }
                Change::Put(value) => {
                    only_bookkeeping &= ns.is_reserved();
                    let is_over = inline + value.len() > INLINE_LIMIT
                        && value.len() >= NOT_SMALL
                        && big.len() < MOST_FILES;
                    if value.len() > big_value || is_over {
                        big.push((changes.len(), value));
                        // The number of its file is not known yet.
                        Effect::PutBig(0, Stamp { size: 0, crc: 0 })
                    } else {
                        inline += value.len();
                        Effect::Put(value)
                    }
                }
            };
            changes.push((ns, key, effect));
        }
        let payload = batch_bytes::encode(&changes);
        let rest_crc = rest_crc(&payload);
        let frees_space = removes && only_bookkeeping && big.is_empty();
        Self { absent, changes, big, payload, rest_crc, frees_space, durability }
    }

    fn bytes(&self) -> u64 {
        self.payload.len() as u64
    }

    /// Names the files that the big values are in now.
    fn set_big_files(&mut self, files: &[BigFile]) {
        for ((at, _), file) in self.big.iter().zip(files) {
            if let Some((_, _, effect)) = self.changes.get_mut(*at) {
                *effect = Effect::PutBig(file.id, file.stamp);
            }
        }
        self.payload = batch_bytes::encode(&self.changes);
        self.rest_crc = rest_crc(&self.payload);
    }
}

fn rest_crc(payload: &[u8]) -> Option<Appended> {
    (payload.len() >= LARGE).then(|| frame::rest_crc(payload))
}

impl Shared {
    /// Gives the batch its place in the order, or refuses it. Waits for room, never for a sync of
    /// its own.
    fn take(&self, mut incoming: Incoming) -> Result<u64> {
        let mut big_files = None;
        let taken = self.try_take(&mut incoming, &mut big_files);
        if taken.is_err() {
            // Nothing names these files: the next checkpoint or open removes them.
            let ids = big_files.iter().flatten().map(|file: &BigFile| file.id);
            self.lock().table.abandon_big(ids);
        }
        taken
    }

    fn try_take(
        &self,
        incoming: &mut Incoming,
        big_files: &mut Option<Vec<BigFile>>,
    ) -> Result<u64> {
        let mut state = self.lock();
        let failed_checkpoints = state.checkpoint.failed;
        let mut attempts = state.room.attempts;
        let mut retried = false;
        loop {
            state.refuse(&incoming.absent)?;
            if incoming.changes.is_empty() {
                if state.outcome(state.submitted).is_none() {
                    self.flush_by(&mut state, Instant::now() + self.delay(incoming.durability));
                }
                return Ok(state.submitted);
            }
            if u32::try_from(incoming.payload.len()).is_err() {
                return Err(fault::full());
            }
            let over = state.is_over_budget(incoming.bytes(), self.settings.table_budget as u64);
            let checkpoint_failed = state.checkpoint.failed > failed_checkpoints;
            if (over || state.log_is_long(&self.settings)) && !checkpoint_failed {
                state = self.wait_for_checkpoint(state);
                continue;
            }
            if over && !incoming.frees_space {
                return Err(fault::full());
            }
            if big_files.is_none() && !incoming.big.is_empty() {
                let written;
                (state, written) = self.write_big_files(state, incoming);
                match written {
                    Ok(files) => *big_files = Some(files),
                    Err(error) if self.may_get_room(&state, &error, &mut retried) => {
                        state = self.wait_for_checkpoint(state);
                    }
                    Err(error) => return Err(self.fail(&mut state, error)),
                }
                continue;
            }
            let frame = frame::len(incoming.payload.len());
            let mut enter = None;
            if !state.room.fits(frame) {
                enter = state.room.enter(frame, incoming.frees_space);
                if enter.is_none() {
                    if state.room.attempts > attempts
                        && let Some(failure) = state.room.failure.clone()
                    {
                        if !self.may_get_room(&state, &failure, &mut retried) {
                            return Err(self.fail(&mut state, failure));
                        }
                        state = self.wait_for_checkpoint(state);
                    }
                    attempts = state.room.attempts;
                    let capacity = Room::capacity_for(frame);
                    state.room.wanted = state.room.wanted.max(Some(capacity));
                    self.wake();
                    state = self.wait(state);
                    continue;
                }
            }
            let big_files = big_files.take().unwrap_or_default();
            return Ok(self.queue(&mut state, incoming, enter, big_files));
        }
    }

    fn queue(
        &self,
        state: &mut State,
        incoming: &mut Incoming,
        enter: Option<Segment>,
        big_files: Vec<BigFile>,
    ) -> u64 {
        state.submitted += 1;
        let sequence = state.submitted;
        let first_creation = state.next_creation;
        state.next_creation += incoming.changes.len() as u64;
        let bytes = incoming.bytes();
        let mut payload = std::mem::take(&mut incoming.payload);
        let changes = std::mem::take(&mut incoming.changes);
        batch_bytes::set_first_creation(&mut payload, first_creation);
        for (ns, key, effect) in &changes {
            let exists = !matches!(effect, Effect::Remove);
            state.pending.insert((ns.clone(), key.clone()), (sequence, exists));
        }
        state.queued_bytes += bytes;
        state.room.offset += frame::len(payload.len());
        state.room.due |= state.room.offset > state.room.capacity / 2;
        let rest_crc = incoming.rest_crc;
        let queued = Queued {
            sequence,
            first_creation,
            changes,
            payload,
            rest_crc,
            enter,
            big_files,
            bytes,
        };
        state.queue.push_back(queued);
        self.flush_by(state, Instant::now() + self.delay(incoming.durability));
        sequence
    }

    fn delay(&self, durability: Durability) -> Duration {
        match durability {
            Durability::Synced => PATIENCE,
            Durability::Lazy => self.settings.lazy_delay,
        }
    }

    /// A full disk is a refusal. Any other failure ends the taking of changes.
    fn fail(&self, state: &mut State, failure: Error) -> Error {
        if !matches!(failure, Error::Full { .. } | Error::Closed { .. }) {
            self.poison(state, failure.clone());
            self.wake();
        }
        failure
    }

    /// Whether a checkpoint may help against this failure: it deletes the files of removed keys.
    /// Once per batch.
    fn may_get_room(&self, state: &State, failure: &Error, retried: &mut bool) -> bool {
        let first = !std::mem::replace(retried, true);
        first && matches!(failure, Error::Full { .. }) && state.table.is_dirty()
    }

    /// Waits until a checkpoint has ended, well or not.
    fn wait_for_checkpoint<'a>(
        &'a self,
        mut state: MutexGuard<'a, State>,
    ) -> MutexGuard<'a, State> {
        if !state.queue.is_empty() {
            self.flush_by(&mut state, Instant::now());
        }
        let ended = state.checkpoint.ended;
        // One that runs already may have begun before what this one is for.
        while state.checkpoint.ended == ended && state.poison.is_none() && !state.closing {
            if !state.checkpoint.running {
                state.checkpoint.due = true;
                self.wake();
            }
            state = self.wait(state);
        }
        state
    }

    /// Lets the flusher thread write the big values, so that a full disk is known before the batch
    /// has its place in the order.
    fn write_big_files<'a>(
        &'a self,
        mut state: MutexGuard<'a, State>,
        incoming: &mut Incoming,
    ) -> (MutexGuard<'a, State>, Result<Vec<BigFile>>) {
        let first = state.next_big;
        for (_, value) in &incoming.big {
            let id = state.next_big;
            state.next_big += 1;
            state.big_jobs.push_back(BigJob { id, value: value.clone() });
        }
        let ids = first..state.next_big;
        self.wake();
        let mut files = Vec::new();
        let mut failure = None;
        for id in ids {
            let outcome = loop {
                if let Some(outcome) = state.big_done.remove(&id) {
                    break outcome;
                }
                if state.stop_flusher {
                    break Err(fault::closed());
                }
                state = self.wait(state);
            };
            match outcome {
                Ok(file) => files.push(file),
                Err(error) => failure = Some(error),
            }
        }
        let Some(failure) = failure else {
            incoming.set_big_files(&files);
            return (state, Ok(files));
        };
        // Nothing names these files: the next checkpoint or open removes them.
        state.table.abandon_big(files.iter().map(|file| file.id));
        (state, Err(failure))
    }
}

impl State {
    fn refuse(&self, absent: &[Name]) -> Result<()> {
        if self.closing {
            return Err(fault::closed());
        }
        if self.poison.is_some() {
            return Err(fault::poisoned());
        }
        if absent.iter().any(|name| self.will_exist(name)) {
            return Err(Error::Precondition { store: fault::STORE });
        }
        Ok(())
    }

    /// Whether a checkpoint does not get its turn. One that fails keeps the log however long it is:
    /// then the disk is the end of it.
    fn log_is_long(&self, settings: &Settings) -> bool {
        !self.checkpoint.last_failed && self.checkpoint.log_bytes > settings.most_log()
    }

    fn is_over_budget(&self, bytes: u64, budget: u64) -> bool {
        let held = self.table.memory() + self.queued_bytes;
        held > 0 && held + bytes > budget
    }
}
