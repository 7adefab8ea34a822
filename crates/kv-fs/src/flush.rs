//! Group commit: one thread at a time takes all queued batches to the log and pays one sync for them.

use std::{
    collections::{BTreeMap, VecDeque},
    io,
    sync::{Arc, PoisonError},
    task::Waker,
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use kv_core::{Error, Operation, Result};

use crate::{
    fault, layout,
    log::{LogWriter, Written},
    queue::{BigFile, BigJob, Queued, Shared, State},
    segment,
    table::Stamp,
};

/// How long a synced batch may lie while nobody waits for it, so that one who submits and then
/// waits can lead the flush without a change of threads.
pub(crate) const PATIENCE: Duration = Duration::from_millis(5);

impl Shared {
    /// Returns once the batch is decided; leads the flush if no one else does.
    pub(crate) fn flush_to(&self, sequence: u64) -> Result<()> {
        let mut state = self.lock();
        loop {
            if let Some(outcome) = state.outcome(sequence) {
                return outcome;
            }
            state = if state.writer.is_some() {
                drop(state);
                self.flush();
                self.lock()
            } else {
                self.wait(state)
            };
        }
    }

    /// Takes all queued batches to the log, unless someone else is at it.
    fn flush(&self) {
        let mut state = self.lock();
        if state.queue.is_empty() || state.poison.is_some() {
            return;
        }
        let Some(mut writer) = state.writer.take() else { return };
        let mut group = std::mem::take(&mut state.queue);
        state.flush_due = None;
        drop(state);

        let outcome = self.write_group(&mut writer, &mut group);

        let mut state = self.lock();
        state.writer = Some(writer);
        let decided = match outcome {
            Ok(written) => {
                state.take_effect(group, written);
                let later = state.durable + 1;
                let rest = state.wakers.split_off(&later);
                std::mem::replace(&mut state.wakers, rest)
            }
            Err(error) => {
                tracing::error!(%error, "the log cannot be written, no further change is taken");
                state.poison = Some(error);
                std::mem::take(&mut state.wakers)
            }
        };
        if state.checkpoint_is_due(self.settings.table_budget as u64) || state.room.due {
            self.work.notify_one();
        }
        self.done.notify_all();
        drop(state);
        for waker in decided.into_values() {
            waker.wake();
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
        writer.flush(group)
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

    fn checkpoint_is_due(&mut self, budget: u64) -> bool {
        let checkpoint = &mut self.checkpoint;
        checkpoint.due |= checkpoint.log_bytes >= checkpoint.due_at
            || (!checkpoint.last_failed && self.table.memory() >= budget / 2);
        checkpoint.due
    }
}

/// What the flusher thread does next.
enum Task {
    Stop,
    Big(BigJob),
    Prepare {
        capacity: usize,
        number: u64,
        recycled: Option<(String, usize)>,
    },
    Checkpoint,
    Flush,
    /// The store is poisoned: whoever awaits a batch must know.
    Wake(BTreeMap<u64, Waker>),
}

/// The one thread of a store: flushes what nobody waits for, makes room, starts checkpoints.
pub(crate) fn spawn_flusher(shared: &Arc<Shared>) -> io::Result<JoinHandle<()>> {
    let shared = Arc::clone(shared);
    let run = move || {
        loop {
            match shared.next_task() {
                Task::Stop => return,
                Task::Big(job) => shared.write_big(job),
                Task::Prepare { capacity, number, recycled } => {
                    shared.make_room(capacity, number, recycled);
                }
                Task::Checkpoint => spawn_checkpoint(&shared),
                Task::Flush => shared.flush(),
                Task::Wake(wakers) => wakers.into_values().for_each(Waker::wake),
            }
        }
    };
    thread::Builder::new().name("kv-fs flusher".to_owned()).spawn(run)
}

fn spawn_checkpoint(shared: &Arc<Shared>) {
    let background = Arc::clone(shared);
    let run = move || background.checkpoint().ok();
    let thread = thread::Builder::new().name("kv-fs checkpoint".to_owned()).spawn(run);
    if thread.is_err() {
        shared.checkpoint().ok();
    }
}

impl Shared {
    fn next_task(&self) -> Task {
        let mut state = self.lock();
        loop {
            if state.stop_flusher {
                return Task::Stop;
            }
            if state.poison.is_some() && !state.wakers.is_empty() {
                return Task::Wake(std::mem::take(&mut state.wakers));
            }
            if let Some(job) = state.big_jobs.pop_front() {
                return Task::Big(job);
            }
            if let Some(task) = state.prepare_task(self.settings.segment_len()) {
                return task;
            }
            if state.checkpoint.due && !state.checkpoint.running && state.poison.is_none() {
                state.checkpoint.due = false;
                state.checkpoint.running = true;
                return Task::Checkpoint;
            }
            let now = Instant::now();
            if state.queue.is_empty() || state.poison.is_some() {
                state.flush_due = None;
            }
            // While someone else leads a flush, wait for its end: it wakes this thread if more is due.
            let due = state.flush_due;
            if due.is_some_and(|due| due <= now) && state.writer.is_some() {
                return Task::Flush;
            }
            state = match due {
                Some(due) => {
                    let pause = due.saturating_duration_since(now).max(Duration::from_millis(1));
                    state.flusher_wakes = Some(now + pause);
                    let woken = self.work.wait_timeout(state, pause);
                    woken.unwrap_or_else(PoisonError::into_inner).0
                }
                None => {
                    state.flusher_wakes = None;
                    self.work.wait(state).unwrap_or_else(PoisonError::into_inner)
                }
            };
        }
    }

    /// Writes a big value to its own file. Not synced yet: the flush does that.
    fn write_big(&self, job: BigJob) {
        let write = || {
            let path = layout::big(job.id);
            let mut file = self.disk.create(&path)?;
            if let Err(error) = file.write_at(0, &job.value) {
                drop(file);
                // A full disk should not stay fuller for the attempt.
                self.disk.remove(&path).ok();
                return Err(error);
            }
            Ok(BigFile { id: job.id, stamp: Stamp::of(&job.value), file })
        };
        let outcome = write().map_err(fault::io(Operation::Write));
        self.lock().big_done.insert(job.id, outcome);
        self.done.notify_all();
    }

    fn make_room(&self, capacity: usize, number: u64, recycled: Option<(String, usize)>) {
        let disk = &*self.disk;
        let made = segment::prepare(disk, number, None, |_| Vec::new(), recycled, capacity);
        let mut state = self.lock();
        state.room.attempts += 1;
        match made {
            Ok(segment) => {
                state.room.ready.push_back(segment);
                state.room.failure = None;
            }
            Err(source) => {
                let error = Error::io(fault::STORE, Operation::Write, source);
                tracing::warn!(%error, "no new log segment could be made");
                state.room.failure = Some(error);
                state.room.due = false;
            }
        }
        drop(state);
        self.done.notify_all();
    }
}

impl State {
    fn prepare_task(&mut self, usual: usize) -> Option<Task> {
        if self.poison.is_some() {
            return None;
        }
        let room = &mut self.room;
        let wanted = room.wanted.take();
        // In the second half of a segment the next one is made, so that nobody has to wait for it.
        let target = if room.offset > room.capacity / 2 { 2 } else { 1 };
        let due = std::mem::take(&mut room.due) && room.ready.len() < target;
        if wanted.is_none() && !due {
            return None;
        }
        room.due = room.ready.len() + 1 < target;
        let capacity = wanted.unwrap_or(0).max(usual);
        let number = room.next_number;
        room.next_number += 1;
        let fits = room.pool.iter().position(|(_, len)| *len >= capacity);
        let recycled = fits.map(|at| room.pool.swap_remove(at));
        Some(Task::Prepare { capacity, number, recycled })
    }
}
