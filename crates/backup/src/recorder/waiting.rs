//! Waiting until the cloud has something.

use std::{
    fmt,
    future::Future,
    pin::Pin,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak},
    task::{Context, Poll, Waker},
};

use kv_core::{Error, Result};

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
    /// Nothing more will come: the store is closed, or has failed.
    ended: Option<Error>,
    wakers: Vec<(u64, Waker)>,
}

/// Resolves once the cloud has everything up to a sequence number, or with an error when the store
/// is closed or fails before: then [`Recorder::not_yet_replicated`] tells after the next opening.
#[derive(Clone)]
#[must_use = "nothing is known until it has resolved"]
pub struct WaitForCloud {
    recorder: Weak<Recorder>,
    sequence: u64,
}

impl Recorder {
    /// Resolves once the cloud has everything up to `sequence`.
    pub fn replicated(self: &Arc<Self>, sequence: u64) -> WaitForCloud {
        WaitForCloud { recorder: Arc::downgrade(self), sequence }
    }

    /// Calls `urged` from now on when a backup should not wait for its interval: somebody waits for
    /// the cloud, or enough has gathered. It must not block, and not call the recorder.
    pub fn on_urge(&self, urged: impl Fn() + Send + Sync + 'static) {
        *self.waiting.urged.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::new(urged));
    }
}

impl NotYetReplicated {
    /// Resolves once the cloud has all of it.
    pub fn replicated(&self) -> WaitForCloud {
        WaitForCloud { recorder: self.recorder.clone(), sequence: self.sequence }
    }
}

impl WaitForCloud {
    pub(crate) fn poll_ref(&self, cx: &mut Context<'_>) -> Poll<Result<()>> {
        let Some(recorder) = self.recorder.upgrade() else {
            return Poll::Ready(Err(Error::Closed { store: STORE }));
        };
        let mut state = recorder.waiting.lock();
        if let Some(outcome) = state.outcome(self.sequence) {
            return Poll::Ready(outcome);
        }
        state.wakers.retain(|(_, waker)| !waker.will_wake(cx.waker()));
        state.wakers.push((self.sequence, cx.waker().clone()));
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
        if let Some(outcome) = waiting.lock().outcome(self.sequence) {
            return outcome;
        }
        waiting.urge();
        let mut state = waiting.lock();
        loop {
            if let Some(outcome) = state.outcome(self.sequence) {
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
    fn outcome(&self, sequence: u64) -> Option<Result<()>> {
        if self.acknowledged >= sequence { Some(Ok(())) } else { self.ended.clone().map(Err) }
    }
}

impl Waiting {
    pub(super) fn new(acknowledged: u64) -> Self {
        let state = State { acknowledged, ..State::default() };
        Self { state: Mutex::new(state), ..Self::default() }
    }

    /// Everything up to here is in the cloud.
    pub(super) fn position(&self) -> u64 {
        self.lock().acknowledged
    }

    pub(super) fn acknowledged(&self, to: u64) {
        self.change(|state| state.acknowledged = state.acknowledged.max(to));
    }

    /// The store below has failed: unless that was a refusal, no backup will come of it before it
    /// is opened again.
    pub(super) fn failed(&self, error: &Error) {
        if !error.is_refusal() || matches!(error, Error::Poisoned { .. } | Error::Closed { .. }) {
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
            wakers.into_iter().partition(|(sequence, _)| state.outcome(*sequence).is_some());
        state.wakers = waiting;
        drop(state);
        self.changed.notify_all();
        let ready: Vec<(u64, Waker)> = ready;
        ready.into_iter().for_each(|(_, waker)| waker.wake());
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Waiting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Waiting").field("acknowledged", &self.lock().acknowledged).finish()
    }
}

impl fmt::Debug for WaitForCloud {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WaitForCloud").field("sequence", &self.sequence).finish()
    }
}
