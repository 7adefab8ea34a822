//! Background work: one task that backs up what has changed, and one that looks what other devices
//! have put. The session owns both.

use std::{
    sync::{Arc, Mutex, PoisonError, Weak},
    time::Duration,
};

use backup::Lag;
use tokio::{
    sync::{Notify, watch},
    task::JoinSet,
    time::Instant,
};

use crate::{
    Error, Event, PollReport, Result,
    error::chain,
    replicate::{self, Wish},
    session::Inner,
};

/// After a failure the next try comes later and later, but never later than this.
const MAX_BACK_OFF: Duration = Duration::from_secs(60);

/// The tasks and what is known of them.
#[derive(Debug)]
pub(crate) struct Background {
    stop: watch::Sender<bool>,
    tasks: Mutex<JoinSet<()>>,
    failing: Arc<Mutex<Option<Failing>>>,
}

/// Backups that fail.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Failing {
    /// How many tries in a row in which not even one cloud went on.
    pub(crate) tries: u32,
    /// Why the last one failed.
    pub(crate) reason: String,
}

impl Background {
    pub(crate) fn new() -> Self {
        let (stop, _) = watch::channel(false);
        Self { stop, tasks: Mutex::default(), failing: Arc::default() }
    }

    /// Starts the tasks. Backups come after each interval `every`, and at once when the recorder
    /// urges it on: somebody waits for the cloud, or enough for a segment has gathered.
    pub(crate) fn start(&self, inner: &Arc<Inner>, every: Duration, poll_every: Option<Duration>) {
        let urged = Arc::new(Notify::new());
        let urge = Arc::clone(&urged);
        inner.tower.recorder.on_urge(move || urge.notify_one());
        let mut tasks = self.tasks.lock().unwrap_or_else(PoisonError::into_inner);
        let backups = Backups {
            session: Arc::downgrade(inner),
            stopped: self.stop.subscribe(),
            urged,
            lines: inner.lines.changes(),
            every,
            failing: Arc::clone(&self.failing),
        };
        tasks.spawn(backups.run());
        if let Some(poll_every) = poll_every {
            tasks.spawn(poll(Arc::downgrade(inner), self.stop.subscribe(), every, poll_every));
        }
    }

    /// Ends the tasks and waits for their end.
    pub(crate) async fn end(&self) -> Result<()> {
        self.stop.send_replace(true);
        let mut tasks =
            std::mem::take(&mut *self.tasks.lock().unwrap_or_else(PoisonError::into_inner));
        let mut outcome = Ok(());
        while let Some(ended) = tasks.join_next().await {
            outcome = outcome.and(ended.map_err(|_| Error::Task));
        }
        outcome
    }

    /// Whether backups fail, and why.
    pub(crate) fn failing(&self) -> Option<Failing> {
        self.failing.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Notes how a backup went, and whether some cloud has everything nevertheless.
    pub(crate) fn note<T>(&self, outcome: &Result<T>, goes_on: bool) {
        let mut failing = self.failing.lock().unwrap_or_else(PoisonError::into_inner);
        let before = failing.as_ref().map_or(0, |failing| failing.tries);
        *failing = outcome.as_ref().err().map(|error| Failing {
            tries: if goes_on { 0 } else { before.saturating_add(1) },
            reason: chain(error),
        });
    }
}

/// The task that backs up whenever something is not yet in the clouds. Ends when told, or with its
/// session.
struct Backups {
    session: Weak<Inner>,
    stopped: watch::Receiver<bool>,
    urged: Arc<Notify>,
    /// A cloud has taken something, or failed.
    lines: watch::Receiver<()>,
    every: Duration,
    failing: Arc<Mutex<Option<Failing>>>,
}

impl Backups {
    async fn run(mut self) {
        let mut next = Instant::now() + self.every;
        let mut told = Lag::default();
        loop {
            let tries = self.tries();
            tokio::select! {
                _ = self.stopped.changed() => return,
                () = tokio::time::sleep_until(next) => {}
                // Who waits cannot make a cloud come back.
                () = self.urged.notified(), if tries == 0 => {}
                Ok(()) = self.lines.changed() => {
                    // A cloud that was late has something now: somebody may wait for that.
                    let Some(inner) = self.session.upgrade() else { return };
                    if !inner.can_acknowledge() {
                        continue;
                    }
                }
            }
            let Some(inner) = self.session.upgrade() else { return };
            inner.keep_up_in_background();
            tell_lag(&inner, &mut told);
            if inner.backup_is_due() {
                tokio::select! {
                    _ = self.stopped.changed() => return,
                    outcome = inner.post(Wish::Due) => {
                        if let Err(error) = outcome {
                            tracing::debug!(error = chain(&error), "not every cloud has it");
                        }
                    }
                }
            }
            tell_lag(&inner, &mut told);
            next = Instant::now() + pause(self.every, self.tries());
        }
    }

