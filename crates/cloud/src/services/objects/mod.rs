//! What S3, Google Cloud Storage and Azure have in common: `object_store` makes their requests.
//!
//! It neither retries here nor opens connections: both are ours, so that all services behave alike.

mod connect;
mod error;

use std::{fmt, sync::Arc};

use async_trait::async_trait;
use backup::ObjectName;
use bytes::Bytes;
pub(super) use connect::Connector;
pub(super) use error::of_settings;
use futures_util::{StreamExt, TryStreamExt};
use object_store::{
    ObjectStore, ObjectStoreExt, PutOptions, UpdateVersion,
    path::{Path, PathPart},
};

use crate::{CloudBackend, CloudError, Limits, ObjectMeta, PutMode, Result, Tag, error::boxed};

/// Names per page: what these services answer to one request.
const PAGE_LIMIT: usize = 1000;

/// A bucket, or a part of one.
pub(super) struct Objects {
    store: Arc<dyn ObjectStore>,
    /// Before each name.
    prefix: Vec<String>,
    tags: Tags,
    largest_object: u64,
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
        largest_object: u64,
    ) -> Arc<dyn CloudBackend> {
        Arc::new(Self { store: Arc::new(store), prefix, tags, largest_object })
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
        let below = self.path(prefix);
        let objects = match after {
            // Else the service would begin before the prefix, or not understand us.
            Some(after) if after > prefix => {
                self.store.list_with_offset(Some(&below), &self.path(after))
            }
            _ => self.store.list(Some(&below)),
        };
        let page: Vec<object_store::ObjectMeta> = objects
            .try_filter(|meta| {
                let name = self.name(&meta.location);
                let wanted = name
                    .is_some_and(|n| n.is_below(prefix) && after.is_none_or(|after| n > *after));
                std::future::ready(wanted)
            })
            .take(PAGE_LIMIT)
            .try_collect()
            .await
            .map_err(|e| error::about(e, prefix))?;
        let named = |meta: object_store::ObjectMeta| {
            Some(ObjectMeta { name: self.name(&meta.location)?, size: meta.size })
        };
        Ok(page.into_iter().filter_map(named).collect())
    }

    async fn delete(&self, name: &ObjectName) -> Result<()> {
        match self.store.delete(&self.path(name)).await {
            Ok(()) | Err(object_store::Error::NotFound { .. }) => Ok(()),
            Err(e) => Err(error::about(e, name)),
        }
    }

    fn limits(&self) -> Limits {
        Limits { largest_object: self.largest_object, listing_is_immediate: true }
    }
}

impl fmt::Debug for Objects {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The store's own text names bucket and account, no secret.
        write!(f, "Objects({}/{})", self.store, self.prefix.join("/"))
    }
}
