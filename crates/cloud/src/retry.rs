//! Trying again what failed for the moment.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use backup::ObjectName;
use bytes::Bytes;
use tokio::time::{Instant, sleep};

use crate::{CloudBackend, CloudError, Limits, ObjectMeta, Progress, PutMode, Result, Tag};

/// Tries transient failures again, with random, growing waits and within a budget.
///
/// A put whose answer was lost may have landed, and would then conflict with itself. So after a
/// transient failure a conflict is settled by reading back: if exactly these bytes are there, the
/// put is taken as done. A [`CloudError::Conflict`] after a transient failure may also mean that
/// the put landed and was then replaced by somebody else.
#[derive(Debug, Clone)]
pub struct Retrying {
    inner: Arc<dyn CloudBackend>,
    settings: RetrySettings,
}

/// How long to wait, and how long to go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RetrySettings {
    /// The wait after the first failure is random, up to this; the limit doubles with each failure.
    pub first_wait: Duration,
    /// The limit does not grow above this.
    pub longest_wait: Duration,
    /// No attempt begins when this has passed since the first, without the time in which bytes have
    /// moved: see [`Progress`].
    pub budget: Duration,
}

impl Default for RetrySettings {
    /// Up to 200 ms, then up to 30 s, for two minutes: over a busy moment of a service or a change
    /// of network. What lasts longer is the caller's to schedule.
    fn default() -> Self {
        Self {
            first_wait: Duration::from_millis(200),
            longest_wait: Duration::from_secs(30),
            budget: Duration::from_secs(120),
        }
    }
}

/// More than this is no different from it, and a clock can count so far.
const LONGEST: Duration = Duration::from_secs(365 * 24 * 3600);

impl Retrying {
    /// Wraps a cloud.
    pub fn new(inner: Arc<dyn CloudBackend>, settings: RetrySettings) -> Self {
        Self { inner, settings }
    }

    /// The put, or what reading back says when an earlier attempt may have landed.
    async fn put_or_settle(
        &self,
        name: &ObjectName,
        bytes: &Bytes,
        how: &PutMode,
        first: bool,
    ) -> Result<Tag> {
        match self.inner.put(name, bytes.clone(), how.clone()).await {
            Err(conflict @ CloudError::Conflict { .. }) if !first => {
                match self.inner.get(name).await? {
                    Some((found, tag)) if found == bytes => Ok(tag),
                    _ => Err(conflict),
                }
            }
            other => other,
        }
    }
}

#[async_trait]
impl CloudBackend for Retrying {
    async fn put(&self, name: &ObjectName, bytes: Bytes, how: PutMode) -> Result<Tag> {
        let mut patience = Patience::new(self.settings);
        loop {
            let first = patience.failures == 0;
            match patience.attempt(self.put_or_settle(name, &bytes, &how, first)).await {
                Ok(tag) => return Ok(tag),
                Err(e) => patience.wait_after(e).await?,
            }
        }
    }

    async fn get(&self, name: &ObjectName) -> Result<Option<(Bytes, Tag)>> {
        let mut patience = Patience::new(self.settings);
        loop {
            match patience.attempt(self.inner.get(name)).await {
                Ok(found) => return Ok(found),
                Err(e) => patience.wait_after(e).await?,
            }
        }
    }

    async fn list(
        &self,
        prefix: &ObjectName,
        after: Option<&ObjectName>,
    ) -> Result<Vec<ObjectMeta>> {
        let mut patience = Patience::new(self.settings);
        loop {
            match patience.attempt(self.inner.list(prefix, after)).await {
                Ok(page) => return Ok(page),
                Err(e) => patience.wait_after(e).await?,
            }
        }
    }

    async fn delete(&self, name: &ObjectName) -> Result<()> {
        let mut patience = Patience::new(self.settings);
        loop {
            match patience.attempt(self.inner.delete(name)).await {
                Ok(()) => return Ok(()),
                Err(e) => patience.wait_after(e).await?,
            }
        }
    }

    fn limits(&self) -> Limits {
        self.inner.limits()
    }
}

/// The waits of one call.
struct Patience {
    settings: RetrySettings,
    end: Instant,
    failures: u32,
}

impl Patience {
    fn new(settings: RetrySettings) -> Self {
        Self { settings, end: Instant::now() + settings.budget.min(LONGEST), failures: 0 }
    }

    /// Runs an attempt. As long as bytes move nobody waits in vain; what follows counts, and so does
    /// every wait, so there is an end also where each attempt breaks off half way.
    async fn attempt<T>(&mut self, call: impl Future<Output = Result<T>>) -> Result<T> {
        let (progress, began) = (Progress::begin(), Instant::now());
        let result = progress.watch(call).await;
        self.end += progress.last().map_or(Duration::ZERO, |last| last - began);
        result
    }

    /// Waits before the next attempt, or gives the error back if there shall be none.
    async fn wait_after(&mut self, error: CloudError) -> Result<()> {
        let CloudError::Unavailable { retry_after, .. } = &error else {
            return Err(error);
        };
        // What the service asks for comes first, the jitter after it: else all its clients return
        // at one moment.
        let wait = retry_after.unwrap_or_default().min(LONGEST) + jitter(self.limit());
        self.failures += 1;
        if Instant::now() + wait > self.end {
            return Err(error);
        }
        tracing::debug!(failures = self.failures, ?wait, %error, "trying again");
        sleep(wait).await;
        Ok(())
    }

    fn limit(&self) -> Duration {
        let doubled = 2u32.saturating_pow(self.failures);
        let limit = self.settings.first_wait.saturating_mul(doubled);
        limit.min(self.settings.longest_wait).min(LONGEST)
    }
}

/// A random duration up to `limit` ("full jitter": clients that failed together come back apart).
fn jitter(limit: Duration) -> Duration {
    // Without randomness the longest wait is right, too.
    let random = getrandom::u32().unwrap_or(u32::MAX);
    limit.mul_f64(f64::from(random) / f64::from(u32::MAX))
}
