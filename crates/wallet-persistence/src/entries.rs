//! The entries of applications as a store of their own, for what is copied from elsewhere.

use std::sync::Arc;

use kv_core::{
    Batch, Capabilities, Commit, Copied, CopyProgress, Key, KvStore, Namespace, Result, Value,
};

use crate::{Error, Session, wallet::blocking};

/// Hides what the wallet keeps for itself.
#[derive(Debug)]
struct Entries(Arc<dyn KvStore>);

impl Session {
    /// Copies everything from a store of other origin into [`Session::kv`], such as what a node on LDK
    /// has kept in a folder until now ([`crate::LdkFolder`]): oldest first, then both are read and
    /// compared. After an interruption the same call goes on.
    ///
    /// [`kv_core::CopyError::NotEmpty`] in [`Error::Copy`] if the wallet holds other entries already;
    /// accounts, transactions and profile fields do not count. Nobody may change either of them
    /// meanwhile.
    pub async fn copy_from(
        &self,
        from: Arc<dyn KvStore>,
        progress: impl FnMut(CopyProgress) + Send + 'static,
    ) -> crate::Result<Copied> {
        let entries = Entries(self.kv()?);
        // Names are hidden below, so the keys of one batch are not created in the order of theirs.
        let copy = move || kv_core::copy_one_by_one(&*from, &entries, progress);
        blocking(move || copy().map_err(Error::Copy)).await
    }
}

impl KvStore for Entries {
    fn read(&self, ns: &Namespace, key: &Key) -> Result<Option<Value>> {
        self.0.read(ns, key)
    }

    fn list(&self, ns: &Namespace, after: Option<&Key>, limit: usize) -> Result<Vec<Key>> {
        self.0.list(ns, after, limit)
    }

    fn namespaces(&self) -> Result<Vec<Namespace>> {
        let mut all = self.0.namespaces()?;
        all.retain(|ns| !ns.is_reserved());
        Ok(all)
    }

    fn submit(&self, batch: Batch) -> Commit {
        self.0.submit(batch)
    }

    fn capabilities(&self) -> Capabilities<'_> {
        self.0.capabilities()
    }

    fn close(&self) -> Result<()> {
        self.0.close()
    }
}
