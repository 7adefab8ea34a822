//! The outcome of a submitted batch, to be awaited or waited for.

use std::{
    fmt,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use crate::Result;

/// What became of a submitted batch: a future that never does I/O itself, or a blocking
/// [`Commit::wait`]. Dropping it cancels nothing.
#[must_use = "a batch is durable only once its commit has resolved"]
pub struct Commit {
    state: State,
    /// A lazy commit resolves at once, whatever its batch is still waiting for.
    lazy: bool,
}

/// A cheap handle that tells whether the effects of a batch are decided. Decorators keep one per
/// batch to learn, without waiting, which of their bookkeeping has become durable.
///
/// The outcome is known no later than the effects of the batch can be read.
#[derive(Clone)]
pub struct Receipt(State);

/// The side of a [`Commit`] that a store implements.
pub trait Pending: fmt::Debug + Send + Sync {
    /// `None` while undecided; never blocks and never does I/O.
    fn outcome(&self) -> Option<Result<()>>;
    /// As [`Pending::outcome`], but wakes the task once decided. Never does I/O.
    fn poll(&self, cx: &mut Context<'_>) -> Poll<Result<()>>;
    /// Blocks until decided; may do the store's I/O on the way.
    fn wait(&self) -> Result<()>;
}

#[derive(Clone)]
enum State {
    Done(Result<()>),
    Pending(Arc<dyn Pending>),
}

impl Commit {
    /// A commit that is already decided. A refusal is always given this way: it is decided before
    /// `submit` returns.
    pub fn done(outcome: Result<()>) -> Self {
        Self { state: State::Done(outcome), lazy: false }
    }

    /// A commit that is decided later.
    pub fn pending(pending: Arc<dyn Pending>) -> Self {
        Self { state: State::Pending(pending), lazy: false }
    }

    /// A commit of a lazy batch: it resolves to `Ok` at once, its receipt tells when the batch took effect.
    pub fn lazy(pending: Arc<dyn Pending>) -> Self {
        Self { state: State::Pending(pending), lazy: true }
    }

    /// Blocks until the batch is durable (a lazy one: until it has its place in the order).
    pub fn wait(self) -> Result<()> {
        match self.state {
            State::Done(outcome) => outcome,
            State::Pending(_) if self.lazy => Ok(()),
            State::Pending(pending) => pending.wait(),
        }
    }

    /// A handle that tells when the batch took effect.
    pub fn receipt(&self) -> Receipt {
        Receipt(self.state.clone())
    }
}

impl Future for Commit {
    type Output = Result<()>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<()>> {
        match &self.state {
            State::Done(outcome) => Poll::Ready(outcome.clone()),
            State::Pending(_) if self.lazy => Poll::Ready(Ok(())),
            State::Pending(pending) => pending.poll(cx),
        }
    }
}

impl Receipt {
    /// What became of the batch; `None` while undecided. Never blocks.
    pub fn outcome(&self) -> Option<Result<()>> {
        match &self.0 {
            State::Done(outcome) => Some(outcome.clone()),
            State::Pending(pending) => pending.outcome(),
        }
    }
}

impl fmt::Debug for Commit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Commit").field("outcome", &self.receipt().outcome()).finish()
    }
}

impl fmt::Debug for Receipt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Receipt").field(&self.outcome()).finish()
    }
}
