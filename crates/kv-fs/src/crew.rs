//! The threads that serve all open stores of this process: few, however many stores there are.
//!
//! A store is served by one thread at a time. What may take long, a checkpoint, is done beside that:
//! some of the threads do such things first, so that busy stores do not wait for them for ever, and no
//! more than those, so that a flush never waits for them. Threads
//! come when there is work for them, go when there was none for a while, and all are gone when the
//! last store has been closed.

use std::{
    cell::Cell,
    collections::{BTreeMap, BTreeSet, VecDeque},
    io,
    panic::{self, AssertUnwindSafe},
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread,
    time::{Duration, Instant},
};

/// How many threads there are at most. They mostly wait for the disk, which does several things at
/// once, so it is not the number of processors that counts.
const THREADS: usize = 16;

/// How many of them do what takes long.
const SLOW: usize = 4;

/// How long threads wait for something to do.
pub(crate) const IDLE: Duration = Duration::from_secs(5);

/// Who is served.
pub(crate) trait Client: Send + Sync {
    /// Does what is due now, or a part of it. When there is more to do, if that is known; waking the
    /// client makes that sooner.
    fn serve(&self) -> Option<Instant>;

    /// Does what takes long.
    fn serve_slowly(&self);
}

/// The threads and whom they serve.
#[derive(Debug)]
pub(crate) struct Crew {
    state: Mutex<State>,
    /// There is work, or none any more.
    work: Condvar,
    /// A client is not being served any more, or a thread has ended.
    left: Condvar,
    /// Threads that had nothing to do for so long end, but for one.
    patience: Duration,
}

/// Who one is among the clients.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Number(u64);

struct State {
    clients: BTreeMap<Number, Entry>,
    next: u64,
    ready: VecDeque<Number>,
    timers: BTreeSet<(Instant, Number)>,
    slow: VecDeque<Arc<dyn Client>>,
    /// How many threads do something slow.
    slowly: usize,
    threads: usize,
    /// How many of them wait for work ...
    idle: usize,
    /// ... and when the first of those wakes that look at the timers.
    wakes: Option<Instant>,
}

struct Entry {
    client: Arc<dyn Client>,
    at: At,
    timer: Option<Instant>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum At {
    Rest,
    Ready,
    /// A thread serves it; whether somebody has woken it since.
    Served {
        again: bool,
    },
}

thread_local! {
    /// Whom this thread serves.
    static SERVES: Cell<Option<Number>> = const { Cell::new(None) };
}

impl Crew {
    pub(crate) const fn new(patience: Duration) -> Self {
        let state = State {
            clients: BTreeMap::new(),
            next: 0,
            ready: VecDeque::new(),
            timers: BTreeSet::new(),
            slow: VecDeque::new(),
            slowly: 0,
            threads: 0,
            idle: 0,
            wakes: None,
        };
        Self { state: Mutex::new(state), work: Condvar::new(), left: Condvar::new(), patience }
    }

    /// From now on the client is served, first soon. `named` learns its number before that.
    ///
    /// # Errors
    /// There is no thread and none can be made.
    pub(crate) fn join(
        &'static self,
        client: Arc<dyn Client>,
        named: impl FnOnce(Number),
    ) -> io::Result<()> {
        let mut state = self.lock();
        if state.threads == 0 {
            self.hire(&mut state)?;
        }
        let number = Number(state.next);
        state.next += 1;
        named(number);
        state.clients.insert(number, Entry { client, at: At::Ready, timer: None });
        state.ready.push_back(number);
        self.call(&mut state);
        Ok(())
    }

    /// The client has something to do.
    pub(crate) fn wake(&'static self, number: Number) {
        let mut state = self.lock();
        if state.make_ready(number) {
            self.call(&mut state);
        }
    }

