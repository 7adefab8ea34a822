//! Clearing the clouds: deleting everything of this wallet there, once somebody has confirmed what.

use std::collections::BTreeMap;

use backup::Dumps;
use cloud::ObjectName;
use serde::Serialize;
use sha2::{Digest, Sha256};
use vault::Secret;

use crate::{
    Error, Result, UnlockError, WalletPersistence, clouds::finish, session::Inner, wallet::blocking,
};

/// What clearing would delete: show it to the person, and give the token back if they say yes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct ToClear {
    /// In which clouds.
    pub clouds: Vec<String>,
    /// How many objects, of all devices of this wallet.
    pub objects: u64,
    /// How many bytes they have.
    pub bytes: u64,
    /// Confirms exactly this: it fits no more once something else is there.
    pub token: String,
}

/// What clearing has deleted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct ClearedClouds {
    /// How many objects.
    pub objects: u64,
    /// How many bytes they had.
    pub bytes: u64,
}

/// The objects of each cloud, with their sizes.
type Listed = Vec<(String, BTreeMap<ObjectName, u64>)>;

impl WalletPersistence {
    /// What [`WalletPersistence::clear_cloud_store`] would delete, and the token that confirms it.
    /// Every cloud has to answer. As for [`WalletPersistence::add_cloud`] the wallet must be locked.
    pub async fn ask_to_clear(&self, secret: impl Into<Secret>) -> Result<ToClear, UnlockError> {
        let session = self.quiet_session(secret.into()).await?;
        let listed = list(&session.inner).await;
        finish(&session, listed.map(|listed| to_clear(&listed))).await
    }

    /// Deletes everything of this wallet in all its clouds: the backups of every device, and who may
    /// write data with a single writer. Stop the other devices first: one that goes on is told that it
    /// no longer counts, and [rejoins](crate::Session::rejoin) with what nobody had merged.
    ///
    /// What is on this device stays, and the next backup puts all of it up anew.
    /// [`Error::NotConfirmed`] if the token is not that of what is there now; nothing is deleted then.
    /// After an interruption ask again, and confirm the rest.
    pub async fn clear_cloud_store(
        &self,
        secret: impl Into<Secret>,
        token: &str,
    ) -> Result<ClearedClouds, UnlockError> {
        let session = self.quiet_session(secret.into()).await?;
        let outcome = clear(&session.inner, token).await;
        finish(&session, outcome).await
    }
}

async fn list(inner: &Inner) -> Result<Listed> {
    let clouds = inner.clouds().await?;
    if clouds.is_empty() {
        return Err(Error::NoCloud);
    }
    let prefix = backup::wallet_prefix(&inner.tower.sealer.tag());
    let mut listed = Vec::new();
    for (i, cloud) in clouds.iter().enumerate() {
        let objects = cloud::poll_backups(&**cloud, &prefix).await?;
        let sizes = objects.into_iter().map(|object| (object.name, object.size)).collect();
        listed.push((inner.cloud_name(i), sizes));
    }
    Ok(listed)
}

fn to_clear(listed: &Listed) -> ToClear {
    let sizes = || listed.iter().flat_map(|(_, objects)| objects.values());
    let mut hash = Sha256::new();
    for (cloud, objects) in listed {
        hash.update(cloud.as_bytes());
        objects.keys().for_each(|name| hash.update(format!("\n{}", name.as_str())));
        hash.update(b"\n\n");
    }
    let hash = hash.finalize();
    ToClear {
        clouds: listed.iter().map(|(cloud, _)| cloud.clone()).collect(),
        objects: sizes().count() as u64,
        bytes: sizes().sum(),
        // Short enough to be typed; who guesses it has the key of the wallet anyway.
        token: data_encoding::HEXLOWER.encode(hash.get(..5).unwrap_or_default()),
    }
}

async fn clear(inner: &Inner, token: &str) -> Result<ClearedClouds> {
    let _no_dump = inner.dumping.lock().await;
    let _no_backup = inner.posting.lock().await;
    let listed = list(inner).await?;
    let wanted = to_clear(&listed);
    if wanted.token != token.trim() {
        return Err(Error::NotConfirmed);
    }
    begin_anew(inner).await?;
    for ((_, objects), cloud) in listed.iter().zip(inner.clouds().await?) {
        // Heads first, so that who sees one finds what it names.
        let heads = backup::class_prefix(&inner.tower.sealer.tag(), backup::Class::Head);
        let is_head = |name: &&ObjectName| name.as_str().starts_with(heads.as_str());
        let (first, then): (Vec<_>, Vec<_>) = objects.keys().partition(is_head);
        for name in first.into_iter().chain(then) {
            cloud.delete(name).await?;
        }
    }
    Ok(ClearedClouds { objects: wanted.objects, bytes: wanted.bytes })
}

/// Forgets what the clouds had, before it is gone: then an interruption costs a dump and no more.
async fn begin_anew(inner: &Inner) -> Result<()> {
    let mut state = inner.tower.recorder.state();
    (state.head, state.newest, state.dump, state.last_backup) = (None, None, None, None);
    (state.dump_bytes, state.segments_since_dump) = (0, (0, 0));
    state.dumps = Dumps::default();
    let recorder = inner.tower.recorder.clone();
    blocking(move || {
        recorder.retire_others()?;
        recorder.acknowledge(state)?;
        Ok::<_, Error>(kv_core::KvStoreExt::flush(&*recorder)?)
    })
    .await?;
    inner.change_history(|history, _| {
        for cloud in &mut history.clouds {
            (cloud.writers, cloud.fence) = (Vec::new(), None);
        }
        Vec::new()
    })
}
