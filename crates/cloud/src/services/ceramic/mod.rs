//! Ceramic: a network of nodes that keep signed streams. For js-ceramic's HTTP API, versions 1 to 5.
//!
//! An object is written once into tiles of its own; an index tile, whose name follows from the
//! wallet's identity alone, says which objects there are. So an object is whole or absent: it is
//! there from the moment the index names it.

mod base_x;
mod cbor;
mod cid;
mod commit;
mod http;
mod identity;
mod index;
mod node;
mod objects;
mod page;
#[cfg(test)]
mod tests;
mod transport;
mod wire;

use std::{fmt, sync::Arc};

use async_trait::async_trait;
use backup::ObjectName;
use bytes::Bytes;

use self::{
    http::HttpTransport,
    identity::Identity,
    index::{COMMITS_PER_PAGE, Index},
    node::Node,
    objects::Stored,
    transport::Transport,
};
use super::{Opening, Service};
use crate::{
    Access, BadCloudUrl, CloudBackend, CloudError, HttpSettings, Limits, ObjectMeta, Probe,
    PutMode, Result, Tag,
    address::{Address, with_http_options},
    error::boxed,
    http::Url,
};

pub(super) const SERVICE: Service = Service {
    name: "a Ceramic node",
    schemes: &["ceramic+http", "ceramic+https"],
    example: "ceramic+http://HOST:7007",
    needs_identity: true,
    parse,
    open: |address, access| -> Opening<'_> { Box::pin(open(address, access)) },
};

fn parse(text: &str) -> Result<Address, BadCloudUrl> {
    Address::parse_with_host(text, &with_http_options(&[]), SERVICE.example)
}

async fn open(address: &Address, access: &Access) -> Result<Arc<dyn CloudBackend>> {
    let node = address.as_http()?;
    let identity = access.identity.as_ref().ok_or_else(|| CloudError::Unauthorized {
        source: boxed("a Ceramic node is opened with a wallet's identity"),
    })?;
    let settings = address.http(access)?;
    Ok(Arc::new(CeramicCloud::new(node.as_str(), identity.expose(), &settings)?))
}

/// Names per page of a listing.
const PAGE_LIMIT: usize = 1000;
/// How often a reading follows an object that is replaced all the time.
const ATTEMPTS: usize = 16;

/// Keeps objects as tiles on a Ceramic node.
///
/// Clones share one view of the index, and conditions hold exactly between them. Between devices
/// they hold as far as the node checks what a commit is based on: from version 2 on. Version 1 does
/// not, so of two devices that create one object at the same moment both may be told that they have;
/// what they wrote beside it is not lost.
#[derive(Clone)]
pub struct CeramicCloud {
    node: Arc<Node>,
    index: Arc<Index>,
}

impl CeramicCloud {
    /// The objects of an identity, on the node at `http://HOST:PORT` or `https://HOST:PORT`. The
    /// secret is good for writing there and for nothing else: who has it can delete what is there,
    /// and cannot read it. Nothing is asked of the node yet.
    pub fn new(node: &str, secret: &[u8; 32], settings: &HttpSettings) -> Result<Self> {
        let bad = |why: String| CloudError::BadAddress { source: boxed(why) };
        let node = Url::parse(node).map_err(|e| bad(e.to_string()))?;
        if !matches!(node.scheme(), "http" | "https") {
            return Err(bad("a node has an address such as http://127.0.0.1:7007".to_owned()));
        }
        let transport = Box::new(HttpTransport::new(&node, settings)?);
        Ok(Self::over(transport, Identity::from_seed(secret), COMMITS_PER_PAGE))
    }

    fn over(transport: Box<dyn Transport>, identity: Identity, commits_per_page: usize) -> Self {
        let node = Arc::new(Node::new(transport, identity));
        let index = Arc::new(Index::new(node.clone(), commits_per_page));
        Self { node, index }
    }

    /// The name by which nodes know this identity: `did:key:z6Mk...`.
    pub fn did(&self) -> &str {
        self.node.did()
    }

    async fn find(&self, name: &ObjectName) -> Result<Option<Stored>> {
        Ok(self.index.read().await?.find(name).cloned())
    }
}

impl fmt::Debug for CeramicCloud {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CeramicCloud({})", self.did())
    }
}

fn tag(stored: &Stored) -> Tag {
    // The root tile is made anew by each put.
    Tag::new(stored.root.as_str())
}

#[async_trait]
impl CloudBackend for CeramicCloud {
    async fn put(&self, name: &ObjectName, bytes: Bytes, how: PutMode) -> Result<Tag> {
        if bytes.len() as u64 > objects::LARGEST {
            let source = boxed("larger than fits into tiles");
            return Err(CloudError::Refused { name: name.clone(), source });
        }
        let stored = objects::upload(&self.node, &bytes).await?;
        let decide = |found: Option<&Stored>| {
            let allowed = match &how {
                PutMode::Overwrite => true,
                PutMode::CreateOnly => found.is_none(),
                PutMode::Replace(expected) => found.map(tag).as_ref() == Some(expected),
            };
            if allowed {
                Ok(Some(stored.clone()))
            } else {
                Err(CloudError::Conflict { name: name.clone() })
            }
        };
        match self.index.change(name, decide).await {
            Ok(before) => {
                if let Some(before) = before {
                    objects::discard(&self.node, &before).await;
                }
                Ok(tag(&stored))
            }
            Err(conflict @ CloudError::Conflict { .. }) => {
                objects::discard(&self.node, &stored).await;
                Err(conflict)
            }
            Err(error) => Err(error),
        }
    }

    async fn get(&self, name: &ObjectName) -> Result<Option<(Bytes, Tag)>> {
        let mut found = self.find(name).await?;
        for _ in 0..ATTEMPTS {
            let Some(stored) = found else { return Ok(None) };
            match objects::download(&self.node, name, &stored).await {
                Ok(bytes) => return Ok(Some((bytes, tag(&stored)))),
                Err(error) => {
                    // Was it replaced while we read?
                    found = self.find(name).await?;
                    if found.as_ref() == Some(&stored) {
                        return Err(error);
                    }
                }
            }
        }
        Err(CloudError::unavailable("the object is replaced all the time"))
    }

    async fn list(
        &self,
        prefix: &ObjectName,
        after: Option<&ObjectName>,
    ) -> Result<Vec<ObjectMeta>> {
        let view = self.index.read().await?;
        let objects = view.objects().into_iter();
        let below = objects
            .filter(|(name, _)| name.is_below(prefix) && after.is_none_or(|after| *name > after));
        Ok(below
            .take(PAGE_LIMIT)
            .map(|(name, stored)| ObjectMeta { name: name.clone(), size: stored.size })
            .collect())
    }

    async fn delete(&self, name: &ObjectName) -> Result<()> {
        if let Some(before) = self.index.change(name, |_| Ok(None)).await? {
            objects::discard(&self.node, &before).await;
        }
        Ok(())
    }

    fn limits(&self) -> Limits {
        Limits {
            largest_object: objects::LARGEST,
            listing_is_immediate: true,
            full_page: Some(PAGE_LIMIT),
            // What one process sees of conditions is its own order: all handles share one view.
            can_honour: match self.node.checks_what_a_commit_is_based_on() {
                true => Probe::ALL,
                false => Probe::NONE,
            },
        }
    }
}
