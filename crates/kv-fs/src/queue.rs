//! The state all threads share: the table, the queue of batches on their way to the log, and what each waits for.

use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError},
    task::{Context, Poll, Waker},
    time::Instant,
};

use kv_core::{Error, Pending, Report, Result};

use crate::{
    Settings,
    batch_bytes::Changes,
    cache::Cache,
    checkpoint::Checkpointer,
    crc_shift::Appended,
    crew::{Number, calmly},
    disk::{Disk, DiskFile},
    flusher::CREW,
    log::{LogWriter, Written},
    pool::Pool,
    segment::{self, Segment},
    table::{Name, Stamp, Table},
    turns::{Turn, Turns},
};

#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) disk: Arc<dyn Disk>,
    pub(crate) settings: Settings,
    state: Mutex<State>,
    pub(crate) cache: Cache,
    /// Who this store is to the threads that serve it; not set if there are none.
    pub(crate) number: OnceLock<Number>,
    /// Wakes everyone who waits for a flush.
    pub(crate) turns: Turns,
    /// Wakes everyone who waits for room or a checkpoint.
    pub(crate) done: Condvar,
    pub(crate) checkpointer: Mutex<Checkpointer>,
    /// What was noticed at open.
    pub(crate) notices: Report,
    /// No thread serves it: whoever would wait for one does its work.
    #[cfg(feature = "testing")]
    pub(crate) alone: bool,
}

/// Locked for short steps in memory only, never across I/O.
#[derive(Debug)]
pub(crate) struct State {
    pub(crate) table: Table,
    pub(crate) queue: VecDeque<Queued>,
    /// What the queued batches will have done to a key: the last of them that changes it, and whether it is there then.
    pub(crate) pending: HashMap<Name, (u64, bool)>,
    pub(crate) queued_bytes: u64,
    /// Sequence of the last batch submitted.
    pub(crate) submitted: u64,
    /// Sequence of the last batch that is durable; all batches up to it have taken effect.
    pub(crate) durable: u64,
    pub(crate) next_creation: u64,
    /// Why no further change is taken. What was not durable then has failed with it.
    pub(crate) poison: Option<Error>,
    pub(crate) closing: bool,
    pub(crate) closed: bool,
    pub(crate) stop_flusher: bool,
    /// Tasks that await a batch, by its sequence. A flush shares the sequence of the batch before it.
    pub(crate) wakers: Wakers,
    /// When it is flushed in the background if nobody else has done it.
    pub(crate) flush_due: Option<Instant>,
    /// When it is looked at by itself.
    pub(crate) flusher_wakes: Option<Instant>,
    /// Which flush is under way.
    pub(crate) turn: Turn,
    /// Whoever takes it leads the flush.
    pub(crate) writer: Option<LogWriter>,
    pub(crate) room: Room,
    /// The segments of the log, oldest first; the last one is written to.
    pub(crate) chain: VecDeque<Written>,
    pub(crate) big_jobs: VecDeque<BigJob>,
    pub(crate) big_done: HashMap<u64, Result<BigFile>>,
    pub(crate) next_big: u64,
    pub(crate) checkpoint: CheckpointState,
}

pub(crate) type Wakers = BTreeMap<u64, Vec<Waker>>;

/// Calls them all. They are code of others: one that panics keeps no other from being called.
pub(crate) fn call(wakers: Wakers) {
    for waker in wakers.into_values().flatten() {
        calmly(|| waker.wake());
    }
}

/// A batch on its way to the log.
#[derive(Debug)]
pub(crate) struct Queued {
    pub(crate) sequence: u64,
    pub(crate) first_creation: u64,
    pub(crate) changes: Changes,
    pub(crate) payload: Vec<u8>,
    /// Of a large payload the checksum of all that does not depend on its place in the order.
    pub(crate) rest_crc: Option<Appended>,
    /// The segment it begins.
    pub(crate) enter: Option<Segment>,
    /// Its big values, written but not synced.
    pub(crate) big_files: Vec<BigFile>,
    /// What it counts for in `queued_bytes`.
    pub(crate) bytes: u64,
}

/// Values that are too big for the log, to be written in the background.
#[derive(Debug)]
pub(crate) struct BigJob {
    pub(crate) id: u64,
    pub(crate) value: kv_core::Value,
}

#[derive(Debug)]
pub(crate) struct BigFile {
    pub(crate) id: u64,
    pub(crate) stamp: Stamp,
    pub(crate) file: Box<dyn DiskFile>,
}

/// Where the next frames will go, decided when a batch is submitted.
#[derive(Debug, Default)]
pub(crate) struct Room {
    /// Where the next frame begins in the segment that the last submitted frame is in.
    pub(crate) offset: usize,
    pub(crate) capacity: usize,
    /// Segments to go on in. One is a reserve for batches that free space.
    pub(crate) ready: VecDeque<Segment>,
    pub(crate) next_number: u64,
    /// Retired segment files to be used again.
    pub(crate) pool: Pool,
    /// The capacity that a submitter waits for.
    pub(crate) wanted: Option<usize>,
    /// Worth trying to fill up `ready`.
    pub(crate) due: bool,
    /// Attempts to make a segment so far, and how the last one failed.
    pub(crate) attempts: u64,
    pub(crate) failure: Option<Error>,
}

