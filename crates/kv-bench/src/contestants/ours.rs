//! Our stores: kv-fs and kv-sqlite as they are, and kv-fs under `SealedStore` and `Recorder` as a wallet uses it.

use std::{
    path::Path,
    sync::{
        Arc,
        mpsc::{self, RecvTimeoutError, Sender},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use backup::{ObjectSealer, Recorder, RecorderSettings, Rules};
use kv_core::{Batch, Commit, KvStore, KvStoreExt, Namespace};
use kv_fs::{FsStore, Settings};
use kv_sqlite::SqliteStore;
use vault::{RootSecret, SealedStore};

use super::{FILL, Reader, Writer};
use crate::{
    Result,
    machine::SystemClock,
    names::{Name, namespace},
};

/// How often the recorded store is backed up while it is measured: log entries that nobody takes
/// away would pile up as they do in no wallet.
const BACKUP: Duration = Duration::from_secs(1);

/// Any store of ours as a contestant.
pub(crate) struct Ours {
    store: Arc<dyn KvStore>,
    ns: Namespace,
    backup: Option<Backup>,
}

/// A thread that does what a backup does, up to the point where the bytes would leave the device.
struct Backup {
    stop: Sender<()>,
    thread: Option<JoinHandle<Result<()>>>,
}

/// kv-fs as a contestant has it: with the settings of everybody.
pub(crate) fn open_fs(dir: &Path) -> Result<Arc<dyn KvStore>> {
    Ok(Arc::new(FsStore::open(dir, Settings::default())?))
}

/// kv-sqlite in the same way.
pub(crate) fn open_sqlite(dir: &Path) -> Result<Arc<dyn KvStore>> {
    let file = dir.join("store.sqlite");
    Ok(Arc::new(SqliteStore::open(&file, kv_sqlite::Settings::default())?))
}

/// The stack of a wallet, and what a backup of it needs.
fn open_sealed(dir: &Path) -> Result<(Arc<Recorder>, ObjectSealer)> {
    let root = RootSecret::from_bytes([7; 32]);
    let fs = open_fs(dir)?;
    let is_new = fs.namespaces()?.is_empty();
    let sealed =
        if is_new { SealedStore::create(fs, &root)? } else { SealedStore::open(fs, &root)? };
    let sealer = ObjectSealer::new(sealed.keys()?);
    let settings = RecorderSettings::default();
    let recorder = Recorder::open(sealed, Rules::default(), Arc::new(SystemClock), settings)?;
    Ok((recorder, sealer))
}

impl Ours {
    pub(crate) fn plain(dir: &Path) -> Result<Self> {
        Ok(Self { store: open_fs(dir)?, ns: namespace()?, backup: None })
    }

    pub(crate) fn sqlite(dir: &Path) -> Result<Self> {
        Ok(Self { store: open_sqlite(dir)?, ns: namespace()?, backup: None })
    }

    pub(crate) fn sealed(dir: &Path) -> Result<Self> {
        let (store, sealer) = open_sealed(dir)?;
        let backup = Some(Backup::start(Arc::clone(&store), sealer));
        Ok(Self { store, ns: namespace()?, backup })
    }

    pub(crate) fn store(&self) -> &dyn KvStore {
        &*self.store
    }
}

impl Writer for Ours {
    fn write(&self, name: &Name, value: Vec<u8>) -> Result<()> {
        Ok(self.store.write(&self.ns, &name.key, value)?)
    }
}

impl Reader for Ours {
    fn fill(&self, entries: Vec<(Name, Vec<u8>)>) -> Result<()> {
        let mut entries = entries.into_iter().peekable();
        let mut last: Option<Commit> = None;
        while entries.peek().is_some() {
            let mut batch = Batch::new();
            for (name, value) in entries.by_ref().take(FILL) {
                batch = batch.put(&self.ns, &name.key, value);
            }
            // The next batch is made while this one is on its way.
            if let Some(commit) = last.replace(self.store.submit(batch)) {
                commit.wait()?;
            }
        }
        Ok(last.map_or(Ok(()), Commit::wait)?)
    }

    fn read(&self, name: &Name, see: &mut dyn FnMut(&[u8])) -> Result<()> {
        see(&self.store.read_required(&self.ns, &name.key)?);
        Ok(())
    }
}

impl Drop for Ours {
    fn drop(&mut self) {
        if let Some(error) = self.backup.take().and_then(|backup| backup.stop().err()) {
            eprintln!("warning: the backup failed: {error}");
        }
        if let Err(error) = self.store.close() {
            eprintln!("warning: a store could not be closed: {error}");
        }
    }
}

impl Backup {
    fn start(recorder: Arc<Recorder>, sealer: ObjectSealer) -> Self {
        let (stop, stopped) = mpsc::channel();
        let run = move || {
            loop {
                let end = !matches!(stopped.recv_timeout(BACKUP), Err(RecvTimeoutError::Timeout));
                back_up(&recorder, &sealer)?;
                if end {
                    return Ok(());
                }
            }
        };
        Self { stop, thread: Some(thread::spawn(run)) }
    }

    fn stop(mut self) -> Result<()> {
        self.stop.send(()).ok();
        match self.thread.take().map(JoinHandle::join) {
            Some(Err(_)) => Err("it panicked".into()),
            Some(Ok(outcome)) => outcome,
            None => Ok(()),
        }
    }
}

/// Cuts, compresses and seals a segment, and acknowledges it as if a cloud had taken it at once.
fn back_up(recorder: &Recorder, sealer: &ObjectSealer) -> Result<()> {
    let mut state = recorder.state();
    let Some(cut) = recorder.cut(state.backed_up)? else { return Ok(()) };
    state.backed_up = cut.to;
    sealer.seal_segment(state.writer, cut, None)?;
    Ok(recorder.acknowledge(state)?)
}
