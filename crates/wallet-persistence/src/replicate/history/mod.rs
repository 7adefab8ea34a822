//! Looking into the clouds with suspicion: what they show against what they showed before.

mod heads;
mod look_into;
mod writers;

use std::{
    sync::{Arc, PoisonError},
    time::Duration,
};

use backup::{Finding, Gate, History, ObjectRef, Suspicion, WriterId};
use cloud::CloudBackend;
use tokio::time::timeout;

pub(crate) use self::heads::{Found, KnownHeads};
use self::look_into::look_into;
use super::{post::Post, race::no_answer};
use crate::{Error, Event, Result, session::Inner, wallet::blocking};

/// A running writer puts a head at least this often, in milliseconds, so that a frozen cloud shows.
const HEARTBEAT: u64 = 60 * 60 * 1000;

/// How long one of several clouds may take to be looked at.
const PATIENCE: Duration = Duration::from_secs(20);

/// For how long one that took longer is not looked at again.
const SILENCE: Duration = Duration::from_secs(300);

/// The extension of a head that holds the session which put it: 16 random bytes.
pub(super) const SESSION_EXTENSION: u32 = 17;

/// Looks into every cloud that answers, and writes down what is suspicious; the newest heads that it
/// has read. Only who holds the posting lock may.
#[tracing::instrument(skip_all)]
pub(crate) async fn look(inner: &Inner, clouds: &[Arc<dyn CloudBackend>]) -> Result<Found> {
    let mut looked_at = Vec::new();
    let mut found = Found::new();
    let mut failure = None;
    let mut others: Option<(ObjectRef, bool)> = None;
    // One that has just failed, or hangs, must not hold up the backups that wait for this.
    let mut asked = inner.lines.well(clouds.len());
    if asked.iter().any(|i| !inner.is_silent(*i)) {
        asked.retain(|i| !inner.is_silent(*i));
    }
    for i in asked {
        let Some(cloud) = clouds.get(i) else { continue };
        let looking = look_into(inner, i, cloud);
        let looked = match clouds.len() {
            1 => looking.await,
            _ => timeout(PATIENCE, looking).await.unwrap_or_else(|_| {
                inner.is_silent_for(i, SILENCE);
                Err(no_answer())
            }),
        };
        match looked {
            Ok((foreign, heads)) => {
                looked_at.push(inner.cloud_name(i));
                others = others.max(foreign);
                found.extend(heads.map(|heads| (i, heads)));
            }
            Err(error) => failure = Some(error),
        }
    }
    let settings = &inner.tower.settings;
    let (frozen, patience) =
        (settings.frozen_after.as_millis() as u64, settings.withheld_after.as_millis() as u64);
    let retired: Vec<WriterId> =
        inner.tower.recorder.retired().into_iter().map(|retired| retired.writer).collect();
    let me = inner.tower.recorder.state().writer;
    inner.change_history(|history, now| {
        let mut new = history.compare(&looked_at, now, patience);
        for cloud in &looked_at {
            let runs = |writer| writer != me && !retired.contains(&writer);
            new.extend(history.frozen(cloud, now, frozen, runs));
        }
        new
    })?;
    if let Some((head, is_newer)) = others {
        inner.copied(head, is_newer).await?;
    }
    match failure {
        Some(error) if looked_at.is_empty() => Err(error),
        _ => Ok(found),
    }
}

impl Post<'_> {
    /// Once in a session, before anything goes up: is this folder an old copy, did an earlier
    /// session get further than it could write down?
    pub(super) async fn look_first(&mut self, inner: &Inner) -> Result<()> {
        if inner.is_first_look() {
            look(inner, self.clouds).await?;
            inner.has_looked();
            let Post { state, drops, .. } = Post::begin(inner, self.clouds);
            (self.state, self.drops) = (state, drops);
        }
        let place = (self.state.head.map(|head| head.id.to), self.state.last_backup);
        if let Some((head, time)) = inner.adopted()
            && (Some(head.id.to), Some(time)) > place
        {
            // The next head names it, so that who saw it sees one history.
            inner.lines.follow(head);
        }
        Ok(())
    }

    /// Whether a head is due although nothing changed.
    pub(super) fn heartbeat_is_due(&self, inner: &Inner) -> bool {
        self.state.head.is_some() && inner.head_is_due()
    }

    /// Clouds have acknowledged heads: they must never again show less.
    pub(super) fn note_heads(&self, inner: &Inner) -> Result<()> {
        let news = inner.lines.take_news();
        if news.is_empty() {
            return Ok(());
        }
        inner.change_history(|history, now| {
            for (i, head, time) in &news {
                history.put_head(&inner.cloud_name(*i), *head, *time, now);
            }
            Vec::new()
        })
    }
}

impl Inner {
    /// Whether this installation has put no head for so long that a look at the cloud could not
    /// tell it from one that is switched off.
    pub(crate) fn head_is_due(&self) -> bool {
        let (me, now) = (self.tower.recorder.state().writer, self.tower.clock.now().0);
        let names = self.known_clouds().unwrap_or_default();
        self.with_history(|history| {
            // A cloud that is out of reach makes no head due.
            let marks = names.iter().filter_map(|name| history.mark(name, me));
            let newest = marks.map(|mark| mark.seen).max();
            newest.is_some_and(|seen| now.saturating_sub(seen) >= HEARTBEAT)
        })
    }

    pub(crate) fn with_history<T>(&self, read: impl FnOnce(&History) -> T) -> T {
        read(&self.tower.history.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Changes the history, writes it down if it did change, and tells what was newly found.
    pub(crate) fn change_history(
        &self,
        change: impl FnOnce(&mut History, u64) -> Vec<Finding>,
    ) -> Result<()> {
        let now = self.tower.clock.now().0;
        let mut history = self.tower.history.lock().unwrap_or_else(PoisonError::into_inner);
        let before = history.clone();
        let new = change(&mut history, now);
        let noted = match *history == before {
            true => Ok(()),
            false => self.tower.recorder.set_history(&history),
        };
        drop(history);
        for finding in new {
            tracing::warn!(cloud = finding.cloud, what = ?finding.what, "suspicious");
            self.tell(Event::Suspicious(finding.into()));
        }
        Ok(noted?)
    }

    /// A head under our own name that this folder did not put. The later of two copies yields.
    async fn copied(&self, head: ObjectRef, we_yield: bool) -> Result<()> {
        let found = head.id.to;
        let name = self.cloud_name(0);
        self.change_history(|history, now| {
            history.find(&name, Suspicion::Copied { found }, now).into_iter().collect()
        })?;
        if !we_yield {
            return Ok(());
        }
        if self.tower.recorder.fence_state().gate == Gate::Open {
            self.stop(Gate::Copied).await?;
        }
        let recorder = self.tower.recorder.clone();
        let writer =
            blocking(move || recorder.continue_as_new_writer().map_err(Error::from)).await?;
        tracing::warn!(%writer, "this folder is an old copy; it goes on under a new writer id");
        Ok(())
    }
}
