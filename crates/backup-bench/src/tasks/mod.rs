//! What is done in processes of their own.

mod dumps;
mod folder;
mod restore;
mod steady;

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

pub(crate) use self::{
    dumps::{Dumped, Dumps},
    restore::{Held, Restored},
    steady::Steady,
};
use crate::{Result, child::answer};

/// One of them. What it answers is the type beside it.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Task {
    /// Fills a wallet in memory and backs it up into a new cloud; `()`.
    Cloud { cloud: PathBuf, records: usize },
    /// Dumps of a wallet in memory; [`Dumps`].
    Dumps { cloud: PathBuf, records: usize, rounds: usize },
    /// Full dumps of a wallet in memory that holds large values; `Vec<Dumped>`.
    LargeDumps { cloud: PathBuf, values: usize, rounds: usize },
    /// Restores into memory or a new folder; [`Restored`].
    Restore { cloud: PathBuf, folder: Option<PathBuf> },
    /// Holds the same records in a sealed store in memory or a new folder; [`Held`].
    Hold { folder: Option<PathBuf>, records: usize },
    /// Makes a wallet in a folder and fills it; `()`.
    Folder { folder: PathBuf, records: usize },
    /// A full dump of a wallet in a folder; [`Dumped`].
    DumpFolder { folder: PathBuf, cloud: PathBuf },
    /// A steady load of changes; [`Steady`].
    Steady(steady::Load),
}

pub(crate) use steady::Load;

impl Task {
    /// Does it; the answer as JSON.
    pub(crate) fn run(&self) -> Result<String> {
        match self {
            Self::Cloud { cloud, records } => answer(dumps::cloud(cloud, *records)?),
            Self::Dumps { cloud, records, rounds } => answer(dumps::run(cloud, *records, *rounds)?),
            Self::LargeDumps { cloud, values, rounds } => {
                answer(dumps::large(cloud, *values, *rounds)?)
            }
            Self::Restore { cloud, folder } => answer(restore::run(cloud, folder.as_deref())?),
            Self::Hold { folder, records } => answer(restore::hold(folder.as_deref(), *records)?),
            Self::Folder { folder, records } => answer(folder::make(folder, *records)?),
            Self::DumpFolder { folder, cloud } => answer(folder::dump(folder, cloud)?),
            Self::Steady(load) => answer(steady::run(load)?),
        }
    }
}
