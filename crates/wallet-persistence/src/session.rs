//! The unlocked wallet: everything an application does with it.

use std::sync::{
    Arc, Mutex, OnceLock, PoisonError,
    atomic::{AtomicBool, Ordering},
};

use backup::{NotYetReplicated, ObjectRef};
use cloud::{Access, CloudBackend, CloudIdentity, CloudUrl, RetrySettings, Retrying};
use kv_core::{KvStore, Timestamp};
use records::{Found, KeyRange, Query};
use tokio::{
    sync::{OnceCell, broadcast},
    task::JoinHandle,
};

use crate::{
    Account, AccountId, BackupListing, BackupReport, Digest, DumpKind, DumpReport, Error, Event,
    EvmTransaction, Imported, PollReport, ProfileField, RejoinReport, RestorePoint, Result, Status,
    VerifyReport, background::Background, chain_data, digest, error::chain, replicate, succession,
    tower::Tower, verified, verify, wallet::blocking,
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
    /// Clouds given as components.
    given: Vec<Arc<dyn CloudBackend>>,
    /// Those and the ones opened by address, at first use: unlocking never touches the network.
    clouds: OnceCell<Vec<Arc<dyn CloudBackend>>>,
    /// One backup at a time.
    pub(crate) posting: tokio::sync::Mutex<()>,
    /// One poll at a time.
    pub(crate) polling: tokio::sync::Mutex<()>,
    /// One dump or sweep at a time. Taken before `posting`.
    pub(crate) dumping: tokio::sync::Mutex<()>,
    /// Who compares the store with an older moment.
    pub(crate) watches: replicate::Watches,
    /// Heads of this process that will be replaced.
    pub(crate) old_heads: replicate::OldHeads,
    /// The newest heads of other writers.
    pub(crate) seen: Mutex<Vec<ObjectRef>>,
    pub(crate) fences: Mutex<replicate::Fences>,
    pub(crate) looks: Mutex<succession::Looks>,
    /// What the clouds are called, in their order.
    pub(crate) cloud_names: OnceLock<Vec<String>>,
    events: broadcast::Sender<Event>,
    locked: AtomicBool,
    background: Background,
    /// The dump or sweep that goes on behind the backups.
    upkeep: Mutex<Upkeep>,
}

#[derive(Debug, Default)]
struct Upkeep {
    task: Option<JoinHandle<()>>,
    /// After a failure it is not tried again before this time.
    not_before: u64,
}

/// How many events a slow listener may miss before it is told that it did.
const EVENTS: usize = 256;