#[derive(Debug, Default)]
pub(crate) struct CheckpointState {
    pub(crate) running: bool,
    pub(crate) due: bool,
    /// Bytes of log since the last one, and how many of them make the next one due.
    pub(crate) log_bytes: u64,
    pub(crate) due_at: u64,
    /// How many ended, how many of them failed, and whether the last one did.
    pub(crate) ended: u64,
    pub(crate) failed: u64,
    pub(crate) last_failed: bool,
}

impl Shared {
    pub(crate) fn new(
        disk: Arc<dyn Disk>,
        settings: Settings,
        state: State,
        checkpointer: Checkpointer,
        notices: Report,
    ) -> Self {
        let done = Condvar::new();
        let cache = Cache::new(settings.read_cache);
        let turns = Turns::new(state.durable);
        let (state, checkpointer) = (Mutex::new(state), Mutex::new(checkpointer));
        Self {
            disk,
            settings,
            state,
            cache,
            number: OnceLock::new(),
            turns,
            done,
            checkpointer,
            notices,
            #[cfg(feature = "testing")]
            alone: false,
        }
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for anything to happen.
    pub(crate) fn wait<'a>(&'a self, state: MutexGuard<'a, State>) -> MutexGuard<'a, State> {
        #[cfg(feature = "testing")]
        if self.alone {
            drop(state);
            assert!(self.do_due_task(), "a store without a thread waits for nothing");
            return self.lock();
        }
        self.done.wait(state).unwrap_or_else(PoisonError::into_inner)
    }

    /// No further change is taken. Wakes all but those who await a batch.
    pub(crate) fn poison(&self, state: &mut State, error: Error) {
        state.poison = Some(error);
        self.turns.wake_all();
        self.done.notify_all();
    }

    /// There is something to do in the background.
    pub(crate) fn wake(&self) {
        if let Some(number) = self.number.get() {
            CREW.wake(*number);
        }
    }

    /// Sees to it that it is flushed in the background at `due` at the latest.
    pub(crate) fn flush_by(&self, state: &mut State, due: Instant) {
        if state.flush_due.is_none_or(|planned| due < planned) {
            state.flush_due = Some(due);
            if state.flusher_wakes.is_none_or(|wakes| due < wakes) {
                self.wake();
            }
        }
    }
}

impl State {
    /// Whether the key is there once everything submitted has taken effect.
    pub(crate) fn will_exist(&self, name: &Name) -> bool {
        match self.pending.get(name) {
            Some((_, exists)) => *exists,
            None => self.table.get(&name.0, &name.1).is_some(),
        }
    }

    pub(crate) fn outcome(&self, sequence: u64) -> Option<Result<()>> {
        if sequence <= self.durable {
            return Some(Ok(()));
        }
        self.poison.clone().map(Err)
    }
}

impl Room {
    pub(crate) fn fits(&self, frame: usize) -> bool {
        self.offset + frame + segment::TAIL_ROOM <= self.capacity
    }

    /// The capacity of a segment that takes this frame.
    pub(crate) fn capacity_for(frame: usize) -> usize {
        (segment::HEADER + frame + segment::TAIL_ROOM).next_multiple_of(4096)
    }

    /// A ready segment that takes the frame. The last one is kept for batches that free space.
    pub(crate) fn enter(&mut self, frame: usize, frees_space: bool) -> Option<Segment> {
        if self.ready.len() < 2 && !frees_space {
            return None;
        }
        let fits = |segment: &Segment| segment.capacity >= Self::capacity_for(frame);
        let at = self.ready.iter().position(fits)?;
        let segment = self.ready.remove(at)?;
        self.offset = segment::HEADER;
        self.capacity = segment.capacity;
        self.due = true;
        Some(segment)
    }
}

/// The side of a commit that the store keeps: a place in the order.
#[derive(Debug)]
pub(crate) struct Ticket {
    pub(crate) shared: Arc<Shared>,
    pub(crate) sequence: u64,
}

impl Pending for Ticket {
    fn outcome(&self) -> Option<Result<()>> {
        self.shared.lock().outcome(self.sequence)
    }

    fn poll(&self, cx: &mut Context<'_>) -> Poll<Result<()>> {
        let mut state = self.shared.lock();
        if let Some(outcome) = state.outcome(self.sequence) {
            return Poll::Ready(outcome);
        }
        let wakers = state.wakers.entry(self.sequence).or_default();
        if !wakers.iter().any(|waker| waker.will_wake(cx.waker())) {
            wakers.push(cx.waker().clone());
        }
        // Someone waits now: no reason to let the batch lie.
        self.shared.flush_by(&mut state, Instant::now());
        Poll::Pending
    }

    fn wait(&self) -> Result<()> {
        self.shared.flush_to(self.sequence)
    }
}
