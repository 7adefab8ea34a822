//! A wallet in a folder, as a user has it: made, and dumped.

use std::path::Path;

use wallet_persistence::DumpKind;

use super::dumps::{self, Dumped};
use crate::{Result, wallet};

pub(super) fn make(folder: &Path, records: usize) -> Result<()> {
    wallet::run(async {
        let wallet = wallet::in_folder(folder).settings(wallet::by_hand()).build();
        let session = wallet.create(&wallet::root()).await?;
        wallet::fill_session(&session, records).await?;
        Ok(session.lock().await?)
    })
}

/// Unlocks, dumps and locks; only the dump is timed here, its caller times all.
pub(super) fn dump(folder: &Path, cloud: &Path) -> Result<Dumped> {
    let cloud = wallet::cloud(cloud)?;
    wallet::run(async {
        let wallet = wallet::in_folder(folder).cloud(cloud).settings(wallet::by_hand()).build();
        let session = wallet.unlock(&wallet::root()).await?;
        let dumped = dumps::dump(&session, DumpKind::Full).await?;
        session.lock().await?;
        Ok(dumped)
    })
}
