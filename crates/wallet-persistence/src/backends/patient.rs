//! A cloud that answers at some time, if only that it does not answer.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use bytes::Bytes;
use cloud::{CloudBackend, CloudError, Limits, ObjectMeta, ObjectName, PutMode, Result, Tag};
use tokio::time::timeout;

/// No single call takes longer: it moves a few megabytes at most.
const LONGEST_CALL: Duration = Duration::from_secs(600);

/// Ends calls that hang.
#[derive(Debug)]
pub(super) struct Patient(pub(super) Arc<dyn CloudBackend>);

impl Patient {
    async fn call<T>(&self, call: impl Future<Output = Result<T>>) -> Result<T> {
        let none = |_| Err(CloudError::unavailable("no answer within ten minutes"));
        timeout(LONGEST_CALL, call).await.unwrap_or_else(none)
    }
}

#[async_trait]
impl CloudBackend for Patient {
    async fn put(&self, name: &ObjectName, bytes: Bytes, how: PutMode) -> Result<Tag> {
        self.call(self.0.put(name, bytes, how)).await
    }

    async fn get(&self, name: &ObjectName) -> Result<Option<(Bytes, Tag)>> {
        self.call(self.0.get(name)).await
    }

    async fn list(
        &self,
        prefix: &ObjectName,
        after: Option<&ObjectName>,
    ) -> Result<Vec<ObjectMeta>> {
        self.call(self.0.list(prefix, after)).await
    }

    async fn delete(&self, name: &ObjectName) -> Result<()> {
        self.call(self.0.delete(name)).await
    }

    fn limits(&self) -> Limits {
        self.0.limits()
    }
}
