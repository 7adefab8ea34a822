//! The recorder as a store.

use kv_core::{
    Batch, Capabilities, Commit, CreationOrder, CreationPage, Cursor, Error, Key, KvStore,
    Namespace, ReadMany, Result, Show, Value,
};

use super::{Recorder, STORE};
use crate::{Rule, frame};

impl KvStore for Recorder {
    fn read(&self, ns: &Namespace, key: &Key) -> Result<Option<Value>> {
        if Self::is_own(ns) {
            return Ok(None);
        }
        let value = self.inner.read(ns, key)?;
        if self.rules.of(ns) != Rule::Mergeable {
            return Ok(value);
        }
        let Some(value) = value else { return Ok(None) };
        let (_, value) = frame::unwrap(value)?;
        Ok(Some(value))
    }

    fn list(&self, ns: &Namespace, after: Option<&Key>, limit: usize) -> Result<Vec<Key>> {
        if Self::is_own(ns) {
            return Ok(Vec::new());
        }
        self.inner.list(ns, after, limit)
    }

    fn namespaces(&self) -> Result<Vec<Namespace>> {
        let mut all = self.inner.namespaces()?;
        all.retain(|ns| !Self::is_own(ns));
        Ok(all)
    }

    fn submit(&self, batch: Batch) -> Commit {
        if batch.is_empty() && batch.absent_keys().len() == 0 {
            return self.inner.submit(batch);
        }
        self.submit_recorded(batch, None).0
    }

    fn capabilities(&self) -> Capabilities<'_> {
        let mut capabilities = self.inner.capabilities();
        // We prepare below ourselves, once values are in their frames.
        capabilities.prepare = None;
        if capabilities.read_many.is_some() {
            capabilities.read_many = Some(self);
        }
        if capabilities.creation_order.is_some() {
            capabilities.creation_order = Some(self);
        }
        capabilities
    }

    fn close(&self) -> Result<()> {
        let closed = self.inner.close();
        self.waiting.end(Error::Closed { store: STORE });
        closed
    }
}

impl CreationOrder for Recorder {
    fn list_newest_first(
        &self,
        ns: &Namespace,
        cursor: Option<&Cursor>,
        limit: usize,
    ) -> Result<CreationPage> {
        match self.inner.capabilities().creation_order {
            Some(inner) if !Self::is_own(ns) => inner.list_newest_first(ns, cursor, limit),
            _ => Ok(CreationPage::default()),
        }
    }
}

impl ReadMany for Recorder {
    fn read_many(
        &self,
        ns: &Namespace,
        keys: &[Key],
        enough: usize,
        show: &mut Show<'_>,
    ) -> Result<usize> {
        let below = self.inner.capabilities().read_many;
        let below = below.ok_or(Error::NotFound { store: STORE })?;
        if Self::is_own(ns) {
            (0..keys.len()).try_for_each(|at| show(at, None))?;
            return Ok(keys.len());
        }
        if self.rules.of(ns) != Rule::Mergeable {
            return below.read_many(ns, keys, enough, show);
        }
        below.read_many(ns, keys, enough, &mut |at, value| {
            let value = value.map(frame::content).transpose()?;
            show(at, value)
        })
    }

    fn places(&self, ns: &Namespace, keys: &[Key]) -> Result<Vec<u64>> {
        match self.inner.capabilities().read_many {
            Some(below) if !Self::is_own(ns) => below.places(ns, keys),
            _ => Ok(vec![0; keys.len()]),
        }
    }
}
