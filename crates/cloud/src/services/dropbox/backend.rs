//! The contract of a cloud on top of Dropbox.

use async_trait::async_trait;
use backup::ObjectName;
use bytes::Bytes;

use super::client::{Client, Mode, Said, Trouble};
use crate::{
    CloudBackend, CloudError, Limits, ObjectMeta, Probe, PutMode, Result, Tag, error::boxed,
    http::Failure, layout, page::Page, services::LARGEST_OBJECT,
};

/// Names per page. Each page lists everything anew, so it is large.
const PAGE_LIMIT: usize = 100_000;

/// A folder of an account, or of what an app may see of it.
#[derive(Debug)]
pub(super) struct Dropbox {
    client: Client,
    /// Begins with `/`, or is empty.
    root: String,
}

impl Dropbox {
    pub(super) fn new(client: Client, path: &[String]) -> Self {
        let root = path.iter().map(|part| format!("/{part}")).collect();
        Self { client, root }
    }

    fn path(&self, name: &ObjectName) -> String {
        layout::parts(name).fold(self.root.clone(), |path, part| format!("{path}/{part}"))
    }

    /// The name of what lies at this path, below a prefix that was asked for; `None` if it is not
    /// ours. Which letters the service has made of the root's is its own affair, so its parts are
    /// counted and not compared.
    fn name(&self, path_lower: &str, prefix: &ObjectName) -> Result<Option<ObjectName>> {
        let parts = path_lower.split('/').skip(1 + self.root.matches('/').count());
        let parts: Vec<Option<&str>> = parts.map(layout::part).collect();
        let prefix: Vec<Option<&str>> = prefix.as_str().split('/').map(Some).collect();
        if parts.len() <= prefix.len() || !parts.starts_with(&prefix) {
            let failure = Failure::nonsense("it lists what it was not asked for");
            return Err(failure.about_cloud());
        }
        let parts: Option<Vec<&str>> = parts.into_iter().collect();
        Ok(parts.and_then(|parts| ObjectName::new(&parts.join("/")).ok()))
    }
}

#[async_trait]
impl CloudBackend for Dropbox {
    async fn put(&self, name: &ObjectName, bytes: Bytes, how: PutMode) -> Result<Tag> {
        let mode = match &how {
            PutMode::Overwrite => Mode::Overwrite,
            PutMode::CreateOnly => Mode::Add,
            PutMode::Replace(tag) => Mode::Update(tag.as_str().to_owned()),
        };
        match self.client.upload(&self.path(name), &bytes, &mode).await {
            Ok(file) => Ok(Tag::new(&file.rev)),
            Err(Trouble::No(Said::Conflict | Said::NotFound, _)) if how != PutMode::Overwrite => {
                Err(CloudError::Conflict { name: name.clone() })
            }
            Err(trouble) => Err(about(trouble, name)),
        }
    }

    async fn get(&self, name: &ObjectName) -> Result<Option<(Bytes, Tag)>> {
        match self.client.download(&self.path(name)).await {
            Ok((bytes, rev)) => Ok(Some((bytes, Tag::new(&rev)))),
            Err(Trouble::No(Said::NotFound | Said::OtherKind, _)) => Ok(None),
            Err(trouble) => Err(about(trouble, name)),
        }
    }

    async fn list(
        &self,
        prefix: &ObjectName,
        after: Option<&ObjectName>,
    ) -> Result<Vec<ObjectMeta>> {
        let entries = match self.client.list(&self.path(prefix)).await {
            Ok(entries) => entries,
            Err(Trouble::No(Said::NotFound | Said::OtherKind, _)) => return Ok(Vec::new()),
            Err(trouble) => return Err(about(trouble, prefix)),
        };
        let mut page = Page::new(after, PAGE_LIMIT);
        for entry in entries.iter().filter(|entry| entry.tag == "file") {
            let path = entry.path_lower.as_deref().unwrap_or_default();
            if let Some(name) = self.name(path, prefix)? {
                page.add(name, entry.size);
            }
        }
        Ok(page.into_objects())
    }

    async fn delete(&self, name: &ObjectName) -> Result<()> {
        let path = self.path(name);
        // Deleting a folder would delete all that is in it; with a revision only a file goes.
        let rev = match self.client.find(&path).await {
            Ok(entry) => match entry.rev.filter(|_| entry.tag == "file") {
                Some(rev) => rev,
                None => return Ok(()),
            },
            Err(Trouble::No(Said::NotFound | Said::OtherKind, _)) => return Ok(()),
            Err(trouble) => return Err(about(trouble, name)),
        };
        match self.client.delete(&path, &rev).await {
            Ok(()) | Err(Trouble::No(Said::NotFound, _)) => Ok(()),
            // Another has replaced it meanwhile.
            Err(Trouble::No(Said::Conflict, failure)) => Err(failure.into_busy().about(name)),
            Err(trouble) => Err(about(trouble, name)),
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

fn about(trouble: Trouble, name: &ObjectName) -> CloudError {
    match trouble {
        Trouble::Cloud(error) => error,
        Trouble::No(said, failure) => match said {
            Said::Full => CloudError::Full { source: boxed(failure) },
            Said::Forbidden => CloudError::Unauthorized { source: boxed(failure) },
            Said::Busy => failure.into_busy().about(name),
            Said::Conflict | Said::NotFound | Said::OtherKind | Said::Other => failure.about(name),
        },
    }
}