impl Session {
    pub(crate) fn start(tower: Tower, given: Vec<Arc<dyn CloudBackend>>) -> Self {
        let every = tower.settings.replicate_every;
        let poll_every = tower.settings.poll_every;
        let seen = Mutex::new(tower.recorder.state().seen);
        let fences = replicate::Fences::new(&tower.recorder.fence_state());
        let inner = Arc::new(Inner {
            tower,
            given,
            clouds: OnceCell::new(),
            posting: tokio::sync::Mutex::new(()),
            polling: tokio::sync::Mutex::new(()),
            dumping: tokio::sync::Mutex::new(()),
            watches: replicate::Watches::default(),
            old_heads: replicate::OldHeads::default(),
            seen,
            fences: Mutex::new(fences),
            looks: Mutex::default(),
            cloud_names: OnceLock::new(),
            events: broadcast::channel(EVENTS).0,
            locked: AtomicBool::new(false),
            background: Background::new(),
            upkeep: Mutex::default(),
        });
        if let Some(every) = every.filter(|_| inner.has_cloud()) {
            inner.background.start(&inner, every, poll_every);
        }
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

    /// Links an account. Adding it again keeps its date and sets the label if one is given. Resolves
    /// when it is durable.
    pub async fn add_account(&self, id: AccountId, label: Option<&str>) -> Result<()> {
        let tower = self.tower()?;
        let known = tower.accounts.get(id.as_str())?;
        let Timestamp(now) = tower.clock.now();
        let account = Account {
            id: id.clone(),
            label: label
                .map(str::to_owned)
                .or_else(|| known.as_ref().and_then(|k| k.label.clone())),
            added: known.map_or(now, |known| known.added),
        };
        tower.accounts.put(&account)?.await?;
        self.inner.tell(Event::AccountAdded(id));
        Ok(())
    }

    /// The linked accounts, ascending by id.
    pub fn accounts(&self) -> Result<Vec<Account>> {
        let accounts = self.tower()?.accounts.query(&Query::all())?;
        Ok(accounts.map(Found::into_record).collect())
    }

    /// Unlinks an account; `false` if it was not linked. Its transactions stay.
    pub async fn remove_account(&self, id: &AccountId) -> Result<bool> {
        let tower = self.tower()?;
        if tower.accounts.get(id.as_str())?.is_none() {
            return Ok(false);
        }
        tower.accounts.delete(id.as_str())?.await?;
        self.inner.tell(Event::AccountRemoved(id.clone()));
        Ok(true)
    }

    /// Sets a profile field. Resolves when it is durable.
    pub async fn set_profile(&self, field: ProfileField, value: &str) -> Result<()> {
        let value = field.check(value)?;
        Ok(self.tower()?.fields.set(field.name(), value)?.await?)
    }

    /// The value of a profile field.
    pub fn profile(&self, field: ProfileField) -> Result<Option<String>> {
        Ok(self.tower()?.fields.get(field.name())?)
    }

    /// Forgets a profile field. Resolves when that is durable.
    pub async fn clear_profile(&self, field: ProfileField) -> Result<()> {
        Ok(self.tower()?.fields.clear(field.name())?.await?)
    }

    /// Adds transactions in one atomic, durable step; those that are there already stay as they are.
    pub async fn import(&self, transactions: &[EvmTransaction]) -> Result<Imported> {
        let tower = self.tower()?;
        let mut imported = Imported::default();
        let mut staged = tower.transactions.transaction();
        for tx in transactions {
            let key = chain_data::key(tx.chain_id, &tx.hash);
            if tower.transactions.count(&Query::all().range(KeyRange::only(key)))? > 0 {
                imported.known += 1;
            } else {
                staged.put(&tower.transactions, tx)?;
                imported.new += 1;
            }
        }
        staged.submit()?.await?;
        Ok(imported)
    }

    /// Transactions, newest first (timestamp, then block number, then hash): of one account, or all.
    pub fn transactions(
        &self,
        account: Option<&AccountId>,
        limit: usize,
    ) -> Result<Vec<EvmTransaction>> {
        let tower = self.tower()?;
        let Some(account) = account else {
            let newest = Query::index("time").backward().limit(limit);
            return Ok(tower.transactions.query(&newest)?.map(Found::into_record).collect());
        };
        let Some((chain, address)) = account.evm() else { return Ok(Vec::new()) };
        let mut found = Vec::new();
        for index in ["from", "to"] {
            let query = chain_data::by_account(index, chain, &address, limit);
            found.extend(tower.transactions.query(&query)?.map(Found::into_record));
        }
        found.sort_by_key(|tx: &EvmTransaction| std::cmp::Reverse(tx.order()));
        found.dedup();
        found.truncate(limit);
        Ok(found)
    }

    /// The store for an application's own data: durable, encrypted, backed up. Use namespaces that
    /// [`kv_core::Namespace::new`] accepts.
    pub fn kv(&self) -> Result<Arc<dyn KvStore>> {
        Ok(self.tower()?.kv())
    }

    /// The same store, but every commit resolves only when the clouds have the change, too, and all
    /// changes before it: what must survive the loss of this device before anybody relies on it.
    ///
    /// Data that has a single writer is acknowledged by the fencing head: if another device has taken
    /// over, its commits answer [`kv_core::Error::NotReplicated`] (written here, never acknowledged)
    /// and then [`kv_core::Error::Refused`], both with the [`crate::Refusal`]; if too few clouds can
    /// fence, the same with [`Error::CannotFence`].
    ///
    /// While no cloud is in reach such commits wait, and beyond
    /// [`Settings::max_waiting`](crate::Settings::max_waiting) of them the next is refused with
    /// [`kv_core::Error::Backlog`]. [`Error::NoCloud`] if none is set. Without a background task
    /// only [`Session::post_backup`] lets them resolve.
    pub fn kv_replicated(&self) -> Result<Arc<dyn KvStore>> {
        let tower = self.tower()?;
        if self.inner.has_cloud() { Ok(tower.kv_replicated()) } else { Err(Error::NoCloud) }
    }

    /// What is durable on this device and not yet in the clouds, after unlocking for instance;
    /// `None` if they have everything. It can be awaited: see [`NotYetReplicated::replicated`].
    pub fn not_yet_replicated(&self) -> Result<Option<NotYetReplicated>> {
        Ok(self.tower()?.recorder.not_yet_replicated())
    }

    /// What the wallet holds and what is not yet in the cloud. Never asks a cloud.
    pub fn status(&self) -> Result<Status> {
        let tower = self.tower()?;
        let (state, fence) = (tower.recorder.state(), tower.recorder.fence_state());
        let all = Query::all();
        let mut status = Status {
            writer: state.writer.to_string(),
            accounts: tower.accounts.count(&all)?,
            transactions: tower.transactions.count(&all)?,
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
            single_writer: Status::gate_name(&fence.gate),
            epoch: fence.epoch,
            fenced_to: fence.acknowledged.map(|at| at.sequence),
            cannot_fence: self.inner.cannot_fence_all(),
            findings: self
                .inner
                .with_history(|history| history.findings.iter().cloned().map(Into::into).collect()),
        };
        status.set_lag(tower.recorder.lag(), tower.clock.now().0);
        Ok(status)
    }

    /// Puts everything that is not yet in the clouds there. Where a dump is due it is made, too, and
    /// what no restore point needs any more is deleted.
    pub async fn post_backup(&self) -> Result<BackupReport> {
        self.tower()?;
        let mut report = self.inner.post().await?;
        if let Some(dump) = self.inner.keep_up().await? {
            report.dumped = Some(dump.entries);
            report.objects += dump.objects;
            report.bytes += dump.bytes;
        }
        Ok(report)
    }

    /// Makes a dump now, whether one is due or not: a full one does not need anything that was put
    /// before it. It is read back from every cloud before it counts.
    pub async fn dump(&self, kind: DumpKind) -> Result<DumpReport> {
        self.tower()?;
        let clouds = self.inner.clouds().await?;
        let made = replicate::dump(&self.inner, clouds, Some(kind)).await?;
        made.ok_or(Error::Task)
    }

    /// Looks what the other devices of this wallet have put into the clouds, and merges it: records
    /// and fields, of each the last change. What has a single writer stays as it is here.
    pub async fn poll_backups(&self) -> Result<PollReport> {
        self.tower()?;
        self.inner.look().await?;
        replicate::poll(&self.inner).await
    }

    /// For a device that was unseen for so long that the others no longer count it: takes their
    /// state, keeps what they have never merged, and goes on under a new writer id. `None`: this
    /// device counts, and nothing was done. What has a single writer stays as it is here.
    pub async fn rejoin(&self) -> Result<Option<RejoinReport>> {
        self.tower()?;
        replicate::rejoin(&self.inner).await
    }

    /// What the clouds hold for this wallet: chains, dumps, restore points, sizes. A cloud that does
    /// not answer is passed over while another one does.
    pub async fn list_backups(&self) -> Result<BackupListing> {
        self.tower()?;
        replicate::list(&self.inner).await
    }

    /// The newest restore points, at most `limit` of each installation, with their times. Reads the
    /// segments between them, so ask for as many as are needed.
    pub async fn restore_points(&self, limit: usize) -> Result<Vec<RestorePoint>> {
        self.tower()?;
        replicate::points(&self.inner, limit).await
    }

    /// Reads everything local, and with `with_clouds` everything in the clouds, and reports damage.
    pub async fn verify(&self, with_clouds: bool) -> Result<VerifyReport> {
        self.tower()?;
        verify::run(&self.inner, with_clouds).await
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
        self.inner.events.subscribe()
    }

    /// Ends background work and waits for its end, makes everything durable, closes the store and
    /// forgets the keys. Whatever is called afterwards, on any clone, answers [`Error::Locked`].
    pub async fn lock(&self) -> Result<()> {
        if self.inner.locked.swap(true, Ordering::SeqCst) {
            return Ok(());
        }
        let ended = self.inner.background.end().await;
        let upkeep =
            std::mem::take(&mut *self.inner.upkeep.lock().unwrap_or_else(PoisonError::into_inner));
        if let Some(task) = upkeep.task {
            // A dump that does not come to its end leaves nothing that counts.
            task.abort();
            let _ = task.await;
        }
        // A backup, a dump or a poll that somebody asked for may still be under way.
        let _last_dump = self.inner.dumping.lock().await;
        let _last = self.inner.posting.lock().await;
        let _last_poll = self.inner.polling.lock().await;
        let inner = self.inner.clone();
        let closed = blocking(move || {
            let flushed = kv_core::KvStoreExt::flush(&*inner.tower.recorder);
            let closed = inner.tower.recorder.close();
            inner.tower.sealer.forget();
            inner.tower.sealed.lock();
            inner.tower.accounts.close();
            inner.tower.transactions.close();
            flushed.and(closed).map_err(Error::from)
        })
        .await;
        self.inner.tell(Event::Locked);
        tracing::info!("locked");
        ended.and(closed)
    }
}

impl Inner {
    /// Whether there is anywhere to back up to.
    fn has_cloud(&self) -> bool {
        !self.given.is_empty() || self.tower.cloud_urls().is_ok_and(|urls| !urls.is_empty())
    }

