//! The contract of a cloud on top of a node.

use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use backup::ObjectName;
use bytes::Bytes;

use super::client::{Client, Entry, Named};
use crate::{
    CloudBackend, CloudError, Limits, ObjectMeta, Probe, PutMode, Result, Tag, layout,
    page::Page,
    services::{
        LARGEST_OBJECT,
        leftovers::{INCOMING, Leftovers, OLD, SWEPT_AT_ONCE},
        random_name,
    },
};

/// Names per page. Each page walks the folders anew, so it is large.
const PAGE_LIMIT: usize = 10_000;

/// A folder of a node's file system.
#[derive(Debug)]
pub(super) struct Ipfs {
    client: Client,
    /// Begins with `/`, or is empty.
    root: String,
    leftovers: Leftovers<String>,
}

impl Ipfs {
    pub(super) fn new(client: Client, path: &[String]) -> Self {
        let root = path.iter().map(|part| format!("/{part}")).collect();
        Self { client, root, leftovers: Leftovers::new() }
    }

    fn path(&self, name: &ObjectName) -> String {
        layout::parts(name).fold(self.root.clone(), |path, part| format!("{path}/{part}"))
    }

    /// Gives the name to these bytes, whoever has it. What had it is unpinned.
    async fn replace(&self, path: &str, hash: &str) -> Result<()> {
        let old = self.client.find(path).await?;
        let own = self.own();
        let now = since_epoch();
        let incoming = format!("{own}/{}", incoming_name(now)?);
        self.client.make_folder(&own).await?;
        let left = self.leftovers.begin(incoming.clone());
        if self.client.name(hash, &incoming).await? == Named::Taken {
            left.ended();
            return Err(CloudError::unavailable("a random name is taken"));
        }
        self.tidy_up(now).await;
        if let Some((folder, _)) = path.rsplit_once('/').filter(|(folder, _)| !folder.is_empty()) {
            self.client.make_folder(folder).await?;
        }
        // Kubo moves over a file; js-ipfs does not, and there is a moment without the object.
        for _ in 0..4 {
            if self.client.rename(&incoming, path).await? == Named::Yes {
                left.ended();
                return match old.filter(|old| old.hash != hash) {
                    Some(old) => self.client.unpin(&old.hash).await,
                    None => Ok(()),
                };
            }
            self.client.remove(path).await?;
        }
        if self.client.remove(&incoming).await.is_ok() {
            left.ended();
        }
        Err(CloudError::unavailable("others replace the object all the time"))
    }

    fn own(&self) -> String {
        format!("{}/{}", self.root, layout::OWN)
    }

    /// Removes the names that broken puts have left: those of this handle, and once the old ones of
    /// others. A node keeps no times, so the name says when it was given; where a clock is wrong and
    /// it is another's who is just putting, that put fails for the moment.
    async fn tidy_up(&self, now: Duration) {
        for path in self.leftovers.take() {
            let left = self.leftovers.begin(path.clone());
            if self.client.remove(&path).await.is_ok() {
                left.ended();
            }
        }
        if !self.leftovers.is_unswept() {
            return;
        }
        let own = self.own();
        let Ok(entries) = self.client.list(&own).await else { return };
        let is_old = |entry: &&Entry| {
            !entry.is_folder()
                && given_at(&entry.name).and_then(|then| now.checked_sub(then)) > Some(OLD)
        };
        for entry in entries.iter().filter(is_old).take(SWEPT_AT_ONCE) {
            // The bytes stay pinned: they may be those of the object by now.
            let _ = self.client.remove(&format!("{own}/{}", entry.name)).await;
        }
    }

    async fn walk(&self, prefix: &ObjectName, page: &mut Page) -> Result<()> {
        // The listing of a file is the file itself.
        let top = self.client.find(&self.path(prefix)).await?;
        if top.is_none_or(|top| top.is_file()) {
            return Ok(());
        }
        let mut waiting = vec![prefix.clone()];
        while let Some(folder) = waiting.pop() {
            if folder != *prefix && !page.wants_folder(&folder) {
                continue;
            }
            let mut entries = self.client.list(&self.path(&folder)).await?;
            // The last is looked at first: with the first names on it the page fills up soonest.
            entries.sort_by(|a, b| b.name.cmp(&a.name));
            for entry in entries {
                let part = layout::part(&entry.name);
                let name = part.and_then(|part| ObjectName::new(&format!("{folder}/{part}")).ok());
                match name {
                    Some(name) if entry.is_folder() => waiting.push(name),
                    Some(name) => page.add(name, entry.size),
                    None => {}
                }
            }
        }
        Ok(())
    }
}

#[async_trait]
impl CloudBackend for Ipfs {
    async fn put(&self, name: &ObjectName, bytes: Bytes, how: PutMode) -> Result<Tag> {
        let path = self.path(name);
        let conflict = || CloudError::Conflict { name: name.clone() };
        if let PutMode::Replace(tag) = &how {
            // Between the look and the change another may write: there is no condition for that.
            let found = self.get(name).await?;
            if found.is_none_or(|(_, found)| found != *tag) {
                return Err(conflict());
            }
        }
        let hash = self.client.add(&bytes).await?;
        if how != PutMode::CreateOnly {
            self.replace(&path, &hash).await?;
        } else if self.client.name(&hash, &path).await? == Named::Taken {
            // The bytes stay pinned if they are those of another object: it may be this one.
            let there = self.client.find(&path).await?;
            if there.is_none_or(|there| there.hash != hash) {
                self.client.unpin(&hash).await?;
            }
            return Err(conflict());
        }
        Ok(Tag::of(bytes))
    }

    async fn get(&self, name: &ObjectName) -> Result<Option<(Bytes, Tag)>> {
        let found = self.client.find(&self.path(name)).await?;
        let Some(found) = found.filter(|found| found.is_file()) else { return Ok(None) };
        let bytes = self.client.read(&found).await?;
        let tag = Tag::of(bytes.clone());
        Ok(Some((bytes, tag)))
    }

    async fn list(
        &self,
        prefix: &ObjectName,
        after: Option<&ObjectName>,
    ) -> Result<Vec<ObjectMeta>> {
        let mut page = Page::new(after, PAGE_LIMIT);
        self.walk(prefix, &mut page).await?;
        Ok(page.into_objects())
    }

    async fn delete(&self, name: &ObjectName) -> Result<()> {
        let path = self.path(name);
        // Folders stay.
        let found = self.client.find(&path).await?.filter(|found| found.is_file());
        let Some(found) = found else { return Ok(()) };
        self.client.remove(&path).await?;
        // If this does not come about, bytes are kept that nobody needs.
        self.client.unpin(&found.hash).await
    }

    fn limits(&self) -> Limits {
        Limits {
            largest_object: LARGEST_OBJECT,
            listing_is_immediate: true,
            full_page: Some(PAGE_LIMIT),
            can_honour: Probe::CREATES_ONCE,
        }
    }
}

/// A name that is given for a moment. It says when.
fn incoming_name(now: Duration) -> Result<String> {
    Ok(format!("{INCOMING}{}-{}", now.as_secs(), random_name()?))
}

/// When such a name was given.
fn given_at(name: &str) -> Option<Duration> {
    let (seconds, _random) = name.strip_prefix(INCOMING)?.split_once('-')?;
    seconds.parse().ok().map(Duration::from_secs)
}

#[expect(
    clippy::disallowed_methods,
    reason = "it names what others may remove a day later; nothing that is kept depends on it"
)]
fn since_epoch() -> Duration {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default()
}
