//! Waiting until the cloud has something, and for single-writer data until the fence has passed it.

use std::{
    fmt,
    future::Future,
    pin::Pin,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak},
    task::{Context, Poll, Waker},
};

use kv_core::{BoxError, Error, Operation, Result};

use super::{NotYetReplicated, Recorder, STORE};

/// Who waits, and who is to be urged on.
#[derive(Default)]
pub(super) struct Waiting {
    state: Mutex<State>,
    changed: Condvar,
    urged: Mutex<Option<Arc<dyn Fn() + Send + Sync>>>,
}

#[derive(Default)]
struct State {
    /// Everything up to here is in the cloud.
    acknowledged: u64,
    /// Single-writer data up to here was passed by the fence.
    fenced: u64,
    /// Why single-writer data behind that never will be.
    stopped: Option<BoxError>,
    /// Why no single-writer data is taken that has to be replicated.
    unfenceable: Option<BoxError>,
    /// Nothing more will come: the store is closed, or has failed.
    ended: Option<Error>,
    wakers: Vec<(Place, Waker)>,
}

/// A place in the order, and what of it is single-writer data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Place {
    /// The cloud must have everything up to here.
    pub(crate) sequence: u64,
    /// The fence must have passed single-writer data up to here; 0: there is none.
    pub(crate) single_writer: u64,
}

/// Resolves once the cloud has everything up to a sequence number, single-writer data acknowledged
/// by the fence, or with an error when the store
/// is closed or fails before: then [`Recorder::not_yet_replicated`] tells after the next opening.
#[derive(Clone)]
#[must_use = "nothing is known until it has resolved"]
pub struct WaitForCloud {
    recorder: Weak<Recorder>,
    place: Place,
}

impl Recorder {
    /// A backup should come soon although nothing has changed.
    pub fn urge(&self) {
        self.waiting.urge();
    }

    /// Resolves once the cloud has everything up to a place, and the fence has passed what it must.
    pub(crate) fn replicated(self: &Arc<Self>, place: Place) -> WaitForCloud {
        WaitForCloud { recorder: Arc::downgrade(self), place }
    }

    /// The fence has nothing to pass up to here. Where clouds cannot fence that says nothing: what went
    /// up before was not acknowledged.
    pub fn fence_not_needed(&self, to: u64) {
        self.waiting.change(|state| {
            if state.unfenceable.is_none() {
                state.fenced = state.fenced.max(to);
            }
        });
    }

    /// The fence has passed single-writer data up to here. Whoever waits for that and for nothing else
    /// is told.
    pub fn fence_passed(&self, to: u64) {
        self.waiting.change(|state| {
            state.fenced = state.fenced.max(to);
            (state.stopped, state.unfenceable) = (None, None);
        });
    }

    /// Single-writer data behind `counts` will not be acknowledged: another writer has taken over, for
    /// instance. Whoever waits for it gets [`Error::NotReplicated`] with this reason.
    pub fn fence_stopped(&self, counts: u64, why: BoxError) {
        self.waiting.change(|state| {
            state.fenced = state.fenced.max(counts);
            state.stopped = Some(why);
        });
    }

    /// The clouds cannot fence: [`Recorder::fence_stopped`], and single-writer data that has to be
    /// replicated is refused from now on, until the fence has passed something.
    pub fn fence_impossible(&self, why: BoxError) {
        self.waiting.change(|state| {
            state.unfenceable = Some(why.clone());
            state.stopped = Some(why);
        });
    }

    /// Calls `urged` from now on when a backup should not wait for its interval: somebody waits for
    /// the cloud, or enough has gathered. It must not block, and not call the recorder.
    pub fn on_urge(&self, urged: impl Fn() + Send + Sync + 'static) {
        *self.waiting.urged.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::new(urged));
    }
}

impl Drop for Recorder {
    /// Whoever still waits asks once more, and is told that the store is closed.
    fn drop(&mut self) {
        self.waiting.end(Error::Closed { store: STORE });
    }
}

impl NotYetReplicated {
    /// Resolves once the cloud has all of it.
    pub fn replicated(&self) -> WaitForCloud {
        WaitForCloud { recorder: self.recorder.clone(), place: self.place }
    }
}