    /// The client has something to do that takes long.
    pub(crate) fn later(&'static self, number: Number) {
        let mut state = self.lock();
        let Some(entry) = state.clients.get(&number) else { return };
        let client = Arc::clone(&entry.client);
        state.slow.push_back(client);
        self.call(&mut state);
    }

    /// The client is not served any more once this has returned, but for what it does slowly.
    pub(crate) fn leave(&self, number: Number) {
        let mut state = self.lock();
        // A thread that serves it cannot wait for its own end.
        let by_itself = SERVES.get() == Some(number);
        let is_served = |state: &State| {
            state.clients.get(&number).is_some_and(|entry| matches!(entry.at, At::Served { .. }))
        };
        while !by_itself && is_served(&state) {
            state = self.left.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        let Some(entry) = state.clients.remove(&number) else { return };
        if let Some(timer) = entry.timer {
            state.timers.remove(&(timer, number));
        }
        state.ready.retain(|ready| *ready != number);
        if state.is_over() {
            self.work.notify_all();
            while SERVES.get().is_none() && state.is_over() && state.threads > 0 {
                state = self.left.wait(state).unwrap_or_else(PoisonError::into_inner);
            }
        }
        drop(state);
        // Last: it may be the last of the client.
        drop(entry);
    }

    /// How many threads there are.
    #[cfg(test)]
    fn threads(&self) -> usize {
        self.lock().threads
    }

    /// Sees to it that somebody takes what is ready, and that somebody looks at the timers.
    fn call(&'static self, state: &mut State) {
        if !state.needs_one_more() {
            return;
        }
        if state.idle > 0 {
            self.work.notify_one();
        } else if state.threads < THREADS
            && let Err(error) = self.hire(state)
        {
            tracing::debug!(%error, "no further thread for the stores");
        }
    }

    fn hire(&'static self, state: &mut State) -> io::Result<()> {
        thread::Builder::new().name("kv-fs".to_owned()).spawn(|| self.run())?;
        state.threads += 1;
        Ok(())
    }

    fn run(&'static self) {
        let mut state = self.lock();
        loop {
            // What is ready may never end while stores are busy, and they wait for what takes long.
            let share = state.slow_share();
            if let Some(client) = state.take_slow(share) {
                state = self.serve_slowly(state, client);
            } else if let Some(number) = state.take_ready(Instant::now()) {
                state = self.serve(state, number);
            } else if let Some(client) = state.take_slow(SLOW) {
                state = self.serve_slowly(state, client);
            } else if state.is_over() {
                break;
            } else if let Some(rested) = self.rest(state) {
                state = rested;
            } else {
                return;
            }
        }
        self.end(state);
    }

    fn end(&self, mut state: MutexGuard<'_, State>) {
        state.threads -= 1;
        drop(state);
        self.left.notify_all();
    }

    fn serve<'a>(
        &'static self,
        mut state: MutexGuard<'a, State>,
        number: Number,
    ) -> MutexGuard<'a, State> {
        let Some(entry) = state.clients.get_mut(&number) else { return state };
        entry.at = At::Served { again: false };
        let client = Arc::clone(&entry.client);
        // Others may be due meanwhile.
        self.call(&mut state);
        drop(state);
        SERVES.set(Some(number));
        let next = calmly(|| client.serve()).flatten();
        {
            let mut state = self.lock();
            state.served(number, next);
        }
        self.left.notify_all();
        // It may be the last of the client, and end it.
        drop(client);
        SERVES.set(None);
        self.lock()
    }

