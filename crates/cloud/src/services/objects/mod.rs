//! What S3, Google Cloud Storage and Azure have in common: `object_store` makes their requests.
//!
//! It neither retries here nor opens connections: both are ours, so that all services behave alike.

mod connect;
mod error;

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use async_trait::async_trait;
use backup::ObjectName;
use bytes::Bytes;
pub(super) use connect::Connector;
pub(super) use error::of_settings;
use futures_util::{StreamExt, TryStreamExt, stream::BoxStream};
use object_store::{
    ObjectStore, ObjectStoreExt, PutOptions, UpdateVersion,
    path::{Path, PathPart},
};

use crate::{
    CloudBackend, CloudError, Limits, ObjectMeta, Probe, PutMode, Result, Tag, error::boxed,
    services::LARGEST_OBJECT,
};

/// Names per page: what these services answer to one request.
const PAGE_LIMIT: usize = 1000;

/// A bucket, or a part of one.
pub(super) struct Objects {
    store: Arc<dyn ObjectStore>,
    /// Before each name.
    prefix: Vec<String>,
    tags: Tags,
    /// Whether listings are in the order of the bytes of names, as far as was seen.
    lists_by_bytes: AtomicBool,
}

/// What the service compares when it replaces an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tags {
    /// The ETag.
    #[cfg(any(feature = "s3", feature = "azure"))]
    ETag,
    /// A number that grows with each change ("generation").
    #[cfg(feature = "gcs")]
    Version,
}

impl Objects {
    pub(super) fn open(
        store: impl ObjectStore,
        prefix: Vec<String>,
        tags: Tags,
    ) -> Arc<dyn CloudBackend> {
        let (store, lists_by_bytes) = (Arc::new(store), AtomicBool::new(true));
        Arc::new(Self { store, prefix, tags, lists_by_bytes })
    }

    fn path(&self, name: &ObjectName) -> Path {
        let prefix = self.prefix.iter().map(String::as_str);
        prefix.chain(name.as_str().split('/')).map(PathPart::from).collect()
    }

    /// The name of what lies at this path; `None` if it is not ours.
    fn name(&self, path: &Path) -> Option<ObjectName> {
        let root: Path = self.prefix.iter().map(|part| PathPart::from(part.as_str())).collect();
        let parts: Vec<String> =
            path.prefix_match(&root)?.map(|part| part.as_ref().to_owned()).collect();
        ObjectName::new(&parts.join("/")).ok()
    }

    /// What the service lists after a name, in its own order.
    async fn page(
        &self,
        prefix: &ObjectName,
        after: Option<&ObjectName>,
    ) -> Result<Vec<ObjectMeta>> {
        let below = self.path(prefix);
        let objects = match after {
            // Else the service would begin before the prefix, or not understand us.
            Some(after) if after > prefix => {
                self.store.list_with_offset(Some(&below), &self.path(after))
            }
            _ => self.store.list(Some(&below)),
        };
        self.select(objects, prefix, after, Some(PAGE_LIMIT)).await
    }

    /// Our own objects among these, as they come.
    async fn select(
        &self,
        objects: BoxStream<'static, object_store::Result<object_store::ObjectMeta>>,
        prefix: &ObjectName,
        after: Option<&ObjectName>,
        limit: Option<usize>,
    ) -> Result<Vec<ObjectMeta>> {
        let named = objects.try_filter_map(|meta| {
            let name = self.name(&meta.location);
            if let (Some(name), Some(after), Some(_)) = (&name, after, limit)
                && name.is_below(prefix)
                && name <= after
            {
                self.lists_by_bytes.store(false, Ordering::Relaxed);
            }
            let wanted = name.filter(|n| n.is_below(prefix) && after.is_none_or(|after| n > after));
            std::future::ready(Ok(wanted.map(|name| ObjectMeta { name, size: meta.size })))
        });
        let page = named.take(limit.unwrap_or(usize::MAX)).try_collect().await;
        page.map_err(|e| error::about(e, prefix))
    }

