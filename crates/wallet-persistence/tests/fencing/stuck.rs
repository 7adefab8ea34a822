//! A cloud whose answers stop coming.

use std::sync::atomic::{AtomicU64, Ordering};

use cloud::{CloudBackend, MemCloud};
use tokio::sync::Notify;

/// A cloud whose calls land, and whose answers stop coming after a number of them.
#[derive(Debug)]
pub(crate) struct Stuck {
    inner: MemCloud,
    /// How many answers still come; `u64::MAX`: all.
    answers: AtomicU64,
    /// One will never come.
    is_stuck: Notify,
}

impl Default for Stuck {
    fn default() -> Self {
        let (inner, is_stuck) = (MemCloud::new(), Notify::new());
        Self { inner, answers: AtomicU64::new(u64::MAX), is_stuck }
    }
}

impl Stuck {
    /// So many answers still come; `u64::MAX`: all.
    pub(crate) fn stick_after(&self, answers: u64) {
        self.answers.store(answers, Ordering::SeqCst);
    }

    /// Resolves when one will never come.
    pub(crate) async fn is_stuck(&self) {
        self.is_stuck.notified().await;
    }

    async fn answer<T>(&self, answer: T) -> T {
        let left = self.answers.load(Ordering::SeqCst);
        if left == 0 {
            self.is_stuck.notify_one();
            std::future::pending::<()>().await;
        }
        self.answers.store(if left == u64::MAX { left } else { left - 1 }, Ordering::SeqCst);
        answer
    }
}

#[async_trait::async_trait]
impl CloudBackend for Stuck {
    async fn put(
        &self,
        name: &cloud::ObjectName,
        bytes: bytes::Bytes,
        how: cloud::PutMode,
    ) -> cloud::Result<cloud::Tag> {
        self.answer(self.inner.put(name, bytes, how).await).await
    }

    async fn get(
        &self,
        name: &cloud::ObjectName,
    ) -> cloud::Result<Option<(bytes::Bytes, cloud::Tag)>> {
        self.answer(self.inner.get(name).await).await
    }

    async fn list(
        &self,
        prefix: &cloud::ObjectName,
        after: Option<&cloud::ObjectName>,
    ) -> cloud::Result<Vec<cloud::ObjectMeta>> {
        self.answer(self.inner.list(prefix, after).await).await
    }

    async fn delete(&self, name: &cloud::ObjectName) -> cloud::Result<()> {
        self.answer(self.inner.delete(name).await).await
    }

    fn limits(&self) -> cloud::Limits {
        self.inner.limits()
    }
}
