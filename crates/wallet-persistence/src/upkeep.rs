//! What goes on behind a session: backups, the dumps that are due, and deleting what is not needed.

use std::sync::{Arc, PoisonError, atomic::Ordering};

use backup::History;
use tokio::task::JoinHandle;

use crate::{
    BackupReport, CloudStatus, DumpReport, Event, Result, error::chain, replicate, replicate::Wish,
    session::Inner,
};

/// How long to wait after a failed dump, in milliseconds.
const PATIENCE: u64 = 10 * 60 * 1000;

/// The dump or sweep that goes on behind the backups.
#[derive(Debug, Default)]
pub(crate) struct Upkeep {
    task: Option<JoinHandle<()>>,
    /// After a failure it is not tried again before this time.
    not_before: u64,
}

/// What was done.
#[derive(Debug)]
pub(crate) struct Done {
    pub(crate) dump: Option<DumpReport>,
    /// What could go stays, since a cloud is away.
    is_put_off: bool,
}

impl Inner {
    /// One backup, and telling of it.
    pub(crate) async fn post(&self, wish: Wish) -> Result<BackupReport> {
        let failures = self.lines.failures();
        let outcome = match self.clouds().await {
            Ok(clouds) => replicate::post(self, clouds, wish).await,
            Err(error) => Err(error),
        };
        let goes_on = self.lines.goes_on();
        self.background.note(&outcome, goes_on);
        match &outcome {
            Ok(report) if report.objects > 0 => {
                self.tell(Event::BackedUp { sequence: report.sequence, bytes: report.bytes });
            }
            Ok(_) => {}
            // A cloud that failed before is left in peace for now: that was told.
            Err(_) if wish == Wish::Due && goes_on && failures == self.lines.failures() => {}
            Err(error) => self.tell(Event::BackupFailed { reason: chain(error) }),
        }
        outcome
    }

    /// Makes the dump that is due, and deletes what is no longer needed.
    pub(crate) async fn keep_up(&self, wish: Wish) -> Result<Done> {
        let clouds = self.clouds().await?;
        let (is_dump_due, is_sweep_due) = self.is_upkeep_due();
        let dump = match is_dump_due {
            true => replicate::dump(self, clouds, None, wish).await?,
            false => None,
        };
        let is_put_off = is_sweep_due && replicate::sweep(self, clouds).await?.is_none();
        Ok(Done { dump, is_put_off })
    }

    /// The same behind the backups that go on, if there is something to do.
    pub(crate) fn keep_up_in_background(self: &Arc<Self>) {
        let now = self.tower.clock.now().0;
        let (is_dump_due, is_sweep_due) = self.is_upkeep_due();
        // The dump with which a chain begins belongs to its first backup.
        let is_dump_due = is_dump_due && self.tower.recorder.state().dump.is_some();
        let mut upkeep = self.upkeep.lock().unwrap_or_else(PoisonError::into_inner);
        let idle = upkeep.task.as_ref().is_none_or(JoinHandle::is_finished);
        let may = idle && now >= upkeep.not_before && !self.locked.load(Ordering::SeqCst);
        if !may || !(is_dump_due || is_sweep_due) {
            return;
        }
        let inner = self.clone();
        upkeep.task = Some(tokio::spawn(async move {
            match inner.keep_up(Wish::Due).await {
                Ok(Done { is_put_off: false, .. }) => return,
                Ok(_) => {}
                Err(error) => {
                    tracing::warn!(error = chain(&error), "a dump failed, trying again later");
                    inner.tell(Event::DumpFailed { reason: chain(&error) });
                }
            }
            let mut upkeep = inner.upkeep.lock().unwrap_or_else(PoisonError::into_inner);
            upkeep.not_before = now.saturating_add(PATIENCE);
        }));
    }

    /// How it is with each cloud: what this session knows, else what it acknowledged in an earlier one.
    pub(crate) fn replicas(&self) -> Result<Vec<CloudStatus>> {
        let state = self.tower.recorder.state();
        let mut replicas = self.lines.status(self.known_clouds()?);
        for replica in replicas.iter_mut().filter(|replica| replica.has.is_none()) {
            let mark = |history: &History| history.mark(&replica.name, state.writer).copied();
            let head = self.with_history(mark).map(|mark| mark.head);
            replica.has = head.map(|head| head.id.to);
            replica.is_behind |= head.map(|head| head.id.to) < state.head.map(|head| head.id.to);
        }
        Ok(replicas)
    }

    /// Ends what is under way, and waits for its end.
    pub(crate) async fn end_upkeep(&self) {
        let upkeep =
            std::mem::take(&mut *self.upkeep.lock().unwrap_or_else(PoisonError::into_inner));
        if let Some(task) = upkeep.task {
            // A dump that does not come to its end leaves nothing that counts.
            task.abort();
            let _ = task.await;
        }
    }

    /// Whether a dump is due, and whether something may be deleted.
    fn is_upkeep_due(&self) -> (bool, bool) {
        let (state, settings) = (self.tower.recorder.state(), &self.tower.settings);
        let now = self.tower.clock.now().0;
        let is_sweep_due = replicate::sweep_is_due(&state, settings, now);
        // A dump that is sealed and waits for a cloud need not be made again.
        let sealed = self.lines.sealed_state().unwrap_or(state);
        (replicate::due(&sealed, settings, now).is_some(), is_sweep_due)
    }
}
