//! The stores as a wallet stacks them: records over recorder over sealed store over files or SQLite.

use std::{fs, path::Path, sync::Arc};

use backup::{Recorder, RecorderSettings, Rule, Rules};
use bench_report::{Result, machine::SystemClock};
use kv_core::KvStore;
use kv_fs::FsStore;
use kv_sqlite::SqliteStore;
use records::ObjectStore;
use serde::{Deserialize, Serialize};
use vault::{RootSecret, SealedStore};

use crate::activity::Activity;

/// What lies below.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Below {
    Fs,
    Sqlite,
}

/// An open tower.
pub(crate) struct Tower {
    pub(crate) recorder: Arc<Recorder>,
    pub(crate) records: ObjectStore<Activity>,
}

impl Tower {
    /// Opens what is in the folder, or makes it.
    pub(crate) fn open(below: Below, folder: &Path) -> Result<Self> {
        let is_new = fs::read_dir(folder)?.next().is_none();
        let store: Arc<dyn KvStore> = match below {
            Below::Fs => Arc::new(FsStore::open(folder, kv_fs::Settings::default())?),
            Below::Sqlite => Arc::new(SqliteStore::open(
                &folder.join("store.sqlite"),
                kv_sqlite::Settings::default(),
            )?),
        };
        let root = RootSecret::from_bytes([7; 32]);
        let sealed = if is_new {
            SealedStore::create(store, &root)?
        } else {
            SealedStore::open(store, &root)?
        };
        let rules = Rules::new([("~records", Rule::Mergeable)]);
        let clock = Arc::new(SystemClock);
        let recorder = Recorder::open(sealed, rules, clock, RecorderSettings::default())?;
        let (records, report) = ObjectStore::open(recorder.clone())?;
        if !report.is_clean() {
            return Err("some records cannot be used".into());
        }
        Ok(Self { recorder, records })
    }

    /// Tells the recorder that a cloud has everything, as it is most of the time.
    pub(crate) fn is_backed_up(&self) -> Result<()> {
        let mut state = self.recorder.state();
        state.backed_up = self.recorder.sequence();
        Ok(self.recorder.acknowledge(state)?)
    }

    pub(crate) fn close(self) -> Result<()> {
        self.records.close();
        Ok(self.recorder.close()?)
    }
}
