//! The contestants: stores with LDK's waiting trait.

use std::{path::Path, sync::Arc};

use bench_report::Result;
use kv_core::KvStore;
use kv_fs::FsStore;
use kv_ldk::StrongroomStore;
use lightning::{io, util::persist::KVStoreSync};
use lightning_persister::fs_store::FilesystemStore;
use serde::{Deserialize, Serialize};
use tokio::runtime::Runtime;
use wallet_persistence::{RootSecret, Session, WalletPersistence};

use crate::sqlite::Sqlite;

/// Who is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Who {
    /// kv-fs by itself, as the peers are.
    Fs,
    /// A wallet over kv-fs: sealed, and recorded for the backup.
    Wallet,
    /// LDK's `FilesystemStore`.
    Ldk,
    /// ldk-node's SQLite.
    Sqlite,
}

/// One of them, open. Clones are the same.
#[derive(Clone)]
pub(crate) struct Store {
    shared: Arc<dyn KVStoreSync + Send + Sync>,
    /// What has to live as long.
    _wallet: Option<Arc<(Session, Runtime)>>,
}

impl Store {
    pub(crate) fn open(who: Who, folder: &Path) -> Result<Self> {
        let shared: Arc<dyn KVStoreSync + Send + Sync> = match who {
            Who::Fs => {
                let store = FsStore::open(folder, kv_fs::Settings::default())?;
                Arc::new(StrongroomStore::new(Arc::new(store) as Arc<dyn KvStore>))
            }
            Who::Wallet => return Self::wallet(folder),
            Who::Ldk => Arc::new(FilesystemStore::new(folder.to_owned())),
            Who::Sqlite => Arc::new(Sqlite::open(folder)?),
        };
        Ok(Self { shared, _wallet: None })
    }

    fn wallet(folder: &Path) -> Result<Self> {
        let runtime = Runtime::new()?;
        let wallet = WalletPersistence::builder(folder.join("wallet")).build();
        let session = runtime.block_on(wallet.create(&RootSecret::from_bytes([7; 32])))?;
        let shared = Arc::new(StrongroomStore::new(session.kv()?));
        Ok(Self { shared, _wallet: Some(Arc::new((session, runtime))) })
    }
}

impl KVStoreSync for Store {
    fn read(&self, primary: &str, secondary: &str, key: &str) -> io::Result<Vec<u8>> {
        self.shared.read(primary, secondary, key)
    }

    fn write(&self, primary: &str, secondary: &str, key: &str, value: Vec<u8>) -> io::Result<()> {
        self.shared.write(primary, secondary, key, value)
    }

    fn remove(&self, primary: &str, secondary: &str, key: &str, lazy: bool) -> io::Result<()> {
        self.shared.remove(primary, secondary, key, lazy)
    }

    fn list(&self, primary: &str, secondary: &str) -> io::Result<Vec<String>> {
        self.shared.list(primary, secondary)
    }
}
