//! Wallets as they are measured: in memory or in a folder, with a folder as cloud or without.

use std::{future::Future, path::Path, sync::Arc};

use cloud::CloudBackend;
use kv_mem::{Medium, MemStore};
use vault::RootSecret;
use wallet_persistence::{Builder, CloudUrl, KvStore, Session, Settings, WalletPersistence};

use crate::{Result, data};

/// The key of every wallet here.
pub(crate) fn root() -> RootSecret {
    RootSecret::from_bytes([7; 32])
}

/// A wallet in memory, which lives as long as the builder's wallet.
pub(crate) fn in_memory() -> Builder {
    let medium = Medium::default();
    WalletPersistence::over(move || Ok(Arc::new(MemStore::open(medium.clone())?)))
}

pub(crate) fn in_folder(folder: &Path) -> Builder {
    WalletPersistence::builder(folder)
}

/// The cloud in a folder, made if need be.
pub(crate) fn cloud(folder: &Path) -> Result<Arc<dyn CloudBackend>> {
    Ok(Arc::new(cloud::DirCloud::open(folder)?))
}

/// The address of that cloud.
pub(crate) fn cloud_url(folder: &Path) -> Result<CloudUrl> {
    Ok(CloudUrl::parse(&format!("dir:{}", folder.display()))?)
}

/// Nothing happens unless it is asked for.
pub(crate) fn by_hand() -> Settings {
    let mut settings = Settings::default();
    settings.replicate_every = None;
    settings
}

/// Writes the first records, some batches in flight.
pub(crate) fn fill(kv: &dyn KvStore, records: usize) -> Result<()> {
    let mut last: Option<kv_core::Commit> = None;
    for batch in data::batches(records, |value| value) {
        // The next batch is made while this one is on its way.
        if let Some(commit) = last.replace(kv.submit(batch?)) {
            commit.wait()?;
        }
    }
    Ok(last.map_or(Ok(()), kv_core::Commit::wait)?)
}

/// Fills a session's wallet without holding up its runtime.
pub(crate) async fn fill_session(session: &Session, records: usize) -> Result<()> {
    let kv = session.kv()?;
    tokio::task::spawn_blocking(move || fill(&*kv, records)).await?
}

/// Runs to the end, on as many threads as there are cores.
pub(crate) fn run<T>(work: impl Future<Output = Result<T>>) -> Result<T> {
    tokio::runtime::Runtime::new()?.block_on(work)
}
