//! A cloud that takes no dumps, so that a chain becomes as long as one wants it.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering::Relaxed},
};

use async_trait::async_trait;
use bytes::Bytes;
use cloud::{CloudBackend, CloudError, Limits, ObjectMeta, ObjectName, PutMode, Tag};

/// Hands everything on, but dumps only while it is open to them.
#[derive(Debug)]
pub(crate) struct Undumped {
    inner: Arc<dyn CloudBackend>,
    is_open: AtomicBool,
}

impl Undumped {
    /// Open to dumps.
    pub(crate) fn new(inner: Arc<dyn CloudBackend>) -> Self {
        Self { inner, is_open: AtomicBool::new(true) }
    }

    /// No dump from now on.
    pub(crate) fn close(&self) {
        self.is_open.store(false, Relaxed);
    }
}

/// Whether an object is a part of a dump or its index: `sr1/TAG/CLASS/..`.
pub(crate) fn is_of_dump(name: &ObjectName) -> bool {
    name.as_str().split('/').nth(2).is_some_and(|class| matches!(class, "d" | "i"))
}

#[async_trait]
impl CloudBackend for Undumped {
    async fn put(&self, name: &ObjectName, bytes: Bytes, how: PutMode) -> cloud::Result<Tag> {
        if is_of_dump(name) && !self.is_open.load(Relaxed) {
            let source = Arc::from(Box::from("no dump is wanted"));
            return Err(CloudError::Full { source });
        }
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
