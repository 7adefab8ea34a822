//! The sink of a restore: the store of a new installation.

use std::sync::Arc;

use backup::{Applied, EntryDigest, ObjectRef, ObjectSealer, Restorer, WriterId};
use kv_core::KvStore;
use vault::{RootSecret, SealedStore};

use super::layers::{Sink, Worker};
use crate::{Error, Result, UnlockError, registry};

pub(super) struct Store {
    pub(super) restorer: Restorer,
    pub(super) sealed: Arc<dyn KvStore>,
    sealer: ObjectSealer,
}

impl Store {
    /// Begins in an empty store, or goes on in one where a restore of the same dump was interrupted that
    /// led no further.
    pub(super) fn begin(
        store: Arc<dyn KvStore>,
        root: &RootSecret,
        sealer: ObjectSealer,
        base: &ObjectRef,
        to: (WriterId, u64),
    ) -> Result<Self, UnlockError> {
        let sealed: Arc<dyn KvStore> = match SealedStore::open(store.clone(), root) {
            Ok(begun) => begun,
            Err(vault::UnlockError::Empty) => {
                let mark = Restorer::first_mark(base, to).map_err(Error::from)?;
                SealedStore::create_with(store, root, mark)?
            }
            Err(other) => return Err(other.into()),
        };
        let restorer = Restorer::begin(sealed.clone(), registry::rules(), base, to)?;
        Ok(Self { restorer, sealed, sealer })
    }
}

impl Sink for Store {
    type Done = Applied;

    fn worker(&self) -> Worker<Applied> {
        let worker = self.restorer.worker();
        Arc::new(move |run| Ok(worker.apply(run)?))
    }

    fn take(&mut self, applied: Applied) -> Result<()> {
        Ok(self.restorer.applied(applied)?)
    }

    fn end_layer(&mut self) -> Result<()> {
        Ok(self.restorer.end_layer()?)
    }

    fn begin_base(&mut self, base: &ObjectRef, _: EntryDigest) -> Result<(u64, EntryDigest)> {
        let known = self.restorer.begin_base(base)?;
        Ok((known, self.restorer.base_digest(&self.sealer)?))
    }

    fn end_part(&mut self, digest: &EntryDigest) {
        self.restorer.end_part(digest);
    }
}
