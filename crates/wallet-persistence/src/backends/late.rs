//! A cloud that could not be opened: each call tries again.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use cloud::{
    Access, CloudBackend, CloudUrl, Limits, ObjectMeta, ObjectName, Probe, PutMode, Result, Tag,
};
use tokio::sync::OnceCell;

/// Opened when it is needed.
#[derive(Debug)]
pub(super) struct Late {
    url: CloudUrl,
    access: Access,
    is_backed_up: bool,
    cloud: OnceCell<Arc<dyn CloudBackend>>,
}

impl Late {
    pub(super) fn new(url: &CloudUrl, access: &Access, is_backed_up: bool) -> Self {
        let (url, access) = (url.clone(), access.clone());
        Self { url, access, is_backed_up, cloud: OnceCell::new() }
    }

    pub(super) async fn open(&self) -> Result<Arc<dyn CloudBackend>> {
        match self.is_backed_up {
            true => cloud::open_known_cloud_with(&self.url, &self.access).await,
            false => cloud::open_cloud_with(&self.url, &self.access).await,
        }
    }

    async fn opened(&self) -> Result<&Arc<dyn CloudBackend>> {
        self.cloud.get_or_try_init(|| self.open()).await
    }
}

#[async_trait]
impl CloudBackend for Late {
    async fn put(&self, name: &ObjectName, bytes: Bytes, how: PutMode) -> Result<Tag> {
        self.opened().await?.put(name, bytes, how).await
    }

    async fn get(&self, name: &ObjectName) -> Result<Option<(Bytes, Tag)>> {
        self.opened().await?.get(name).await
    }

    async fn list(
        &self,
        prefix: &ObjectName,
        after: Option<&ObjectName>,
    ) -> Result<Vec<ObjectMeta>> {
        self.opened().await?.list(prefix, after).await
    }

    async fn delete(&self, name: &ObjectName) -> Result<()> {
        self.opened().await?.delete(name).await
    }

    /// Until it is open, what it can take is for it to say when something is put.
    fn limits(&self) -> Limits {
        self.cloud.get().map_or(UNKNOWN, |cloud| cloud.limits())
    }
}

/// Of a cloud that cannot be asked.
pub(super) const UNKNOWN: Limits = Limits {
    largest_object: u64::MAX,
    listing_is_immediate: false,
    full_page: None,
    can_honour: Probe::NONE,
};
