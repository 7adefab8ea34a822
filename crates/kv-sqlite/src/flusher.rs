//! The one thread of a store: flushes what nobody waits for.

use std::{
    collections::BTreeMap,
    io,
    sync::{Arc, PoisonError},
    task::Waker,
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use crate::{flush::wake, queue::Shared};

/// What the thread does next.
enum Task {
    Stop,
    Flush,
    /// Into the database, since nothing else is to be done.
    MoveLog,
    /// The store is poisoned: whoever awaits a batch must know.
    Wake(BTreeMap<u64, Vec<Waker>>),
}

pub(crate) fn spawn(shared: &Arc<Shared>) -> io::Result<JoinHandle<()>> {
    let shared = Arc::clone(shared);
    let run = move || {
        loop {
            match shared.next_task() {
                Task::Stop => return,
                Task::Flush => shared.flush_on(),
                Task::MoveLog => shared.move_log_in_pause(),
                Task::Wake(wakers) => wake(wakers),
            }
        }
    };
    thread::Builder::new().name("kv-sqlite flusher".to_owned()).spawn(run)
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
            let now = Instant::now();
            if state.queue.is_empty() || state.poison.is_some() {
                state.flush_due = None;
            }
            // While someone else leads a flush, wait for its end: it wakes this thread if more is due.
            let due = [state.flush_due, state.move_due].into_iter().flatten().min();
            if due.is_some_and(|due| due <= now) && state.writer.is_some() {
                return if due == state.flush_due { Task::Flush } else { Task::MoveLog };
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
}