    fn tries(&self) -> u32 {
        let failing = self.failing.lock().unwrap_or_else(PoisonError::into_inner);
        failing.as_ref().map_or(0, |failing| failing.tries)
    }
}

impl Inner {
    /// Whether there is something to seal, to put or to acknowledge.
    fn backup_is_due(&self) -> bool {
        let recorder = &self.tower.recorder;
        let is_changed = match self.lines.sealed() {
            Some(sealed) => recorder.sequence() > sealed,
            None => recorder.lag().records > 0,
        };
        let is_told = !recorder.retirement_is_untold();
        is_changed
            || self.lines.is_due()
            || self.can_acknowledge()
            || !is_told
            || self.head_is_due()
            || self.fence_waits()
    }

    /// Whether enough clouds have something that is not acknowledged.
    fn can_acknowledge(&self) -> bool {
        self.lines.has_news(|clouds| self.acknowledged_by(clouds) as usize)
    }
}

/// Tells the lag if it is another than that told last.
fn tell_lag(inner: &Inner, told: &mut Lag) {
    let lag = inner.tower.recorder.lag();
    if lag != *told {
        *told = lag;
        inner.tell(lag.into());
    }
}

/// Looks what the others have put, first soon after the beginning.
async fn poll(
    session: Weak<Inner>,
    mut stopped: watch::Receiver<bool>,
    soon: Duration,
    every: Duration,
) {
    let mut pause = soon.min(every);
    loop {
        tokio::select! {
            _ = stopped.changed() => return,
            () = tokio::time::sleep(pause) => {}
        }
        pause = every;
        let Some(inner) = session.upgrade() else { return };
        let outcome = tokio::select! {
            _ = stopped.changed() => return,
            outcome = look_and_poll(&inner) => outcome,
        };
        let failures: Vec<String> = match outcome {
            Ok(report) => report.writers.into_iter().filter_map(|writer| writer.failure).collect(),
            Err(error) => vec![chain(&error)],
        };
        for reason in failures {
            tracing::warn!(error = reason, "looking for what is new failed, trying again");
            inner.tell(Event::PollFailed { reason });
        }
    }
}

async fn look_and_poll(inner: &Inner) -> Result<PollReport> {
    let found = inner.look().await?;
    replicate::poll(inner, found).await
}

/// How long to wait: twice as long after each failure. Each cloud adds jitter to its own retries.
fn pause(every: Duration, tries: u32) -> Duration {
    let doubled = every.max(Duration::from_millis(100)).saturating_mul(1 << tries.min(16));
    if tries == 0 { every } else { doubled.min(MAX_BACK_OFF).max(every) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_up_to_a_minute() {
        let second = Duration::from_secs(1);
        let pauses: Vec<u64> = (0..9).map(|tries| pause(second, tries).as_secs()).collect();
        assert_eq!(pauses, [1, 2, 4, 8, 16, 32, 60, 60, 60]);
        assert_eq!(pause(Duration::from_secs(300), 3), Duration::from_secs(300));
        assert_eq!(pause(second, u32::MAX), MAX_BACK_OFF);
    }
}
