//! The state all threads share: the names, the queue of batches on their way to the database, and what each waits for.

use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, Waker},
    time::Instant,
};

use kv_core::{Change, Error, Key, Namespace, Pending, Report, Result};

use crate::{Settings, fault, files::Files, reader::Readers, table::Table, writer::Writer};

pub(crate) type Name = (Namespace, Key);

#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) settings: Settings,
    pub(crate) files: Files,
    pub(crate) readers: Readers,
    state: Mutex<State>,
    /// Wakes the flusher thread.
    pub(crate) work: Condvar,
    /// Wakes everyone who waits for a flush or for room.
    pub(crate) done: Condvar,
    /// What was noticed at open.
    pub(crate) notices: Report,
}

/// Locked for short steps in memory only, never across I/O.
#[derive(Debug)]
pub(crate) struct State {
    pub(crate) table: Table,
    pub(crate) queue: VecDeque<Queued>,
    /// What the queued batches will have done to a key: the last of them that changes it, and whether it is there then.
    pub(crate) pending: HashMap<Name, (u64, bool)>,
    /// Bytes of values in the queue and in the flush under way, and what they may take of the disk.
    pub(crate) queued_bytes: u64,
    pub(crate) queued_room: u64,
    /// Bytes of the disk that were free after the last flush; `None`: not known.
    pub(crate) free: Option<u64>,
    /// Sequence of the last batch submitted.
    pub(crate) submitted: u64,
    /// Sequence of the last batch that is durable; all batches up to it have taken effect.
    pub(crate) durable: u64,
    pub(crate) next_created: u64,
    /// Why no further change is taken. What was not durable then has failed with it.
    pub(crate) poison: Option<Error>,
    pub(crate) closing: bool,
    pub(crate) closed: bool,
    pub(crate) stop_flusher: bool,
    /// Tasks that await a batch, by its sequence. A flush shares the sequence of the batch before it.
    pub(crate) wakers: BTreeMap<u64, Vec<Waker>>,
    /// When the flusher thread flushes if nobody else has.
    pub(crate) flush_due: Option<Instant>,
    /// When the flusher thread wakes by itself.
    pub(crate) flusher_wakes: Option<Instant>,
    /// Whoever takes it leads the flush.
    pub(crate) writer: Option<Writer>,
    /// The log should be moved before the next group is written, or earlier.
    pub(crate) log_is_due: bool,
    /// When the flusher thread moves the log if nothing is written until then.
    pub(crate) move_due: Option<Instant>,
    /// A group is on its way to the database: what is there may be newer than the table.
    pub(crate) flushing: bool,
    /// Reads from the database under way.
    pub(crate) reading: usize,
}

/// A batch on its way to the database.
#[derive(Debug)]
pub(crate) struct Queued {
    pub(crate) sequence: u64,
    pub(crate) changes: Vec<(Namespace, Key, Change)>,
    pub(crate) bytes: u64,
    pub(crate) room: u64,
}

impl Shared {
    pub(crate) fn new(
        settings: Settings,
        files: Files,
        readers: Readers,
        state: State,
        notices: Report,
    ) -> Self {
        let (work, done) = (Condvar::new(), Condvar::new());
        Self { settings, files, readers, state: Mutex::new(state), work, done, notices }
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn open_state(&self) -> Result<MutexGuard<'_, State>> {
        let state = self.lock();
        if state.closed { Err(fault::closed()) } else { Ok(state) }
    }

    /// Waits for anything to happen.
    pub(crate) fn wait<'a>(&self, state: MutexGuard<'a, State>) -> MutexGuard<'a, State> {
        self.done.wait(state).unwrap_or_else(PoisonError::into_inner)
    }

    /// Sees to it that the flusher thread flushes at `due` at the latest.
    pub(crate) fn flush_by(&self, state: &mut State, due: Instant) {
        if state.flush_due.is_none_or(|planned| due < planned) {
            state.flush_due = Some(due);
            self.wake_flusher_by(state, due);
        }
    }

    /// Sees to it that the flusher thread looks for work at `due` at the latest.
    pub(crate) fn wake_flusher_by(&self, state: &State, due: Instant) {
        if state.flusher_wakes.is_none_or(|wakes| due < wakes) {
            self.work.notify_one();
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