    pub(crate) fn tell(&self, event: Event) {
        // No listener is no error.
        let _ = self.events.send(event);
    }

    pub(crate) async fn clouds(&self) -> Result<&[Arc<dyn CloudBackend>]> {
        let clouds = self
            .clouds
            .get_or_try_init(|| async {
                let access = access(&self.tower.sealed.keys()?);
                let urls = self.tower.cloud_urls()?;
                let given = (1..=self.given.len()).map(|i| format!("cloud {i}"));
                let names = given.chain(urls.iter().map(ToString::to_string)).collect();
                self.cloud_names.get_or_init(|| names);
                open_clouds(&self.given, &urls, &access).await
            })
            .await?;
        Ok(clouds)
    }

    /// The clouds, each with what it is called, as far as they open: for a look that one of them must
    /// not prevent. Creates nothing.
    pub(crate) async fn each_cloud(&self) -> Result<Vec<(String, Result<Arc<dyn CloudBackend>>)>> {
        let urls = self.tower.cloud_urls()?;
        let given = (1..=self.given.len()).map(|i| format!("cloud {i}"));
        let names: Vec<String> = given.chain(urls.iter().map(ToString::to_string)).collect();
        if let Some(open) = self.clouds.get() {
            return Ok(names.into_iter().zip(open.iter().cloned().map(Ok)).collect());
        }
        let mut clouds: Vec<_> = self.given.iter().cloned().map(Ok).collect();
        let access = access(&self.tower.sealed.keys()?);
        for url in &urls {
            let opened = cloud::open_existing_cloud_with(url, &access).await;
            clouds.push(opened.map_err(Error::from));
        }
        Ok(names.into_iter().zip(clouds.into_iter().map(|open| open.map(with_retry))).collect())
    }

