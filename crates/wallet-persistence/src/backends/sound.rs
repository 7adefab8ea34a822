//! A cloud that answers with an error where its back end panics.

use std::{
    future::poll_fn,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::pin,
    sync::Arc,
    task::Poll,
};

use async_trait::async_trait;
use bytes::Bytes;
use cloud::{CloudBackend, CloudError, Limits, ObjectMeta, ObjectName, PutMode, Result, Tag};

use super::late::UNKNOWN;

/// Ends calls that panic. Else they would take the task with them that backs up, and everybody who
/// waits for the clouds would wait for ever.
#[derive(Debug)]
pub(super) struct Sound(pub(super) Arc<dyn CloudBackend>);

impl Sound {
    async fn call<T>(&self, call: impl Future<Output = Result<T>>) -> Result<T> {
        let mut call = pin!(call);
        poll_fn(|cx| {
            // What it has left half done is its own; it is asked anew, and never goes on with this call.
            let polled = catch_unwind(AssertUnwindSafe(|| call.as_mut().poll(cx)));
            polled.unwrap_or_else(|_| {
                tracing::error!("the back end of a cloud has panicked: report it");
                Poll::Ready(Err(CloudError::unavailable("its back end has panicked")))
            })
        })
        .await
    }
}

#[async_trait]
impl CloudBackend for Sound {
    async fn put(&self, name: &ObjectName, bytes: Bytes, how: PutMode) -> Result<Tag> {
        self.call(async { self.0.put(name, bytes, how).await }).await
    }

    async fn get(&self, name: &ObjectName) -> Result<Option<(Bytes, Tag)>> {
        self.call(async { self.0.get(name).await }).await
    }

    async fn list(
        &self,
        prefix: &ObjectName,
        after: Option<&ObjectName>,
    ) -> Result<Vec<ObjectMeta>> {
        self.call(async { self.0.list(prefix, after).await }).await
    }

    async fn delete(&self, name: &ObjectName) -> Result<()> {
        self.call(async { self.0.delete(name).await }).await
    }

    fn limits(&self) -> Limits {
        catch_unwind(AssertUnwindSafe(|| self.0.limits())).unwrap_or(UNKNOWN)
    }
}