    fn tag(&self, e_tag: Option<String>, version: Option<String>) -> Result<Tag> {
        let text = match self.tags {
            #[cfg(any(feature = "s3", feature = "azure"))]
            Tags::ETag => {
                let _ = version;
                e_tag
            }
            #[cfg(feature = "gcs")]
            Tags::Version => {
                let _ = e_tag;
                version
            }
        };
        match text {
            Some(text) => Ok(Tag::new(&text)),
            None => Err(CloudError::TooOld { source: boxed("it gives objects no version") }),
        }
    }
}

#[async_trait]
impl CloudBackend for Objects {
    async fn put(&self, name: &ObjectName, bytes: Bytes, how: PutMode) -> Result<Tag> {
        let mode = match &how {
            PutMode::Overwrite => object_store::PutMode::Overwrite,
            PutMode::CreateOnly => object_store::PutMode::Create,
            PutMode::Replace(tag) => {
                let tag = Some(tag.as_str().to_owned());
                object_store::PutMode::Update(match self.tags {
                    #[cfg(any(feature = "s3", feature = "azure"))]
                    Tags::ETag => UpdateVersion { e_tag: tag, version: None },
                    #[cfg(feature = "gcs")]
                    Tags::Version => UpdateVersion { e_tag: None, version: tag },
                })
            }
        };
        let options = PutOptions { mode, ..PutOptions::default() };
        match self.store.put_opts(&self.path(name), bytes.into(), options).await {
            Ok(put) => self.tag(put.e_tag, put.version),
            Err(
                object_store::Error::AlreadyExists { .. }
                | object_store::Error::Precondition { .. }
                | object_store::Error::NotModified { .. },
            ) if how != PutMode::Overwrite => Err(CloudError::Conflict { name: name.clone() }),
            // Replacing what is not there.
            Err(object_store::Error::NotFound { .. }) if matches!(how, PutMode::Replace(_)) => {
                Err(CloudError::Conflict { name: name.clone() })
            }
            Err(e) => Err(error::about(e, name)),
        }
    }

    async fn get(&self, name: &ObjectName) -> Result<Option<(Bytes, Tag)>> {
        let found = match self.store.get(&self.path(name)).await {
            Err(object_store::Error::NotFound { .. }) => return Ok(None),
            other => other.map_err(|e| error::about(e, name))?,
        };
        let (e_tag, version) = (found.meta.e_tag.clone(), found.meta.version.clone());
        let bytes = found.bytes().await.map_err(|e| error::about(e, name))?;
        Ok(Some((bytes, self.tag(e_tag, version)?)))
    }

    async fn list(
        &self,
        prefix: &ObjectName,
        after: Option<&ObjectName>,
    ) -> Result<Vec<ObjectMeta>> {
        let page = self.page(prefix, after).await?;
        if self.lists_by_bytes.load(Ordering::Relaxed) && page.is_sorted_by(|a, b| a.name < b.name)
        {
            return Ok(page);
        }
        // This server lists folder by folder, or began before the name: its idea of what comes after
        // a name is not ours. So everything is listed, and put in order here.
        self.lists_by_bytes.store(false, Ordering::Relaxed);
        let mut all =
            self.select(self.store.list(Some(&self.path(prefix))), prefix, after, None).await?;
        all.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(all)
    }

    async fn delete(&self, name: &ObjectName) -> Result<()> {
        match self.store.delete(&self.path(name)).await {
            Ok(()) | Err(object_store::Error::NotFound { .. }) => Ok(()),
            Err(e) => Err(error::about(e, name)),
        }
    }

    fn limits(&self) -> Limits {
        Limits {
            largest_object: LARGEST_OBJECT,
            listing_is_immediate: true,
            full_page: Some(PAGE_LIMIT),
            can_honour: Probe::ALL,
        }
    }
}

impl fmt::Debug for Objects {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The store's own text names bucket and account, no secret.
        write!(f, "Objects({}/{})", self.store, self.prefix.join("/"))
    }
}
