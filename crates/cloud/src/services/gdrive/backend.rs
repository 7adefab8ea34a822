//! The contract of a cloud on top of Drive.

use async_trait::async_trait;
use backup::ObjectName;
use bytes::Bytes;
use data_encoding::HEXLOWER;
use sha2::{Digest, Sha256};

use super::client::{Client, File, metadata};
use crate::{
    CloudBackend, CloudError, Limits, ObjectMeta, Probe, PutMode, Result, Tag, page::Page,
    services::LARGEST_OBJECT,
};

/// Names per page. Each page lists everything anew, so it is large.
const PAGE_LIMIT: usize = 100_000;

/// The property by which a file is found: a hash of its whole name.
const NAME: &str = "name";

/// A file may have 30 properties: one is its name, the others are folders it lies in.
const DEEPEST: usize = 29;

/// The app's folder of an account.
#[derive(Debug)]
pub(super) struct Drive {
    client: Client,
    /// Before each name, with `/` at its end; or empty.
    root: String,
}

impl Drive {
    pub(super) fn new(client: Client, path: &[String]) -> Self {
        let root = path.iter().map(|part| format!("{part}/")).collect();
        Self { client, root }
    }

    fn full(&self, name: &ObjectName) -> String {
        format!("{}{name}", self.root)
    }

    /// The folders of a name, and the name, as properties.
    fn properties(&self, name: &ObjectName) -> Vec<(String, String)> {
        let full = self.full(name);
        let begin = self.root.len();
        let ends = full.match_indices('/').map(|(end, _)| end).filter(|end| *end >= begin);
        let folders = ends.filter_map(|end| full.get(..end)).take(DEEPEST).enumerate();
        let folders = folders.map(|(i, folder)| (folder_key(i + 1), hash(folder)));
        folders.chain([(NAME.to_owned(), hash(&full))]).collect()
    }

    /// The files of this name, the one that counts first.
    async fn find(&self, name: &ObjectName) -> Result<Vec<File>> {
        let full = self.full(name);
        let mut files = self.client.list(NAME, &hash(&full)).await?;
        files.retain(|file| file.name == full);
        files.sort_by(older_first);
        Ok(files)
    }

    /// Makes a file; `None` if another one of this name is older.
    async fn create(&self, name: &ObjectName, bytes: &Bytes) -> Result<Option<File>> {
        let metadata = metadata(&self.full(name), &self.properties(name));
        let ours = self.client.create(&metadata, bytes).await?;
        let files = self.find(name).await?;
        if files.first().is_none_or(|first| first.id == ours.id) {
            return Ok(Some(ours));
        }
        self.client.delete(&ours.id).await?;
        Ok(None)
    }
}

#[async_trait]
impl CloudBackend for Drive {
    async fn put(&self, name: &ObjectName, bytes: Bytes, how: PutMode) -> Result<Tag> {
        let conflict = || CloudError::Conflict { name: name.clone() };
        match how {
            PutMode::CreateOnly => {
                self.create(name, &bytes).await?.ok_or_else(conflict)?;
            }
            PutMode::Replace(tag) => {
                let current = self.find(name).await?.into_iter().next();
                // Between the look and the change another may write: there is no condition for that.
                let current = current.filter(|file| file.sha256_checksum == tag.as_str());
                self.client.update(&current.ok_or_else(conflict)?.id, &bytes).await?;
            }
            PutMode::Overwrite => {
                let mut current = self.find(name).await?.into_iter().next();
                if current.is_none() && self.create(name, &bytes).await?.is_none() {
                    // Another has just made it.
                    current = self.find(name).await?.into_iter().next();
                    if current.is_none() {
                        return Err(CloudError::unavailable("the object comes and goes"));
                    }
                }
                if let Some(file) = current {
                    self.client.update(&file.id, &bytes).await?;
                }
            }
        }
        Ok(Tag::of(bytes))
    }

    async fn get(&self, name: &ObjectName) -> Result<Option<(Bytes, Tag)>> {
        // One that goes between the look and the reading may have left an older or a newer one.
        for _ in 0..3 {
            let Some(file) = self.find(name).await?.into_iter().next() else { return Ok(None) };
            if let Some(bytes) = self.client.download(&file.id).await? {
                let tag = Tag::of(bytes.clone());
                // Not what was listed: an answer that ended early, or another has replaced it.
                if file.sha256_checksum.is_empty() || file.sha256_checksum == tag.as_str() {
                    return Ok(Some((bytes, tag)));
                }
            }
        }
        Err(CloudError::unavailable("the object comes and goes"))
    }

    async fn list(
        &self,
        prefix: &ObjectName,
        after: Option<&ObjectName>,
    ) -> Result<Vec<ObjectMeta>> {
        let parts: Vec<&str> = prefix.as_str().split('/').collect();
        let depth = parts.len().min(DEEPEST);
        let folder = parts.get(..depth).unwrap_or_default().join("/");
        let folder = hash(&format!("{}{folder}", self.root));
        let mut files = self.client.list(&folder_key(depth), &folder).await?;
        // Of several of one name the oldest counts; a page keeps the last that is added.
        files.sort_by(|a, b| older_first(b, a));
        let mut page = Page::new(after, PAGE_LIMIT);
        for file in files {
            let name = file.name.strip_prefix(&*self.root).and_then(|n| ObjectName::new(n).ok());
            if let Some(name) = name.filter(|name| name.is_below(prefix)) {
                page.add(name, file.size());
            }
        }
        Ok(page.into_objects())
    }

    async fn delete(&self, name: &ObjectName) -> Result<()> {
        // The youngest first: whatever is left counts less than what was there.
        for file in self.find(name).await?.into_iter().rev() {
            self.client.delete(&file.id).await?;
        }
        Ok(())
    }

    fn limits(&self) -> Limits {
        // Nobody promises when a listing shows a new file, and that is all by which two that create
        // one object learn of each other.
        Limits {
            largest_object: LARGEST_OBJECT,
            listing_is_immediate: false,
            full_page: Some(PAGE_LIMIT),
            can_honour: Probe::NONE,
        }
    }
}

/// Times are all of one form, so that they sort as text.
fn older_first(a: &File, b: &File) -> std::cmp::Ordering {
    (&a.created_time, &a.id).cmp(&(&b.created_time, &b.id))
}

/// The property that names the folder of this depth.
fn folder_key(depth: usize) -> String {
    format!("in{depth}")
}

/// A key and its value have up to 124 bytes.
fn hash(text: &str) -> String {
    let hash = Sha256::digest(text.as_bytes());
    HEXLOWER.encode(hash.get(..16).unwrap_or(&hash))
}
