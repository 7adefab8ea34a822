//! Restores, and the same data in the same store without one, to tell their memory apart.

use std::{path::Path, sync::Arc, time::Instant};

use kv_core::{Commit, KvStore};
use kv_fs::FsStore;
use kv_mem::MemStore;
use serde::{Deserialize, Serialize};
use vault::SealedStore;

use crate::{Result, data, machine, wallet};

/// What a restore took.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Restored {
    pub(crate) seconds: f64,
    pub(crate) records: u64,
    /// The most memory the process ever had, in bytes.
    pub(crate) peak: u64,
}

/// What holding the data takes.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Held {
    /// The most memory the process ever had, in bytes.
    pub(crate) peak: u64,
}

pub(super) fn run(cloud: &Path, folder: Option<&Path>) -> Result<Restored> {
    let url = wallet::cloud_url(cloud)?;
    wallet::run(async {
        let builder = match folder {
            None => wallet::in_memory(),
            Some(folder) => wallet::in_folder(folder),
        };
        let wallet = builder.cloud_url(url).settings(wallet::by_hand()).build();
        let begun = Instant::now();
        let report = wallet.restore(&wallet::root(), |_| ()).await?;
        let seconds = begun.elapsed().as_secs_f64();
        let peak = machine::peak_resident_bytes();
        Ok(Restored { seconds, records: report.changes, peak })
    })
}

/// A mergeable value in its frame has so many bytes more.
const FRAME: usize = 29;

pub(super) fn hold(folder: Option<&Path>, records: usize) -> Result<Held> {
    let store: Arc<dyn KvStore> = match folder {
        None => Arc::new(MemStore::new()),
        Some(folder) => Arc::new(FsStore::open(folder, kv_fs::Settings::default())?),
    };
    let sealed = SealedStore::create(store, &wallet::root())?;
    let mut last: Option<Commit> = None;
    let framed = |mut value: Vec<u8>| {
        value.extend([0; FRAME]);
        value
    };
    for batch in data::batches(records, framed) {
        if let Some(commit) = last.replace(sealed.submit(batch?)) {
            commit.wait()?;
        }
    }
    last.map_or(Ok(()), Commit::wait)?;
    let peak = machine::peak_resident_bytes();
    sealed.close()?;
    Ok(Held { peak })
}
