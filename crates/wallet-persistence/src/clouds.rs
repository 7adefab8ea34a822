//! The clouds of a wallet that exists: adding one, removing one, trying one out.

use std::{collections::BTreeSet, sync::Arc};

use backup::{Class, Conditions, Dumps, ObjectHash, ObjectRef};
use cloud::{Access, Check, CloudBackend, CloudError, CloudUrl, PutMode};
use serde::Serialize;
use vault::{RootSecret, Secret};

use crate::{
    Error, Result, Session, UnlockError, WalletPersistence,
    backends::{access, with_retry},
    in_order::InOrder,
    restore::Source,
    session::Inner,
    wallet::blocking,
};

/// What adding a cloud did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct AddedCloud {
    /// How many objects were copied there from the other clouds.
    pub objects: u64,
    /// How many bytes they have.
    pub bytes: u64,
    /// There was no other cloud to copy from: the next backup holds everything, and older restore
    /// points are not there.
    pub begins_anew: bool,
}

/// One of the clouds a wallet backs up to, and what it was seen to honour.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct KnownCloud {
    /// Its address.
    pub url: String,
    /// Whether of several that create one object one succeeds; `None`: not tried yet.
    pub creates_once: Option<bool>,
    /// Whether of several that replace one version of an object one succeeds.
    pub replaces_if_unchanged: Option<bool>,
    /// When that was tried, in milliseconds since the Unix epoch.
    pub tried: Option<u64>,
}

impl KnownCloud {
    /// Whether it can keep a second writer out; `None`: not tried yet.
    pub fn can_fence(&self) -> Option<bool> {
        Some(self.creates_once? && self.replaces_if_unchanged?)
    }
}

/// Tries a cloud out: puts, reads, lists and deletes an object, and finds out what is honoured. A
/// folder that does not exist is not made. `root` is needed where
/// [`CloudUrl::needs_identity`] says so.
pub async fn check_cloud(url: &CloudUrl, root: Option<&RootSecret>) -> Result<Check> {
    let access = match root {
        Some(root) => access(&vault::Keys::derive(root)),
        None => Access::default(),
    };
    let cloud = cloud::open_existing_cloud_with(url, &access).await?;
    Ok(cloud::check(&cloud).await)
}

impl WalletPersistence {
    /// Adds a cloud to those this device backs up to, after copying there all that the others hold:
    /// so a restore from it alone is as good. What it honours is tried out and remembered. `None`: it
    /// is one of them already.
    ///
    /// The wallet is unlocked for that and locked again: while a session is open the answer is
    /// [`UnlockError::InUse`]. After an error or an interruption it is none of the clouds, nothing is
    /// lost, and the same call goes on. Back up afterwards: only then single-writer data is
    /// acknowledged there, too.
    pub async fn add_cloud(
        &self,
        secret: impl Into<Secret>,
        url: &CloudUrl,
        progress: impl FnMut(AddedCloud) + Send,
    ) -> Result<Option<AddedCloud>, UnlockError> {
        let session = self.quiet_session(secret.into()).await?;
        let outcome = add(&session.inner, url, progress).await;
        finish(&session, outcome).await
    }

    /// Removes a cloud from those this device backs up to; `false`: it was none of them. What it
    /// holds stays there. As [`WalletPersistence::add_cloud`] it needs the wallet to be locked.
    pub async fn remove_cloud(
        &self,
        secret: impl Into<Secret>,
        url: &CloudUrl,
    ) -> Result<bool, UnlockError> {
        let session = self.quiet_session(secret.into()).await?;
        let outcome = remove(&session.inner, url).await;
        finish(&session, outcome).await
    }

    /// A session without anything behind it.
    pub(crate) async fn quiet_session(&self, secret: Secret) -> Result<Session, UnlockError> {
        let mut parts = self.parts.clone();
        parts.settings.replicate_every = None;
        Self::new(parts).unlock(secret).await
    }
}

/// Locks, whatever came out.
pub(crate) async fn finish<T>(session: &Session, outcome: Result<T>) -> Result<T, UnlockError> {
    let locked = session.lock().await;
    let value = outcome?;
    locked?;
    Ok(value)
}

impl Session {
    /// The clouds by address this wallet backs up to, with what they were seen to honour. Never asks
    /// a cloud.
    pub fn known_clouds(&self) -> Result<Vec<KnownCloud>> {
        let urls = self.cloud_urls()?;
        let known = urls.iter().map(|url| {
            let url = url.to_string();
            let seen = self.inner.with_history(|history| history.conditions(&url));
            KnownCloud {
                creates_once: seen.map(|seen| seen.creates_once),
                replaces_if_unchanged: seen.map(|seen| seen.replaces_if_unchanged),
                tried: seen.map(|seen| seen.time),
                url,
            }
        });
        Ok(known.collect())
    }
}

