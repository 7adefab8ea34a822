//! The end of a session: one task brings it about, and whoever asks for it waits for that one.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError, atomic::Ordering},
    time::Duration,
};

use kv_core::KvStore;
use tokio::sync::watch;

use crate::{
    Error, Event, Result, Suspended, error::chain, session::Inner, suspend::Mark, wallet::blocking,
};

/// How long to wait for what was asked of the session and has been told to end. A future that nobody
/// polls hears of nothing and holds its lock for as long as it lives; polled again it answers
/// [`Error::Locked`].
const PATIENCE: Duration = Duration::from_millis(100);

/// How far a session is on its way to its end. Dropping who waits for the end does not stop it.
#[derive(Debug, Default)]
pub(crate) struct Closing(Mutex<Option<Begun>>);

#[derive(Debug)]
struct Begun {
    /// The last thing its task does is to fill this in.
    outcome: watch::Receiver<Option<Outcome>>,
    /// What is put aside, until whoever asked for it comes for it.
    kept: Option<Suspended>,
}

/// How a session ended.
#[derive(Debug, Clone)]
struct Outcome {
    /// No background task has panicked.
    ended: bool,
    /// Everything is durable and the store is free, or why not; `None`: closing it has panicked.
    closed: Option<kv_core::Result<()>>,
}

impl Inner {
    /// Locks for good, and forgets what a suspending has kept.
    pub(crate) async fn lock(self: &Arc<Self>) -> Result<()> {
        let outcome = {
            let mut closing = self.closing.state();
            let begun = closing.get_or_insert_with(|| self.begin_closing(None));
            begun.kept = None;
            begun.outcome.clone()
        };
        let outcome = finished(outcome).await?;
        outcome.closed.ok_or(Error::Task)??;
        if outcome.ended { Ok(()) } else { Err(Error::Task) }
    }

    /// Locks, and keeps what `keep` gives for going on later. [`Error::Locked`] if the session is
    /// locked, or somebody locks it meanwhile.
    pub(crate) async fn put_aside(
        self: &Arc<Self>,
        keep: impl FnOnce() -> Result<(Suspended, Mark)>,
    ) -> Result<Suspended> {
        let outcome = {
            let mut closing = self.closing.state();
            if closing.is_none() {
                let (kept, mark) = keep()?;
                let begun = self.begin_closing(Some(mark));
                *closing = Some(Begun { kept: Some(kept), ..begun });
            }
            closing.as_ref().map(|begun| begun.outcome.clone()).ok_or(Error::Locked)?
        };
        let outcome = finished(outcome).await?;
        let kept = self.closing.state().as_mut().and_then(|begun| begun.kept.take());
        // A background task that has panicked is no reason to ask somebody for words.
        outcome.closed.ok_or(Error::Task)??;
        kept.ok_or(Error::Locked)
    }

    /// From here on every call answers [`Error::Locked`], also those that are under way.
    fn begin_closing(self: &Arc<Self>, mark: Option<Mark>) -> Begun {
        self.locked.store(true, Ordering::SeqCst);
        self.suspending.send_replace(true);
        let (told, outcome) = watch::channel(None);
        let inner = self.clone();
        tokio::spawn(async move {
            let outcome = inner.close(mark).await;
            told.send_replace(Some(outcome));
        });
        Begun { outcome, kept: None }
    }

    async fn close(self: &Arc<Self>, mark: Option<Mark>) -> Outcome {
        let ended = self.background.end().await.is_ok();
        self.end_upkeep().await;
        let asked_for = async {
            let no_poll = self.polling.lock().await;
            let no_dump = self.dumping.lock().await;
            (no_poll, no_dump, self.posting.lock().await)
        };
        let _last = tokio::time::timeout(PATIENCE, asked_for).await;
        self.lines.end().await;
        let inner = self.clone();
        let closed = blocking(move || Ok::<_, Error>(inner.close_store(mark))).await.ok();
        self.tell(Event::Locked);
        tracing::info!("locked");
        Outcome { ended, closed }
    }

    fn close_store(&self, mark: Option<Mark>) -> kv_core::Result<()> {
        let tower = &self.tower;
        if let Some(Err(error)) = mark.map(|mark| tower.leave_mark(&mark)) {
            // Whoever resumes reads everything again; and closing says it if something is wrong.
            tracing::debug!(error = chain(&error), "suspended without a mark");
        }
        let flushed = kv_core::KvStoreExt::flush(&*tower.recorder);
        let closed = tower.recorder.close();
        tower.sealer.forget();
        tower.sealed.lock();
        tower.stores.close();
        flushed.and(closed)
    }
}

impl Closing {
    fn state(&self) -> MutexGuard<'_, Option<Begun>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The outcome, once it is there.
async fn finished(mut outcome: watch::Receiver<Option<Outcome>>) -> Result<Outcome> {
    let finished = outcome.wait_for(Option::is_some).await;
    finished.ok().and_then(|outcome| outcome.clone()).ok_or(Error::Task)
}
