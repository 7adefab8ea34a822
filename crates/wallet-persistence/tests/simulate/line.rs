//! The line from one life of a device to its clouds: it dies with the device, in the middle of
//! whatever is under way.

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicU64, Ordering},
};

use async_trait::async_trait;
use bytes::Bytes;
use cloud::{CloudBackend, Limits, ObjectMeta, PutMode, Tag};
use tokio::sync::Notify;

type Name = backup::ObjectName;

/// Shared by the lines to all clouds of one life.
#[derive(Debug, Default)]
pub(crate) struct Pulse {
    dead: AtomicBool,
    /// Dies with this call: 1 the next, 0 none.
    countdown: AtomicU64,
    died: Notify,
}

impl Pulse {
    /// From now on nothing goes out or comes back.
    pub(crate) fn stop(&self) {
        self.dead.store(true, Ordering::SeqCst);
        self.died.notify_one();
    }

    /// The nth call from now reaches the cloud, and nobody is there to hear the answer.
    pub(crate) fn stop_at(&self, nth: u64) {
        self.countdown.store(nth, Ordering::SeqCst);
    }

    /// Resolves when it has stopped.
    pub(crate) async fn stopped(&self) {
        self.died.notified().await;
    }
}

#[derive(Debug)]
pub(crate) struct Line {
    pub(crate) inner: Arc<dyn CloudBackend>,
    pub(crate) pulse: Arc<Pulse>,
}

impl Line {
    async fn call<T>(&self, call: impl Future<Output = T>) -> T {
        if self.pulse.dead.load(Ordering::SeqCst) {
            return std::future::pending().await;
        }
        let countdown = self.pulse.countdown.load(Ordering::SeqCst);
        self.pulse.countdown.store(countdown.saturating_sub(1), Ordering::SeqCst);
        let answer = call.await;
        if countdown == 1 {
            self.pulse.stop();
        }
        if self.pulse.dead.load(Ordering::SeqCst) {
            return std::future::pending().await;
        }
        answer
    }
}

#[async_trait]
impl CloudBackend for Line {
    async fn put(&self, name: &Name, bytes: Bytes, how: PutMode) -> cloud::Result<Tag> {
        self.call(self.inner.put(name, bytes, how)).await
    }

    async fn get(&self, name: &Name) -> cloud::Result<Option<(Bytes, Tag)>> {
        self.call(self.inner.get(name)).await
    }

    async fn list(&self, prefix: &Name, after: Option<&Name>) -> cloud::Result<Vec<ObjectMeta>> {
        self.call(self.inner.list(prefix, after)).await
    }

    async fn delete(&self, name: &Name) -> cloud::Result<()> {
        self.call(self.inner.delete(name)).await
    }

    fn limits(&self) -> Limits {
        self.inner.limits()
    }
}
