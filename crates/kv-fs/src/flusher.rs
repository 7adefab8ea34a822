//! What is done in the background of a store: flushes that nobody waits for, room in the log, big
//! values, checkpoints.

use std::time::{Duration, Instant};

use kv_core::{Error, Operation};

use crate::{
    crew::{self, Client, Crew, calmly},
    fault, layout,
    queue::{self, BigFile, BigJob, Shared, State, Wakers},
    segment,
    settings::Settings,
    table::Stamp,
};

/// The threads of all stores of this process.
pub(crate) static CREW: Crew = Crew::new(crew::IDLE);

/// What is done next.
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

impl Client for Shared {
    fn serve(&self) -> Option<Instant> {
        calmly(|| self.serve_now()).unwrap_or_else(|| {
            let mut state = self.lock();
            self.poison(&mut state, fault::panicked(Operation::Write));
            let wakers = std::mem::take(&mut state.wakers);
            drop(state);
            queue::call(wakers);
            None
        })
    }

    fn serve_slowly(&self) {
        self.checkpoint().ok();
    }
}

impl Shared {
    fn serve_now(&self) -> Option<Instant> {
        loop {
            match self.next_task() {
                Err(next) => return next,
                Ok(Task::Stop) => return None,
                Ok(Task::Checkpoint) => self.checkpoint_beside(),
                Ok(Task::Flush) => {
                    self.flush();
                    // Other stores come first.
                    return Some(Instant::now());
                }
                Ok(task) => self.perform(task),
            }
        }
    }

    /// What is due now, or when something will be.
    fn next_task(&self) -> Result<Task, Option<Instant>> {
        let mut state = self.lock();
        if let Some(task) = state.due_task(&self.settings) {
            return Ok(task);
        }
        let now = Instant::now();
        if state.queue.is_empty() || state.poison.is_some() {
            state.flush_due = None;
        }
        let due = state.flush_due;
        if due.is_some_and(|due| due <= now) && state.writer.is_some() {
            return Ok(Task::Flush);
        }
        // While someone else leads a flush, wait for its end: it wakes this store if more is due.
        let wakes = due.map(|due| due.max(now + Duration::from_millis(1)));
        state.flusher_wakes = wakes;
        Err(wakes)
    }

    fn checkpoint_beside(&self) {
        match self.number.get() {
            Some(number) => CREW.later(*number),
            None => self.serve_slowly(),
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
            Task::Wake(wakers) => queue::call(wakers),
        }
    }

    /// Does one thing that is due in the background, on this thread; `false` if there is none.
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
        let outcome = calmly(write).unwrap_or_else(|| Err(fault::panic()));
        let outcome = outcome.map_err(fault::io(Operation::Write));
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
            Ok(made) => {
                state.room.ready.push_back(made.segment);
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
