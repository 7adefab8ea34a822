//! A store that lists by creation in small pages, as a store may.

use std::sync::Arc;

use kv_core::{
    Batch, Capabilities, Commit, CreationOrder, CreationPage, Cursor, Key, KvStore, Namespace,
    Result, Value,
};

/// Gives so many keys at once, however many are asked for.
pub const MOST: usize = 2;

/// Any store in small pages.
#[derive(Debug)]
pub struct Paged(pub Arc<dyn KvStore>);

impl CreationOrder for Paged {
    fn list_newest_first(
        &self,
        ns: &Namespace,
        cursor: Option<&Cursor>,
        limit: usize,
    ) -> Result<CreationPage> {
        let below = self.0.capabilities().creation_order.unwrap();
        below.list_newest_first(ns, cursor, limit.min(MOST))
    }
}

impl KvStore for Paged {
    fn read(&self, ns: &Namespace, key: &Key) -> Result<Option<Value>> {
        self.0.read(ns, key)
    }

    fn list(&self, ns: &Namespace, after: Option<&Key>, limit: usize) -> Result<Vec<Key>> {
        self.0.list(ns, after, limit)
    }

    fn namespaces(&self) -> Result<Vec<Namespace>> {
        self.0.namespaces()
    }

    fn submit(&self, batch: Batch) -> Commit {
        self.0.submit(batch)
    }

    fn capabilities(&self) -> Capabilities<'_> {
        let mut all = self.0.capabilities();
        all.creation_order = Some(self);
        all
    }

    fn close(&self) -> Result<()> {
        self.0.close()
    }
}
