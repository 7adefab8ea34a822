//! Creation order and footprint: the abilities of the store below, in true names. And sealing ahead,
//! and reading many values.

use kv_core::{
    Batch, Commit, CreationOrder, CreationPage, Cursor, Error, Footprint, Key, Lag, Namespace,
    Prepare, ReadMany, Replication, Result, Show, Size,
};

use super::{STORE, SealedStore};
use crate::hidden;

impl CreationOrder for SealedStore {
    fn list_newest_first(
        &self,
        ns: &Namespace,
        cursor: Option<&Cursor>,
        limit: usize,
    ) -> Result<CreationPage> {
        self.with(|unlocked| {
            if hidden::is_own(ns) {
                return Ok(CreationPage::default());
            }
            let below = self.inner.capabilities().creation_order;
            let below = below.ok_or(Error::NotFound { store: STORE })?;
            if hidden::is_clear(ns) {
                return below.list_newest_first(ns, cursor, limit);
            }
            let hidden_ns = hidden::namespace(unlocked.keys(), ns);
            let page = below.list_newest_first(&hidden_ns, cursor, limit)?;
            Ok(CreationPage { keys: unlocked.reveal(ns, &page.keys), next: page.next })
        })
    }
}

impl Footprint for SealedStore {
    fn footprint(&self) -> Result<Size> {
        self.with(|_| {
            let below = self.inner.capabilities().footprint;
            below.ok_or(Error::NotFound { store: STORE })?.footprint()
        })
    }
}

impl Replication for SealedStore {
    fn waits(&self, ns: &Namespace) -> bool {
        let below = self.inner.capabilities().replication;
        // Locked or closed: nothing can be written, and nothing should rely on the answer.
        let hidden = self.with(|unlocked| Ok(hidden::namespace(unlocked.keys(), ns)));
        below.is_some_and(|below| hidden.map_or(true, |hidden| below.waits(&hidden)))
    }

    fn lag(&self) -> Option<Lag> {
        self.inner.capabilities().replication.and_then(|below| below.lag())
    }

    fn caught_up(&self) -> Commit {
        match self.inner.capabilities().replication {
            Some(below) => below.caught_up(),
            None => self.inner.submit(Batch::new()),
        }
    }

    fn durable_here(&self) -> Commit {
        match self.inner.capabilities().replication {
            Some(below) => below.durable_here(),
            None => self.inner.submit(Batch::new()),
        }
    }
}

impl Prepare for SealedStore {
    fn prepare(&self, batch: Batch) -> Batch {
        let mut unprepared = Some(batch);
        let prepared =
            self.with(|unlocked| Ok(unprepared.take().map(|batch| unlocked.prepare(batch))));
        // Locked or closed, which the submit will say.
        prepared.ok().flatten().or(unprepared).unwrap_or_default()
    }
}

impl ReadMany for SealedStore {
    fn read_many(
        &self,
        ns: &Namespace,
        keys: &[Key],
        enough: usize,
        show: &mut Show<'_>,
    ) -> Result<usize> {
        self.with(|unlocked| unlocked.read_many(&*self.inner, (ns, keys, enough), show))
    }

    fn places(&self, ns: &Namespace, keys: &[Key]) -> Result<Vec<u64>> {
        // Values lie about as they were added, also in a store that cannot tell.
        self.with(|unlocked| Ok(unlocked.names().ages(ns, keys)))
    }
}
