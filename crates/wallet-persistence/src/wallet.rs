//! The locked wallet: from here to a session, or from a cloud to a new folder.

use std::{path::PathBuf, sync::Arc};

use backup::Gate;
use kv_core::{Copied, CopyProgress, KvStore};
use vault::{Keys, RootSecret, SealedStore, Secret};

use crate::{
    Builder, Error, Event, MoveTarget, RestoreAt, RestoreProgress, RestoreReport, Session,
    TakeoverReport, UnlockError,
    backends::{access, open_existing_clouds, with_retry},
    builder::{Parts, Place},
    folder::{self, NewFolder},
    hub::Hub,
    moved::{self, Begun},
    replicate::TakeOverFrom,
    restore::{self, Stale},
    tower::Tower,
};

/// A wallet that is locked. Nothing can be asked of it but to unlock, create or restore.
#[derive(Debug)]
pub struct WalletPersistence {
    pub(crate) parts: Parts,
    pub(crate) hub: Arc<Hub>,
}

impl WalletPersistence {
    /// A wallet in a folder.
    pub fn builder(folder: impl Into<PathBuf>) -> Builder {
        Builder::new(Place::Folder(folder.into()))
    }

    /// A wallet in a store of the caller's own: `open` is called at each unlock.
    pub fn over(
        open: impl Fn() -> kv_core::Result<Arc<dyn KvStore>> + Send + Sync + 'static,
    ) -> Builder {
        Builder::new(Place::Store(Arc::new(open)))
    }

    /// A wallet in memory: it ends with the process, or with this value and its sessions. For trials, and for
    /// what shall be in the clouds only.
    pub fn in_memory() -> Builder {
        let medium = kv_mem::Medium::default();
        Self::over(move || Ok(Arc::new(kv_mem::MemStore::open(medium.clone())?)))
    }

    pub(crate) fn new(parts: Parts) -> Self {
        Self { parts, hub: Hub::new() }
    }

    /// Makes a new, empty wallet for this key and unlocks it. A folder is complete or not made at
    /// all. The clouds given by address are remembered. Never asks a cloud: see
    /// [`WalletPersistence::has_backup`].
    pub async fn create(&self, root: &RootSecret) -> Result<Session, UnlockError> {
        let (parts, secret) = (self.parts.clone(), root.clone());
        blocking(move || {
            let new = match &parts.place {
                Place::Folder(path) => Some(NewFolder::begin(path, parts.kind)?),
                Place::Store(_) => None,
            };
            let store = open_new(&parts, new.as_ref())?;
            let tower = Tower::create(store, &secret, parts.clock.clone(), &parts.settings)?;
            tower.set_cloud_urls(&parts.cloud_urls)?;
            if let Some(new) = new {
                tower.recorder.close()?;
                drop(tower);
                new.finish()?;
            } else {
                tower.recorder.close()?;
            }
            Ok::<_, UnlockError>(())
        })
        .await?;
        self.unlock_with(root.into()).await
    }

    /// Unlocks with local data alone, by the root secret or the passphrase of this device; then
    /// replication starts behind the session, if a cloud is set.
    pub async fn unlock(&self, secret: impl Into<Secret>) -> Result<Session, UnlockError> {
        self.unlock_with(secret.into()).await
    }

    async fn unlock_with(&self, secret: Secret) -> Result<Session, UnlockError> {
        let parts = self.parts.clone();
        let tower = open_tower(parts, secret, false).await?;
        Ok(Session::start(tower, self.parts.clone(), self.hub.clone()))
    }

