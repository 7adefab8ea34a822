//! The unlocked wallet: everything an application does with it.

use std::sync::{
    Arc, Mutex, OnceLock,
    atomic::{AtomicBool, Ordering},
};

use backup::ObjectRef;
use cloud::{CloudBackend, CloudUrl};
use records::Record;
use tokio::sync::{OnceCell, broadcast, watch};

use crate::{
    Account, BackupListing, BackupReport, Digest, DumpKind, DumpReport, Error, Event,
    EvmTransaction, PollReport, RejoinReport, RestorePoint, Result, Status, Unusable, VerifyReport,
    background::Background, builder::Parts, clock, closing::Closing, digest, hub::Hub, replicate,
    replicate::Wish, succession, tower::Tower, upkeep::Upkeep, verified, verify, wallet::blocking,
};

/// An unlocked wallet. Cheap to clone; all clones are one session, and [`Session::lock`] ends it
/// for all.
#[derive(Debug, Clone)]
pub struct Session {
    pub(crate) inner: Arc<Inner>,
}

#[derive(Debug)]
pub(crate) struct Inner {
    pub(crate) tower: Tower,
    /// What the wallet was put together from.
    pub(crate) parts: Parts,
    /// Somebody locks or suspends the session: what was asked for ends.
    pub(crate) suspending: watch::Sender<bool>,
    /// Clouds given as components.
    pub(crate) given: Vec<Arc<dyn CloudBackend>>,
    /// Those and the ones opened by address, at first use: unlocking never touches the network.
    pub(crate) clouds: OnceCell<Vec<Arc<dyn CloudBackend>>>,
    /// One backup at a time.
    pub(crate) posting: tokio::sync::Mutex<()>,
    /// One poll at a time.
    pub(crate) polling: tokio::sync::Mutex<()>,
    /// One dump or sweep at a time. Taken before `posting`.
    pub(crate) dumping: tokio::sync::Mutex<()>,
    /// Who compares the store with an older moment.
    pub(crate) watches: replicate::Watches,
    /// What is on its way to each cloud.
    pub(crate) lines: replicate::Lines,
    /// Heads of this process that will be replaced.
    pub(crate) old_heads: replicate::OldHeads,
    /// The newest heads of other writers.
    pub(crate) seen: Mutex<Vec<ObjectRef>>,
    pub(crate) fences: Mutex<replicate::Fences>,
    pub(crate) looks: Mutex<succession::Looks>,
    /// Heads that were read already.
    pub(crate) heads: Mutex<replicate::KnownHeads>,
    /// What the clouds are called, in their order.
    pub(crate) cloud_names: OnceLock<Vec<String>>,
    pub(crate) hub: Arc<Hub>,
    pub(crate) locked: AtomicBool,
    pub(crate) closing: Closing,
    pub(crate) background: Background,
    /// The dump or sweep that goes on behind the backups.
    pub(crate) upkeep: Mutex<Upkeep>,
}

/// How many events a slow listener may miss before it is told that it did.
pub(crate) const EVENTS: usize = 256;

impl Session {
    pub(crate) fn start(tower: Tower, parts: Parts, hub: Arc<Hub>) -> Self {
        let (every, poll_every) = (tower.settings.replicate_every, tower.settings.poll_every);
        let seen = Mutex::new(tower.recorder.state().seen);
        let fences = replicate::Fences::new(&tower.recorder.fence_state());
        let inner = Arc::new(Inner {
            tower,
            given: parts.clouds.clone(),
            parts,
            suspending: watch::Sender::new(false),
            clouds: OnceCell::new(),
            posting: tokio::sync::Mutex::new(()),
            polling: tokio::sync::Mutex::new(()),
            dumping: tokio::sync::Mutex::new(()),
            watches: replicate::Watches::default(),
            lines: replicate::Lines::default(),
            old_heads: replicate::OldHeads::default(),
            seen,
            fences: Mutex::new(fences),
            looks: Mutex::default(),
            heads: Mutex::default(),
            cloud_names: OnceLock::new(),
            hub,
            locked: AtomicBool::new(false),
            closing: Closing::default(),
            background: Background::new(),
            upkeep: Mutex::default(),
        });
        if let Some(every) = every.filter(|_| inner.has_cloud()) {
            inner.background.start(&inner, every, poll_every);
        }
        inner.hub.unlocked(&inner);
        tracing::info!("unlocked");
        Self { inner }
    }

    pub(crate) fn tower(&self) -> Result<&Tower> {
        if self.inner.locked.load(Ordering::SeqCst) {
            Err(Error::Locked)
        } else {
            Ok(&self.inner.tower)
        }
    }