    /// Whether there is something to back up.
    pub(crate) fn backup_is_due(&self) -> bool {
        self.tower.recorder.lag().records > 0
            || self.head_is_due()
            || self.fence_waits()
            || self.tower.recorder.retirement_is_untold()
    }

    /// Whether the cloud at this place was opened by its address.
    pub(crate) fn has_address(&self, i: usize) -> bool {
        i >= self.given.len()
    }

    pub(crate) async fn post(&self) -> Result<BackupReport> {
        let outcome = match self.clouds().await {
            Ok(clouds) => replicate::post(self, clouds).await,
            Err(error) => Err(error),
        };
        self.background.note(&outcome);
        match &outcome {
            Ok(report) if report.objects > 0 => {
                self.tell(Event::BackedUp { sequence: report.sequence, bytes: report.bytes });
            }
            Ok(_) => {}
            Err(error) => self.tell(Event::BackupFailed { reason: chain(error) }),
        }
        outcome
    }
}

impl Inner {
    /// Makes the dump that is due, and deletes what is no longer needed.
    async fn keep_up(&self) -> Result<Option<DumpReport>> {
        let clouds = self.clouds().await?;
        let (state, settings) = (self.tower.recorder.state(), &self.tower.settings);
        let now = self.tower.clock.now().0;
        let made = match replicate::due(&state, settings, now) {
            Some(_) => replicate::dump(self, clouds, None).await?,
            None => None,
        };
        if replicate::sweep_is_due(&state, settings, now) {
            replicate::sweep(self, clouds).await?;
        }
        Ok(made)
    }

