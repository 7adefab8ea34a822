//! The one thread of a store: flushes what nobody waits for, makes room in the log, writes big
//! values, starts checkpoints.

use std::{
    io,
    sync::{Arc, PoisonError},
    task::Waker,
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use kv_core::{Error, Operation};

use crate::{
    fault, layout,
    queue::{BigFile, BigJob, Shared, State, Wakers},
    segment,
    settings::Settings,
    table::Stamp,
};

/// What the thread does next.
enum Task {
    Stop,
    Big(BigJob),
    Prepare {
        /// Bytes it must have, and bytes it should have.
        least: usize,
        capacity: usize,
        number: u64,
        recycled: Option<(String, usize)>,
    },
    Checkpoint,
    Flush,
    /// The store is poisoned: whoever awaits a batch must know.
    Wake(Wakers),
}

pub(crate) fn spawn(shared: &Arc<Shared>) -> io::Result<JoinHandle<()>> {
    let shared = Arc::clone(shared);
    let run = move || {
        loop {
            match shared.next_task() {
                Task::Stop => return,
                Task::Checkpoint => spawn_checkpoint(&shared),
                task => shared.perform(task),
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
            if let Some(task) = state.due_task(&self.settings) {
                return task;
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

    fn perform(&self, task: Task) {
        match task {
            Task::Stop => {}
            Task::Big(job) => self.write_big(job),
            Task::Prepare { least, capacity, number, recycled } => {
                self.make_room(least, capacity, number, recycled);
            }
            Task::Checkpoint => {
                self.checkpoint().ok();
            }
            Task::Flush => self.flush(),
            Task::Wake(wakers) => wakers.into_values().flatten().for_each(Waker::wake),
        }
    }

    /// Does one thing that the flusher thread would do now, on this thread; `false` if there is none.
    #[cfg(feature = "testing")]
    pub(crate) fn do_due_task(&self) -> bool {
        let task = self.lock().due_task(&self.settings);
        match task {
            None | Some(Task::Stop) => false,
            Some(task) => {
                self.perform(task);
                true
            }
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

    fn make_room(
        &self,
        least: usize,
        capacity: usize,
        number: u64,
        recycled: Option<(String, usize)>,
    ) {
        let prepare = |recycled, capacity| {
            segment::prepare(&*self.disk, number, None, |_| Vec::new(), recycled, capacity)
        };
        let made = prepare(recycled, capacity).or_else(|error| {
            if least == capacity {
                return Err(error);
            }
            // The disk may be full: less may fit, and more once what is spare is gone.
            self.shrink_pool(0);
            prepare(None, least)
        });
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
    /// What is due whatever the time is.
    fn due_task(&mut self, settings: &Settings) -> Option<Task> {
        if self.stop_flusher {
            return Some(Task::Stop);
        }
        if self.poison.is_some() && !self.wakers.is_empty() {
            return Some(Task::Wake(std::mem::take(&mut self.wakers)));
        }
        if let Some(job) = self.big_jobs.pop_front() {
            return Some(Task::Big(job));
        }
        if let Some(task) = self.prepare_task(settings) {
            return Some(task);
        }
        if self.checkpoint.due && !self.checkpoint.running && self.poison.is_none() {
            self.checkpoint.due = false;
            self.checkpoint.running = true;
            return Some(Task::Checkpoint);
        }
        None
    }

    fn prepare_task(&mut self, settings: &Settings) -> Option<Task> {
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
        let number = room.next_number;
        room.next_number += 1;
        let wanted = wanted.unwrap_or(0);
        let usual = settings.segment_len(self.checkpoint.log_bytes);
        // A smaller one that is there is better than a larger one that must be filled first.
        let recycled = room.pool.take(wanted.max(usual / 4));
        let least = wanted.max(settings.segment_len(0));
        Some(Task::Prepare { least, capacity: wanted.max(usual), number, recycled })
    }
}