    /// What the wallet holds and what is not yet in the cloud. Never asks a cloud.
    pub fn status(&self) -> Result<Status> {
        let tower = self.tower()?;
        let (state, fence) = (tower.recorder.state(), tower.recorder.fence_state());
        let (records, unusable) = (tower.stores.counts()?, tower.stores.unusable()?);
        let count = |store| records.get(store).copied().unwrap_or_default();
        let mut status = Status {
            writer: state.writer.to_string(),
            accounts: count(Account::STORE),
            transactions: count(EvmTransaction::STORE),
            records,
            unusable: Unusable::count(unusable.iter().flat_map(|(_, records)| records)),
            clouds: tower.cloud_urls()?.iter().map(ToString::to_string).collect(),
            sequence: tower.recorder.sequence(),
            backed_up: state.backed_up,
            lag_records: 0,
            lag_bytes: 0,
            lag_age_ms: None,
            last_backup: state.last_backup,
            last_verified: verified::last(tower)?,
            retired: tower.recorder.is_retired().is_some(),
            dump_needed: false,
            waiting: tower.waiting() as u64,
            failing: self.inner.background.failing().map(|failing| failing.reason),
            replicas: self.inner.replicas()?,
            single_writer: Status::gate_name(&fence.gate),
            epoch: fence.epoch,
            fenced_to: fence.acknowledged.map(|at| at.sequence),
            cannot_fence: self.inner.cannot_fence_all(),
            findings: self
                .inner
                .with_history(|history| history.findings.iter().cloned().map(Into::into).collect()),
            clock_ahead_ms: clock::is_wrong(tower.recorder.clock_ahead()),
        };
        status.set_lag(tower.recorder.lag(), tower.clock.now().0);
        Ok(status)
    }

    /// Puts everything that is not yet in the clouds there, into each at its own pace, and resolves
    /// when as many of them have it as [`Settings::acknowledged_by`](crate::Settings::acknowledged_by)
    /// says. An error says why one of them has not; the others go on. Where a dump is due it is made,
    /// too, and what no restore point needs any more is deleted.
    pub async fn post_backup(&self) -> Result<BackupReport> {
        self.tower()?;
        self.unless_suspended(async {
            let mut report = self.inner.post(Wish::Asked).await?;
            if let Some(dump) = self.inner.keep_up(Wish::Asked).await?.dump {
                report.dumped = Some(dump.entries);
                report.objects += dump.objects;
                report.bytes += dump.bytes;
            }
            Ok(report)
        })
        .await
    }

    /// Makes a dump now, whether one is due or not: a full one does not need anything that was put
    /// before it. It is read back from each cloud before it counts there; one that fails, or is far
    /// slower than the others, is left out and gets it from those.
    pub async fn dump(&self, kind: DumpKind) -> Result<DumpReport> {
        self.tower()?;
        self.unless_suspended(async {
            let clouds = self.inner.clouds().await?;
            let made = replicate::dump(&self.inner, clouds, Some(kind), Wish::Asked).await?;
            made.ok_or(Error::Task)
        })
        .await
    }

    /// Looks what the other devices of this wallet have put into the clouds, and merges it: records
    /// and fields, of each the last change. What has a single writer stays as it is here.
    pub async fn poll_backups(&self) -> Result<PollReport> {
        self.tower()?;
        self.unless_suspended(async {
            let found = self.inner.look().await?;
            replicate::poll(&self.inner, found).await
        })
        .await
    }

    /// For a device that was unseen for so long that the others no longer count it: takes their
    /// state, keeps what they have never merged, and goes on under a new writer id. `None`: this
    /// device counts, and nothing was done. What has a single writer stays as it is here.
    pub async fn rejoin(&self) -> Result<Option<RejoinReport>> {
        self.tower()?;
        self.unless_suspended(replicate::rejoin(&self.inner)).await
    }

    /// What the clouds hold for this wallet: chains, dumps, restore points, sizes. A cloud that does
    /// not answer is passed over while another one does.
    pub async fn list_backups(&self) -> Result<BackupListing> {
        self.tower()?;
        self.unless_suspended(replicate::list(&self.inner)).await
    }

    /// The newest restore points, at most `limit` of each installation, with their times. Reads the
    /// segments between them, so ask for as many as are needed.
    pub async fn restore_points(&self, limit: usize) -> Result<Vec<RestorePoint>> {
        self.tower()?;
        self.unless_suspended(replicate::points(&self.inner, limit)).await
    }

    /// Reads everything local, and with `with_clouds` everything in the clouds, and reports damage.
    pub async fn verify(&self, with_clouds: bool) -> Result<VerifyReport> {
        self.tower()?;
        self.unless_suspended(verify::run(&self.inner, with_clouds)).await
    }

    /// The digest of all live data; see the format page `digest-v1`.
    pub async fn digest(&self) -> Result<Digest> {
        let kv = self.tower()?.kv();
        blocking(move || digest::of(&*kv)).await
    }

    /// The addresses of the clouds this wallet backs up to.
    pub fn cloud_urls(&self) -> Result<Vec<CloudUrl>> {
        self.tower()?.cloud_urls()
    }

    /// What happens from now on.
    pub fn events(&self) -> broadcast::Receiver<Event> {
        self.inner.hub.events()
    }

    /// Ends background work and what was asked of the clouds, makes everything durable, closes the
    /// store and forgets the keys. A cloud that does not answer does not hold it up. Whatever is called
    /// afterwards, on any clone, answers [`Error::Locked`]; so does what was asked for meanwhile.
    ///
    /// Once begun it goes on, also where this is dropped; whoever calls it again waits for the same
    /// end and hears how it went.
    pub async fn lock(&self) -> Result<()> {
        self.inner.lock().await
    }
}

impl Inner {
    pub(crate) fn tell(&self, event: Event) {
        self.hub.tell(event);
    }

    /// Tells of records that share a key of a unique index, once in a session.
    pub(crate) fn tell_shared_keys(&self) {
        let conflicts = self.tower.stores.take_conflicts();
        conflicts.into_iter().for_each(|conflict| self.tell(conflict.into()));
    }
}
