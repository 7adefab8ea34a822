//! A decorator that fails when told to, as a cloud behind a bad line would.

use std::{
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use async_trait::async_trait;
use backup::ObjectName;
use bytes::Bytes;

use crate::{CloudBackend, CloudError, Limits, ObjectMeta, PutMode, Result, Tag};

/// Wraps a cloud and fails the calls that its [`Weather`] says. All calls count but `limits`.
#[derive(Debug)]
pub struct FlakyCloud {
    inner: Arc<dyn CloudBackend>,
    weather: Arc<Weather>,
}

/// What fails in a [`FlakyCloud`]; shared, so that a test can change it deep in a tower.
pub struct Weather(Mutex<State>);

/// What becomes of a call that fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Failure {
    /// It did not reach the cloud.
    Lost,
    /// It took effect, and only the answer was lost.
    AnswerLost,
}

type Plan = Box<dyn Fn(u64) -> Option<Failure> + Send>;

struct State {
    plan: Plan,
    error: CloudError,
    /// Since the plan was made.
    calls: u64,
    /// Since the plan was made.
    failures: u64,
}

impl FlakyCloud {
    /// Wraps a cloud.
    pub fn new(inner: Arc<dyn CloudBackend>, weather: Arc<Weather>) -> Self {
        Self { inner, weather }
    }

    async fn call<T>(&self, call: impl Future<Output = Result<T>>) -> Result<T> {
        match self.weather.next() {
            None => call.await,
            Some((Failure::Lost, error)) => Err(error),
            Some((Failure::AnswerLost, error)) => {
                drop(call.await);
                Err(error)
            }
        }
    }
}

impl Weather {
    /// Nothing fails, until told so.
    pub fn fair() -> Arc<Self> {
        Arc::new(Self(Mutex::new(State {
            plan: Box::new(|_| None),
            error: CloudError::unavailable("injected"),
            calls: 0,
            failures: 0,
        })))
    }

    /// The plan says for each call from now, counted from 1, whether it fails.
    pub fn set(&self, plan: impl Fn(u64) -> Option<Failure> + Send + 'static) {
        let mut state = self.state();
        state.plan = Box::new(plan);
        (state.calls, state.failures) = (0, 0);
    }

    /// Only the `nth` call from now fails (1: the next).
    pub fn fail_nth(&self, nth: u64, how: Failure) {
        self.set(move |call| (call == nth).then_some(how));
    }

    /// The `nth` call from now fails and all after it, until the next change of weather.
    pub fn fail_from(&self, nth: u64, how: Failure) {
        self.set(move |call| (call >= nth).then_some(how));
    }

    /// Nothing fails any more.
    pub fn clear_up(&self) {
        self.set(|_| None);
    }

    /// What failing calls answer; without this, [`CloudError::Unavailable`].
    pub fn answer(&self, error: CloudError) {
        self.state().error = error;
    }

    /// The calls since the last change of weather.
    pub fn calls(&self) -> u64 {
        self.state().calls
    }

    /// The failures since the last change of weather.
    pub fn failures(&self) -> u64 {
        self.state().failures
    }

    fn next(&self) -> Option<(Failure, CloudError)> {
        let mut state = self.state();
        state.calls += 1;
        let failure = (state.plan)(state.calls)?;
        state.failures += 1;
        Some((failure, state.error.clone()))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Weather {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.state();
        write!(f, "Weather({} of {} calls failed)", state.failures, state.calls)
    }
}

#[async_trait]
impl CloudBackend for FlakyCloud {
    async fn put(&self, name: &ObjectName, bytes: Bytes, how: PutMode) -> Result<Tag> {
        self.call(self.inner.put(name, bytes, how)).await
    }

    async fn get(&self, name: &ObjectName) -> Result<Option<(Bytes, Tag)>> {
        self.call(self.inner.get(name)).await
    }

    async fn list(
        &self,
        prefix: &ObjectName,
        after: Option<&ObjectName>,
    ) -> Result<Vec<ObjectMeta>> {
        self.call(self.inner.list(prefix, after)).await
    }

    async fn delete(&self, name: &ObjectName) -> Result<()> {
        self.call(self.inner.delete(name)).await
    }

    fn limits(&self) -> Limits {
        self.inner.limits()
    }
}