    fn serve_slowly<'a>(
        &'static self,
        mut state: MutexGuard<'a, State>,
        client: Arc<dyn Client>,
    ) -> MutexGuard<'a, State> {
        state.slowly += 1;
        self.call(&mut state);
        drop(state);
        calmly(|| client.serve_slowly());
        drop(client);
        let mut state = self.lock();
        state.slowly -= 1;
        state
    }

    /// Waits for work; `None`: this thread ends, as there was none for long.
    fn rest<'a>(&'a self, mut state: MutexGuard<'a, State>) -> Option<MutexGuard<'a, State>> {
        let first = state.timers.first().map(|(time, _)| *time);
        // One thread at a time looks at the timers.
        let mine = first.filter(|first| state.wakes.is_none_or(|wakes| *first < wakes));
        let pause = match mine {
            Some(time) => {
                state.wakes = Some(time);
                Some(time.saturating_duration_since(Instant::now()))
            }
            None => (state.threads > 1).then_some(self.patience),
        };
        state.idle += 1;
        let mut is_late = false;
        state = match pause {
            Some(pause) => {
                let woken = self.work.wait_timeout(state, pause);
                let (state, timeout) = woken.unwrap_or_else(PoisonError::into_inner);
                is_late = timeout.timed_out();
                state
            }
            None => self.work.wait(state).unwrap_or_else(PoisonError::into_inner),
        };
        state.idle -= 1;
        if mine.is_some() && state.wakes == mine {
            state.wakes = None;
        }
        if is_late && mine.is_none() && state.threads > 1 && !state.needs_one_more() {
            self.end(state);
            return None;
        }
        Some(state)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Does what may be wrong in ways that nobody thought of. If it panics this thread goes on, for the
/// sake of the others.
pub(crate) fn calmly<T>(call: impl FnOnce() -> T) -> Option<T> {
    let called = panic::catch_unwind(AssertUnwindSafe(call));
    called.inspect_err(|_| tracing::error!("what is done behind a store has panicked")).ok()
}

impl State {
    /// Nobody is left to be served.
    fn is_over(&self) -> bool {
        self.clients.is_empty() && self.slow.is_empty()
    }

    fn has_work(&self) -> bool {
        !self.ready.is_empty() || (self.slowly < SLOW && !self.slow.is_empty())
    }

    /// Whether what is known of asks for a thread that is not at work: something is ready, or nobody
    /// would look at the timers in time.
    fn needs_one_more(&self) -> bool {
        let first = self.timers.first().map(|(time, _)| *time);
        let is_unwatched = first.is_some_and(|first| self.wakes.is_none_or(|wakes| first < wakes));
        self.has_work() || is_unwatched
    }

    /// Whether somebody must come for it.
    fn make_ready(&mut self, number: Number) -> bool {
        let Some(entry) = self.clients.get_mut(&number) else { return false };
        match &mut entry.at {
            At::Ready => return false,
            At::Served { again } => {
                *again = true;
                return false;
            }
            at => *at = At::Ready,
        }
        if let Some(timer) = entry.timer.take() {
            self.timers.remove(&(timer, number));
        }
        self.ready.push_back(number);
        true
    }

    /// How many threads do what takes long while something else is ready: of few threads one.
    fn slow_share(&self) -> usize {
        (self.threads * SLOW / THREADS).max(1)
    }

    /// Something that takes long, if fewer threads than this are at such things.
    fn take_slow(&mut self, most: usize) -> Option<Arc<dyn Client>> {
        if self.slowly < most { self.slow.pop_front() } else { None }
    }

    /// The next one to be served, first those that a timer wakes by now.
    fn take_ready(&mut self, now: Instant) -> Option<Number> {
        while let Some((time, number)) = self.timers.first().copied()
            && time <= now
        {
            self.make_ready(number);
            // In any case, as it may be unknown.
            self.timers.remove(&(time, number));
        }
        self.ready.pop_front()
    }

    fn served(&mut self, number: Number, next: Option<Instant>) {
        let Some(entry) = self.clients.get_mut(&number) else { return };
        let again = entry.at == At::Served { again: true };
        entry.at = At::Rest;
        if again {
            self.make_ready(number);
        } else if let Some(next) = next {
            entry.timer = Some(next);
            self.timers.insert((next, number));
        }
    }
}

impl std::fmt::Debug for State {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("State")
            .field("clients", &self.clients.len())
            .field("threads", &self.threads)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