async fn add(
    inner: &Inner,
    url: &CloudUrl,
    progress: impl FnMut(AddedCloud) + Send,
) -> Result<Option<AddedCloud>> {
    let mut urls = inner.tower.cloud_urls()?;
    if urls.contains(url) {
        return Ok(None);
    }
    let old = inner.clouds().await?;
    let access = access(&inner.tower.sealed.keys()?);
    let new = cloud::open_cloud_with(url, &access).await?;
    // Asked once without patience: somebody waits to hear that a cloud does not answer.
    new.list(&backup::wallet_prefix(&inner.tower.sealer.tag()), None).await?;
    let new = &with_retry(new);
    let probe = cloud::probe(new).await?;
    // What is put meanwhile would be missing there.
    let _no_dump = inner.dumping.lock().await;
    let _no_backup = inner.posting.lock().await;
    let added = match old.is_empty() {
        true => begin_anew(inner, new).await?,
        false => copy(inner, old, new, progress).await?,
    };
    let conditions = Conditions {
        creates_once: probe.creates_once,
        replaces_if_unchanged: probe.replaces_if_unchanged,
        time: inner.tower.clock.now().0,
    };
    inner.change_history(|history, _| {
        history.saw_conditions(&url.to_string(), conditions);
        Vec::new()
    })?;
    urls.push(url.clone());
    write(inner, urls).await?;
    Ok(Some(added))
}

async fn remove(inner: &Inner, url: &CloudUrl) -> Result<bool> {
    let mut urls = inner.tower.cloud_urls()?;
    let before = urls.len();
    urls.retain(|known| known != url);
    if urls.len() == before {
        return Ok(false);
    }
    write(inner, urls).await?;
    Ok(true)
}

async fn write(inner: &Inner, urls: Vec<CloudUrl>) -> Result<()> {
    let kv = inner.tower.recorder.clone();
    blocking(move || crate::tower::write_cloud_urls(&*kv, &urls)).await
}

/// There is nobody to copy from. Where the cloud is not the one that was removed before, this
/// device's chain begins anew there.
async fn begin_anew(inner: &Inner, new: &Arc<dyn CloudBackend>) -> Result<AddedCloud> {
    let recorder = &inner.tower.recorder;
    let mut state = recorder.state();
    let Some(head) = state.head else { return Ok(AddedCloud::default()) };
    if new.get(&head.name(&inner.tower.sealer.tag())).await?.is_some() {
        return Ok(AddedCloud::default());
    }
    (state.head, state.newest, state.dump, state.last_backup) = (None, None, None, None);
    (state.dump_bytes, state.segments_since_dump) = (0, (0, 0));
    state.dumps = Dumps::default();
    let recorder = recorder.clone();
    blocking(move || recorder.acknowledge(state).map_err(Error::from)).await?;
    Ok(AddedCloud { begins_anew: true, ..AddedCloud::default() })
}

/// Copies every whole object of this wallet that the new cloud does not have: of all its devices, and
/// heads last, so that who sees one finds what it names. The fencing head follows with a backup.
async fn copy(
    inner: &Inner,
    old: &[Arc<dyn CloudBackend>],
    new: &Arc<dyn CloudBackend>,
    mut progress: impl FnMut(AddedCloud),
) -> Result<AddedCloud> {
    let sealer = &inner.tower.sealer;
    let mut wanted = BTreeSet::new();
    for cloud in old {
        wanted.extend(objects(inner, cloud).await?);
    }
    let there = objects(inner, new).await?;
    let missing = wanted.difference(&there).copied();
    let (heads, others): (Vec<_>, Vec<_>) =
        missing.partition(|object: &ObjectRef| object.id.class == Class::Head);
    let at_once = inner.tower.settings.fetch_at_once;
    let source = Source::new(sealer.clone(), old.iter().cloned(), at_once);
    let mut added = AddedCloud::default();
    for objects in [others, heads] {
        let mut left = objects.into_iter();
        let mut running = InOrder::new(at_once);
        loop {
            while running.has_room()
                && let Some(object) = left.next()
            {
                running.push(copy_one(source.clone(), new.clone(), object));
            }
            let Some(copied) = running.next().await else { break };
            if let Some(bytes) = copied? {
                added.objects += 1;
                added.bytes += bytes;
                progress(added);
            }
        }
    }
    Ok(added)
}

async fn objects(inner: &Inner, cloud: &Arc<dyn CloudBackend>) -> Result<BTreeSet<ObjectRef>> {
    let tag = inner.tower.sealer.tag();
    let listed = cloud::poll_backups(&**cloud, &backup::wallet_prefix(&tag)).await?;
    Ok(listed.iter().filter_map(|meta| ObjectRef::parse(&tag, &meta.name).ok()).collect())
}

/// How many bytes it has; `None` if no cloud has it whole, or not any more.
async fn copy_one(
    source: Source,
    new: Arc<dyn CloudBackend>,
    object: ObjectRef,
) -> Result<Option<u64>> {
    let bytes = match source.get(&object).await {
        Ok(bytes) if ObjectHash::of(&bytes) == object.hash => bytes,
        Ok(_) | Err(Error::Backup(_)) => return Ok(None),
        Err(error) => return Err(error),
    };
    let name = object.name(&source.sealer.tag());
    let length = bytes.len() as u64;
    match new.put(&name, bytes.clone(), PutMode::CreateOnly).await {
        Ok(_) => Ok(Some(length)),
        Err(CloudError::Conflict { .. }) => match new.get(&name).await? {
            Some((found, _)) if found == bytes => Ok(Some(length)),
            _ => Err(CloudError::Damaged { name }.into()),
        },
        Err(error) => Err(error.into()),
    }
}