    /// Takes a wallet back that was handed over from here; [`Error::TakenOverMeanwhile`] if another
    /// device has taken it over since.
    pub async fn take_back(
        &self,
        secret: impl Into<Secret>,
    ) -> Result<(Session, TakeoverReport), UnlockError> {
        let secret = secret.into();
        let mut parts = self.parts.clone();
        // Nothing is to go on behind the session before it is clear that it may.
        let every = parts.settings.replicate_every.take();
        let tower = open_tower(parts.clone(), secret.clone(), true).await?;
        let session = Session::start(tower, parts, self.hub.clone());
        let taken = session.take_over_from(TakeOverFrom::Myself).await;
        match taken {
            Ok(report) if every.is_none() => Ok((session, report)),
            Ok(report) => {
                session.lock().await?;
                Ok((self.unlock_with(secret.clone()).await?, report))
            }
            Err(error) => {
                session.lock().await?;
                Err(error.into())
            }
        }
    }

    /// Whether a passphrase unlocks the wallet on this device. Needs no secret, and opens the
    /// wallet's store for a moment.
    pub async fn has_passphrase(&self) -> Result<bool, UnlockError> {
        let parts = self.parts.clone();
        blocking(move || {
            let store = open_store(&parts)?;
            let has = SealedStore::asks_for_passphrase(&*store);
            let closed = store.close();
            let has = has?;
            closed?;
            Ok::<_, UnlockError>(has)
        })
        .await
    }