impl WaitForCloud {
    pub(crate) fn poll_ref(&self, cx: &mut Context<'_>) -> Poll<Result<()>> {
        let Some(recorder) = self.recorder.upgrade() else {
            return Poll::Ready(Err(Error::Closed { store: STORE }));
        };
        let mut state = recorder.waiting.lock();
        if let Some(outcome) = state.outcome(self.place) {
            return Poll::Ready(outcome);
        }
        // One task may wait for several places: only what says the same is replaced.
        state.wakers.retain(|(place, waker)| *place != self.place || !waker.will_wake(cx.waker()));
        state.wakers.push((self.place, cx.waker().clone()));
        drop(state);
        recorder.waiting.urge();
        Poll::Pending
    }

    /// Blocks until the cloud has it. Never call it where the backup itself would run.
    pub fn wait(&self) -> Result<()> {
        let Some(recorder) = self.recorder.upgrade() else {
            return Err(Error::Closed { store: STORE });
        };
        let waiting = &recorder.waiting;
        if let Some(outcome) = waiting.lock().outcome(self.place) {
            return outcome;
        }
        waiting.urge();
        let mut state = waiting.lock();
        loop {
            if let Some(outcome) = state.outcome(self.place) {
                return outcome;
            }
            state = waiting.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

impl Future for WaitForCloud {
    type Output = Result<()>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<()>> {
        self.poll_ref(cx)
    }
}

impl State {
    fn outcome(&self, place: Place) -> Option<Result<()>> {
        let is_fenced = self.fenced >= place.single_writer;
        match &self.stopped {
            Some(why) if !is_fenced => {
                Some(Err(Error::NotReplicated { store: STORE, source: why.clone() }))
            }
            _ if is_fenced && self.acknowledged >= place.sequence => Some(Ok(())),
            _ => self.ended.clone().map(Err),
        }
    }
}

impl Waiting {
    pub(super) fn new(acknowledged: u64) -> Self {
        let state = State { acknowledged, ..State::default() };
        Self { state: Mutex::new(state), ..Self::default() }
    }

    /// Single-writer data is taken again.
    pub(super) fn go_on(&self) {
        self.change(|state| state.stopped = None);
    }

    /// Whether a commit at this place would resolve now.
    pub(super) fn is_over(&self, place: Place) -> bool {
        self.lock().outcome(place).is_some()
    }

    /// Why single-writer data that has to be replicated is refused.
    pub(super) fn unfenceable(&self) -> Option<BoxError> {
        self.lock().unfenceable.clone()
    }

    pub(super) fn acknowledged(&self, to: u64) {
        self.change(|state| state.acknowledged = state.acknowledged.max(to));
    }

    /// The store below has failed: unless that was a refusal, or a value that could not be read just
    /// now, no backup will come of it before it is opened again.
    pub(super) fn failed(&self, error: &Error) {
        let is_read = matches!(error, Error::Io { during: Operation::Read, .. });
        if !is_read && !error.is_refusal()
            || matches!(error, Error::Poisoned { .. } | Error::Closed { .. })
        {
            self.end(error.clone());
        }
    }

    /// Nobody waits in vain: nothing more will come before the store is opened again.
    pub(super) fn end(&self, why: Error) {
        self.change(|state| _ = state.ended.get_or_insert(why));
    }

    /// A backup should come soon.
    pub(super) fn urge(&self) {
        let urged = self.urged.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some(urged) = urged {
            urged();
        }
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        let mut state = self.lock();
        change(&mut state);
        let wakers = std::mem::take(&mut state.wakers);
        let (ready, waiting) =
            wakers.into_iter().partition(|(place, _)| state.outcome(*place).is_some());
        state.wakers = waiting;
        drop(state);
        self.changed.notify_all();
        let ready: Vec<(Place, Waker)> = ready;
        ready.into_iter().for_each(|(_, waker)| waker.wake());
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Waiting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.lock();
        let mut f = f.debug_struct("Waiting");
        f.field("acknowledged", &state.acknowledged).field("fenced", &state.fenced).finish()
    }
}

impl fmt::Debug for WaitForCloud {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WaitForCloud").field("place", &self.place).finish()
    }
}
