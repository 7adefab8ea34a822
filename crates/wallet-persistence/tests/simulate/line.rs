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
    /// Without a network, for a while.
    offline: AtomicBool,
    died: Notify,
}

impl Pulse {
    /// From now on nothing goes out or comes back.
    pub(crate) fn stop(&self) {
        self.dead.store(true, Ordering::SeqCst);
        self.died.notify_one();
    }

    /// What was stopped goes on; what waited for an answer waits for ever.
    pub(crate) fn go_on(&self) {
        self.dead.store(false, Ordering::SeqCst);
    }

    /// The nth call from now reaches the cloud, and nobody is there to hear the answer.
    pub(crate) fn stop_at(&self, nth: u64) {
        self.countdown.store(nth, Ordering::SeqCst);
    }

    pub(crate) fn set_offline(&self, offline: bool) {
        self.offline.store(offline, Ordering::SeqCst);
    }

    pub(crate) fn is_offline(&self) -> bool {
        self.offline.load(Ordering::SeqCst)
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
    async fn call<T>(&self, call: impl Future<Output = cloud::Result<T>>) -> cloud::Result<T> {
        if self.pulse.dead.load(Ordering::SeqCst) {
            return std::future::pending().await;
        }
        if self.pulse.is_offline() {
            return Err(cloud::CloudError::unavailable("no network"));
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