    /// Whether one of the clouds holds a backup made with this key. Asks every cloud, and makes
    /// nothing: a folder that is not there is an error, because what is on a medium that is not there
    /// nobody knows.
    pub async fn has_backup(&self, root: &RootSecret) -> Result<bool, Error> {
        let keys = vault::Keys::derive(root);
        let (access, sealer) = (access(&keys), backup::ObjectSealer::new(keys));
        let Parts { clouds, cloud_urls, .. } = &self.parts;
        let heads = backup::class_prefix(&sealer.tag(), backup::Class::Head);
        for cloud in clouds.iter().cloned().map(with_retry) {
            if !cloud::poll_backups(&*cloud, &heads).await?.is_empty() {
                return Ok(true);
            }
        }
        for url in cloud_urls {
            let cloud = with_retry(cloud::open_existing_cloud_with(url, &access).await?);
            if !cloud::poll_backups(&*cloud, &heads).await?.is_empty() {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Restores the newest restore point; see [`WalletPersistence::restore_at`].
    ///
    /// # Errors
    /// [`Error::Stale`] if a head or the fence speaks of more than these clouds give.
    pub async fn restore(
        &self,
        root: &RootSecret,
        progress: impl FnMut(RestoreProgress) + Send,
    ) -> Result<RestoreReport, UnlockError> {
        self.restore_at(root, RestoreAt::Newest, progress).await
    }

    /// Restores from the key and the clouds alone into an absent or empty folder, which is complete
    /// afterwards or not there at all. Unlock it then.
    ///
    /// After an interruption the same call goes on: what is there already is kept beside the place
    /// of the folder until then. In a store of the caller's own it is kept in that store, which
    /// cannot be unlocked before it is complete.
    ///
    /// The new installation takes data with a single writer only after [`Session::take_over`], which
    /// stops the old device.
    ///
    /// # Errors
    /// [`Error::Stale`] if more is known to exist than would be restored. Where the wallet has data
    /// with a single writer, such as the channels of a Lightning node, that includes any moment but
    /// the newest one.
    pub async fn restore_at(
        &self,
        root: &RootSecret,
        at: RestoreAt,
        progress: impl FnMut(RestoreProgress) + Send,
    ) -> Result<RestoreReport, UnlockError> {
        self.restore_from(root, (at, Stale::Refused), progress).await
    }

    /// As [`WalletPersistence::restore_at`], though more is known to exist: to look at an older state,
    /// or because the rest is lost or damaged. [`RestoreReport::newer`] says what is missing, and
    /// [`RestoreReport::passed_over`] what could not be read.
    ///
    /// Never start a Lightning node from it: its peers can punish it for a state that was revoked.
    /// [`Session::take_over`] refuses where the fence says that there is newer data with a single
    /// writer.
    pub async fn restore_stale_at(
        &self,
        root: &RootSecret,
        at: RestoreAt,
        progress: impl FnMut(RestoreProgress) + Send,
    ) -> Result<RestoreReport, UnlockError> {
        self.restore_from(root, (at, Stale::Accepted), progress).await
    }

    async fn restore_from(
        &self,
        root: &RootSecret,
        (at, stale): (RestoreAt, Stale),
        progress: impl FnMut(RestoreProgress) + Send,
    ) -> Result<RestoreReport, UnlockError> {
        let keys = vault::Keys::derive(root);
        let (access, sealer) = (access(&keys), backup::ObjectSealer::new(keys));
        let Parts { clouds, cloud_urls, .. } = &self.parts;
        let clouds = open_existing_clouds(clouds, cloud_urls, &access).await?;
        let new = match &self.parts.place {
            Place::Folder(path) => {
                Some(NewFolder::begin_restore(path, &sealer.tag(), self.parts.kind)?)
            }
            Place::Store(_) => None,
        };
        let offer = restore::look(&sealer, &clouds, stale).await?;
        let choice = restore::choose(&self.parts, &offer, at, root).await?;
        if !choice.newer.is_empty() && stale == Stale::Refused {
            return Err(choice.refused().into());
        }
        let wish = (at, &choice);
        let mut progress = progress;
        let mut report = self.attempt(&offer, wish, root, new.as_ref(), &mut progress).await;
        if let (Some(new), Err(error)) = (&new, &report)
            && cannot_go_on(error)
        {
            // What an interrupted restore has left is nothing that must be kept.
            new.discard()?;
            report = self.attempt(&offer, wish, root, Some(new), &mut progress).await;
        }
        let report = report?;
        if let Some(new) = new {
            blocking(move || new.finish()).await?;
        }
        let (writer, sequence, changes) = (report.writer.clone(), report.sequence, report.changes);
        self.hub.tell(Event::Restored { writer, sequence, changes });
        Ok(report)
    }

    /// Moves the wallet to another place and kind of store, as it is: sealed, with its order, its
    /// log of what is not yet backed up and its identity, and without a key. Both are read and
    /// compared at the end. Then the wallet here answers [`UnlockError::Moved`], and only after that the
    /// new one gets its name: there is never a second one that could go on.
    ///
    /// After an interruption the same call goes on, also if the wallet here was used since. Until
    /// the end it is as it was. Between sealing and naming it answers
    /// [`UnlockError::MoveUnfinished`], which the same call ends.
    pub async fn move_to(
        &self,
        target: &MoveTarget,
        progress: impl FnMut(CopyProgress) + Send + 'static,
    ) -> Result<Copied, UnlockError> {
        self.moved(target, Begun::GoesOn, progress).await
    }

    /// As [`WalletPersistence::move_to`], for a wallet that says it was moved and is nowhere: what
    /// was begun at the place it names is removed, and the wallet moves to `target` instead. Answers
    /// [`UnlockError::Moved`] if there is a wallet at that place.
    ///
    /// Only a person can know that the wallet does not live under another name, or was not moved on
    /// from there. If it does, there are two wallets afterwards that believe to be one, and a Lightning
    /// node that is started from the older one loses its channels' money.
    pub async fn move_to_instead(
        &self,
        target: &MoveTarget,
        progress: impl FnMut(CopyProgress) + Send + 'static,
    ) -> Result<Copied, UnlockError> {
        self.moved(target, Begun::GivenUp, progress).await
    }

    async fn moved(
        &self,
        target: &MoveTarget,
        begun: Begun,
        progress: impl FnMut(CopyProgress) + Send + 'static,
    ) -> Result<Copied, UnlockError> {
        let (parts, target) = (self.parts.clone(), target.clone());
        blocking(move || {
            let (place, store) = match &parts.place {
                Place::Folder(path) => (Some(path.as_path()), folder::open_even_if_moved(path)?),
                Place::Store(open) => (None, open()?),
            };
            let moved = moved::move_to(&*store, place, &target, begun, progress);
            let closed = store.close();
            let moved = moved?;
            closed?;
            Ok::<_, UnlockError>(moved)
        })
        .await
    }

    /// Takes a wallet in a SQLite file although its log is missing, after everything in it was
    /// checked. Such a file is a copy that SQLite's own tools have made of an open one, or one that
    /// another program was the last to read after a crash: SQLite has moved the log into it, and
    /// nothing is lost. A file whose log was lost, with the newest changes, looks the same: only a
    /// person can know. Of a wallet and its copy only one may be used.
    pub async fn accept_copy(&self) -> Result<(), UnlockError> {
        let parts = self.parts.clone();
        blocking(move || match &parts.place {
            Place::Folder(path) => folder::accept_copy(path),
            // Whoever opens it accepts it.
            Place::Store(_) => Ok(()),
        })
        .await
    }

    async fn attempt(
        &self,
        offer: &restore::Offer,
        wish: (RestoreAt, &restore::Choice),
        root: &RootSecret,
        new: Option<&NewFolder>,
        progress: impl FnMut(RestoreProgress) + Send,
    ) -> Result<RestoreReport, UnlockError> {
        let store = open_new(&self.parts, new)?;
        let report = restore::run(&self.parts, offer, wish, root, store.clone(), progress).await;
        // Close before the folder is moved or emptied.
        let closed = store.close();
        drop(store);
        let report = report?;
        closed?;
        Ok(report)
    }
}

/// Whether it is the left-over in the store that stands in the way.
fn cannot_go_on(error: &UnlockError) -> bool {
    matches!(
        error,
        UnlockError::Damaged { .. }
            | UnlockError::OtherWallet
            | UnlockError::Other(Error::Backup(backup::Error::NotEmpty))
    )
}

fn open_store(parts: &Parts) -> Result<Arc<dyn KvStore>, UnlockError> {
    match &parts.place {
        Place::Folder(path) => folder::open(path),
        Place::Store(open) => Ok(open()?),
    }
}

/// Opens the wallet; one that was handed over only if asked for.
async fn open_tower(
    parts: Parts,
    secret: Secret,
    handed_over_too: bool,
) -> Result<Tower, UnlockError> {
    blocking(move || {
        let store = open_store(&parts)?;
        let tower = Tower::open(store, &secret, parts.clock.clone(), &parts.settings)?;
        not_handed_over(tower, handed_over_too)
    })
    .await
}

/// Opens the wallet of a session that was suspended.
pub(crate) async fn reopen_tower(parts: Parts, keys: Keys) -> Result<Tower, UnlockError> {
    blocking(move || {
        let store = open_store(&parts)?;
        let tower = Tower::reopen(store, &keys, parts.clock.clone(), &parts.settings)?;
        not_handed_over(tower, false)
    })
    .await
}

fn not_handed_over(tower: Tower, handed_over_too: bool) -> Result<Tower, UnlockError> {
    if tower.recorder.fence_state().gate == Gate::HandedOver && !handed_over_too {
        tower.recorder.close()?;
        return Err(UnlockError::HandedOver);
    }
    Ok(tower)
}

fn open_new(parts: &Parts, new: Option<&NewFolder>) -> Result<Arc<dyn KvStore>, UnlockError> {
    match (&parts.place, new) {
        (Place::Store(open), _) => Ok(open()?),
        (Place::Folder(_), Some(new)) => new.store(),
        (Place::Folder(_), None) => Err(UnlockError::Empty),
    }
}

/// Runs what waits for the disk outside the async threads.
pub(crate) async fn blocking<T: Send + 'static, E: Send + 'static + From<Error>>(
    work: impl FnOnce() -> Result<T, E> + Send + 'static,
) -> Result<T, E> {
    match tokio::task::spawn_blocking(work).await {
        Ok(outcome) => outcome,
        Err(_) => Err(Error::Task.into()),
    }
}
