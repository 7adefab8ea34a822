//! Background work, owned by the session: one task backs up what has changed, and one looks what
//! other devices have put.

use std::{
    sync::{Arc, Mutex, PoisonError, Weak},
    time::Duration,
};

use tokio::{
    sync::{Notify, watch},
    task::JoinSet,
};

use crate::{Error, Event, PollReport, Result, error::chain, replicate, session::Inner};

/// After a failure the next try comes later and later, but never later than this.
const MAX_BACK_OFF: Duration = Duration::from_secs(60);

/// The task and what is known of it.
#[derive(Debug)]
pub(crate) struct Background {
    stop: watch::Sender<bool>,
    tasks: Mutex<JoinSet<()>>,
    failing: Arc<Mutex<Option<Failing>>>,
}

/// Backups that fail.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Failing {
    /// How many tries in a row.
    pub(crate) tries: u32,
    /// Why the last one failed.
    pub(crate) reason: String,
}

impl Background {
    pub(crate) fn new() -> Self {
        let (stop, _) = watch::channel(false);
        Self { stop, tasks: Mutex::default(), failing: Arc::default() }
    }

    /// Starts the task. It wakes after each interval, and at once when the recorder urges it on:
    /// somebody waits for the cloud, or enough for a segment has gathered.
    pub(crate) fn start(&self, inner: &Arc<Inner>, every: Duration, poll_every: Option<Duration>) {
        let urged = Arc::new(Notify::new());
        let urge = Arc::clone(&urged);
        inner.tower.recorder.on_urge(move || urge.notify_one());
        let (session, stopped) = (Arc::downgrade(inner), self.stop.subscribe());
        let run = run(session, stopped, urged, every, Arc::clone(&self.failing));
        let mut tasks = self.tasks.lock().unwrap_or_else(PoisonError::into_inner);
        tasks.spawn(run);
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

    /// Notes how a backup went.
    pub(crate) fn note<T>(&self, outcome: &Result<T>) {
        let mut failing = self.failing.lock().unwrap_or_else(PoisonError::into_inner);
        *failing = outcome.as_ref().err().map(|error| Failing {
            tries: failing.as_ref().map_or(1, |failing| failing.tries.saturating_add(1)),
            reason: chain(error),
        });
    }
}

/// Backs up whenever something is not yet in the cloud. Ends when told, or with its session.
async fn run(
    session: Weak<Inner>,
    mut stopped: watch::Receiver<bool>,
    urged: Arc<Notify>,
    every: Duration,
    failing: Arc<Mutex<Option<Failing>>>,
) {
    loop {
        let tries =
            failing.lock().unwrap_or_else(PoisonError::into_inner).as_ref().map(|f| f.tries);
        let pause = pause(every, tries.unwrap_or(0));
        tokio::select! {
            _ = stopped.changed() => return,
            () = tokio::time::sleep(pause) => {}
            // Who waits cannot make a cloud come back.
            () = urged.notified(), if tries.is_none() => {}
        }
        let Some(inner) = session.upgrade() else { return };
        inner.keep_up_in_background();
        if !inner.backup_is_due() {
            continue;
        }
        tokio::select! {
            _ = stopped.changed() => return,
            outcome = inner.post() => {
                if let Err(error) = outcome {
                    tracing::warn!(error = chain(&error), "backup failed, trying again");
                }
            }
        }
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
    inner.look().await?;
    replicate::poll(inner).await
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
