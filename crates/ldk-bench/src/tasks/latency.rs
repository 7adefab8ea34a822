//! A cloud that takes its time.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use backup::ObjectName;
use bytes::Bytes;
use cloud::{CloudBackend, Limits, ObjectMeta, PutMode, Result, Tag};

/// Answers each call so much later, however many there are at once.
#[derive(Debug)]
pub(super) struct Distant {
    pub(super) cloud: Arc<dyn CloudBackend>,
    pub(super) latency: Duration,
}

#[async_trait]
impl CloudBackend for Distant {
    async fn put(&self, name: &ObjectName, bytes: Bytes, how: PutMode) -> Result<Tag> {
        tokio::time::sleep(self.latency).await;
        self.cloud.put(name, bytes, how).await
    }

    async fn get(&self, name: &ObjectName) -> Result<Option<(Bytes, Tag)>> {
        tokio::time::sleep(self.latency).await;
        self.cloud.get(name).await
    }

    async fn list(
        &self,
        prefix: &ObjectName,
        after: Option<&ObjectName>,
    ) -> Result<Vec<ObjectMeta>> {
        tokio::time::sleep(self.latency).await;
        self.cloud.list(prefix, after).await
    }

    async fn delete(&self, name: &ObjectName) -> Result<()> {
        tokio::time::sleep(self.latency).await;
        self.cloud.delete(name).await
    }

    fn limits(&self) -> Limits {
        self.cloud.limits()
    }
}
