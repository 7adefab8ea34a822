//! The contract of a cloud on top of versioned keys.

use async_trait::async_trait;
use backup::ObjectName;
use bytes::Bytes;

use super::{
    client::{Client, Put},
    message::KeyValue,
};
use crate::{
    CloudBackend, CloudError, Limits, ObjectMeta, Probe, PutMode, Result, Tag,
    page::Page,
    services::{LARGEST_OBJECT, random_name},
};

/// Names per page. Each page lists everything anew, so it is large.
const PAGE_LIMIT: usize = 100_000;

/// Characters of an id, before the bytes.
const ID: usize = 32;

/// The version of a key that is put once and never replaced. Named in a deletion, it makes one of a key
/// that has gone a conflict; with "whatever there is" (-1) not every server takes it for one.
const ONCE: i64 = 1;

/// The objects of one wallet.
#[derive(Debug)]
pub(super) struct Vss {
    client: Client,
}

/// An object as it was read.
struct Found {
    version: i64,
    id: String,
    bytes: Bytes,
}

impl Vss {
    pub(super) fn new(client: Client) -> Self {
        Self { client }
    }

    async fn find(&self, name: &ObjectName) -> Result<Option<Found>> {
        let Some(found) = self.client.get(&content(name)).await? else { return Ok(None) };
        let mut bytes = Bytes::from(found.value);
        let damaged = || CloudError::Damaged { name: name.clone() };
        if bytes.len() < ID {
            return Err(damaged());
        }
        let id = bytes.split_to(ID);
        let id = std::str::from_utf8(&id).map_err(|_| damaged())?.to_owned();
        Ok(Some(Found { version: found.version, id, bytes }))
    }

    /// Puts in place of what was read, or of nothing. `None` if that is no longer so.
    async fn swap(
        &self,
        name: &ObjectName,
        bytes: &Bytes,
        old: Option<&Found>,
    ) -> Result<Option<Tag>> {
        let id = random_name()?;
        let value = [id.as_bytes(), bytes].concat();
        let puts = vec![
            KeyValue { key: content(name), version: old.map_or(0, |old| old.version), value },
            KeyValue { key: size(name, bytes.len(), &id), version: 0, value: Vec::new() },
        ];
        let deletes = old.map(|old| KeyValue {
            key: size(name, old.bytes.len(), &old.id),
            version: ONCE,
            value: Vec::new(),
        });
        let put = self.client.put(puts, deletes.into_iter().collect()).await?;
        Ok((put == Put::Done).then(|| Tag::new(&id)))
    }
}

#[async_trait]
impl CloudBackend for Vss {
    async fn put(&self, name: &ObjectName, bytes: Bytes, how: PutMode) -> Result<Tag> {
        let conflict = || CloudError::Conflict { name: name.clone() };
        match how {
            PutMode::CreateOnly => self.swap(name, &bytes, None).await?.ok_or_else(conflict),
            PutMode::Replace(tag) => {
                let old = self.find(name).await?.filter(|old| old.id == tag.as_str());
                let old = old.ok_or_else(conflict)?;
                self.swap(name, &bytes, Some(&old)).await?.ok_or_else(conflict)
            }
            PutMode::Overwrite => {
                // Each try that fails is another one's success.
                for _ in 0..16 {
                    let old = self.find(name).await?;
                    if let Some(tag) = self.swap(name, &bytes, old.as_ref()).await? {
                        return Ok(tag);
                    }
                }
                Err(CloudError::unavailable("others replace the object all the time"))
            }
        }
    }

    async fn get(&self, name: &ObjectName) -> Result<Option<(Bytes, Tag)>> {
        let found = self.find(name).await?;
        Ok(found.map(|found| (found.bytes, Tag::new(&found.id))))
    }

    async fn list(
        &self,
        prefix: &ObjectName,
        after: Option<&ObjectName>,
    ) -> Result<Vec<ObjectMeta>> {
        let mut page = Page::new(after, PAGE_LIMIT);
        for key in self.client.list(&format!("s/{prefix}/")).await? {
            let mut parts = key.strip_prefix("s/").unwrap_or_default().split('=');
            let name = parts.next().and_then(|name| ObjectName::new(name).ok());
            let size = parts.next().and_then(|size| size.parse().ok());
            if let (Some(name), Some(size)) = (name, size) {
                page.add(name, size);
            }
        }
        Ok(page.into_objects())
    }

    async fn delete(&self, name: &ObjectName) -> Result<()> {
        for _ in 0..16 {
            let Some(old) = self.find(name).await? else { return Ok(()) };
            let deletes = vec![
                KeyValue { key: content(name), version: old.version, value: Vec::new() },
                KeyValue {
                    key: size(name, old.bytes.len(), &old.id),
                    version: ONCE,
                    value: Vec::new(),
                },
            ];
            if self.client.put(Vec::new(), deletes).await? == Put::Done {
                return Ok(());
            }
        }
        Err(CloudError::unavailable("others replace the object all the time"))
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

/// The key of an object's bytes, behind its id.
fn content(name: &ObjectName) -> String {
    format!("o/{name}")
}

/// The key that tells its size, and by being there that nothing has changed.
fn size(name: &ObjectName, bytes: usize, id: &str) -> String {
    format!("s/{name}={bytes}={id}")
}