    /// The same behind the backups that go on, if there is something to do.
    pub(crate) fn keep_up_in_background(self: &Arc<Self>) {
        let (state, settings) = (self.tower.recorder.state(), &self.tower.settings);
        let now = self.tower.clock.now().0;
        let mut upkeep = self.upkeep.lock().unwrap_or_else(PoisonError::into_inner);
        let idle = upkeep.task.as_ref().is_none_or(JoinHandle::is_finished);
        let wanted = (state.dump.is_some() && replicate::due(&state, settings, now).is_some())
            || replicate::sweep_is_due(&state, settings, now);
        if !idle || !wanted || now < upkeep.not_before || self.locked.load(Ordering::SeqCst) {
            return;
        }
        let inner = self.clone();
        upkeep.task = Some(tokio::spawn(async move {
            if let Err(error) = inner.keep_up().await {
                tracing::warn!(error = chain(&error), "a dump failed, trying again later");
                inner.tell(Event::DumpFailed { reason: chain(&error) });
                let mut upkeep = inner.upkeep.lock().unwrap_or_else(PoisonError::into_inner);
                upkeep.not_before = now.saturating_add(UPKEEP_PATIENCE);
            }
        }));
    }
}

/// How long to wait after a failed dump, in milliseconds.
const UPKEEP_PATIENCE: u64 = 10 * 60 * 1000;

/// How a wallet reaches its clouds: with the secrets of the environment, and with its own identity
/// where that takes the place of an account.
pub(crate) fn access(keys: &vault::Keys) -> Access {
    let mut access = Access::default();
    access.identity = Some(CloudIdentity::new(keys.cloud_identity()));
    access
}

/// The given clouds and those at the addresses, each with retries.
pub(crate) async fn open_clouds(
    given: &[Arc<dyn CloudBackend>],
    urls: &[CloudUrl],
    access: &Access,
) -> Result<Vec<Arc<dyn CloudBackend>>> {
    let mut clouds = given.to_vec();
    for url in urls {
        clouds.push(cloud::open_cloud_with(url, access).await?);
    }
    Ok(with_retries(clouds))
}

/// The same for a restore: nothing is created, and one cloud that opens is enough.
pub(crate) async fn open_existing_clouds(
    given: &[Arc<dyn CloudBackend>],
    urls: &[CloudUrl],
    access: &Access,
) -> Result<Vec<Arc<dyn CloudBackend>>> {
    let mut clouds = given.to_vec();
    let mut failure = None;
    for url in urls {
        match cloud::open_existing_cloud_with(url, access).await {
            Ok(cloud) => clouds.push(cloud),
            Err(error) => failure = Some(error),
        }
    }
    match failure {
        Some(error) if clouds.is_empty() => Err(error.into()),
        _ => Ok(with_retries(clouds)),
    }
}

fn with_retries(clouds: Vec<Arc<dyn CloudBackend>>) -> Vec<Arc<dyn CloudBackend>> {
    clouds.into_iter().map(with_retry).collect()
}

fn with_retry(cloud: Arc<dyn CloudBackend>) -> Arc<dyn CloudBackend> {
    Arc::new(Retrying::new(cloud, RetrySettings::default()))
}
