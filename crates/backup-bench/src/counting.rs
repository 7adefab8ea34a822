//! A cloud that counts what goes up.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering::Relaxed},
};

use async_trait::async_trait;
use bytes::Bytes;
use cloud::{CloudBackend, Limits, ObjectMeta, ObjectName, PutMode, Tag};

/// Hands everything on and counts the bytes that are put.
#[derive(Debug)]
pub(crate) struct Counting {
    inner: Arc<dyn CloudBackend>,
    pub(crate) put: Arc<Put>,
}

/// Bytes put so far.
#[derive(Debug, Default)]
pub(crate) struct Put {
    /// In segments and heads: the changes themselves.
    pub(crate) changes: AtomicU64,
    /// In dumps.
    pub(crate) dumps: AtomicU64,
}

impl Counting {
    pub(crate) fn new(inner: Arc<dyn CloudBackend>) -> Self {
        Self { inner, put: Arc::default() }
    }
}

#[async_trait]
impl CloudBackend for Counting {
    async fn put(&self, name: &ObjectName, bytes: Bytes, how: PutMode) -> cloud::Result<Tag> {
        // `sr1/TAG/CLASS/..`: the parts of dumps and their indexes are of classes of their own.
        let class = name.as_str().split('/').nth(2).unwrap_or_default();
        let count = if matches!(class, "d" | "i") { &self.put.dumps } else { &self.put.changes };
        count.fetch_add(bytes.len() as u64, Relaxed);
        self.inner.put(name, bytes, how).await
    }

    async fn get(&self, name: &ObjectName) -> cloud::Result<Option<(Bytes, Tag)>> {
        self.inner.get(name).await
    }

    async fn list(
        &self,
        prefix: &ObjectName,
        after: Option<&ObjectName>,
    ) -> cloud::Result<Vec<ObjectMeta>> {
        self.inner.list(prefix, after).await
    }

    async fn delete(&self, name: &ObjectName) -> cloud::Result<()> {
        self.inner.delete(name).await
    }

    fn limits(&self) -> Limits {
        self.inner.limits()
    }
}
