//! A cloud that is a folder: a USB stick, a network drive, a folder that another program syncs.

mod error;
mod files;
mod folder;

use std::{
    panic,
    path::{Path, PathBuf},
    sync::Arc,
};

use async_trait::async_trait;
use backup::ObjectName;
use bytes::Bytes;

pub(crate) use self::folder::Expected;
use self::folder::Folder;
use crate::{CloudBackend, CloudError, Limits, ObjectMeta, Probe, PutMode, Result, Tag};

/// Names per page. Each page walks the folders anew, so it is large.
const PAGE_LIMIT: usize = 10_000;

/// Keeps each object as a file of the same name in a folder. Clones share the handle.
///
/// Any number of processes may use one folder: puts and deletes hold a lock file, and files appear
/// by renaming, whole and synced.
///
/// A folder that has gone (an unplugged stick) is [`CloudError::Unavailable`] and never looks empty.
#[derive(Debug, Clone)]
pub struct DirCloud {
    folder: Arc<Folder>,
    page_limit: usize,
}

impl DirCloud {
    /// Opens the folder, which is created if need be, though not the one it lies in, and sweeps what a
    /// crash has left. A relative path is resolved now. Blocks for a moment;
    /// [`open_cloud`](crate::open_cloud) does not.
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        Self::open_as(path.as_ref(), Expected::Nothing)
    }

    /// As [`open`](Self::open), where there must be what is expected; without blocking the runtime.
    pub(crate) async fn open_blocking(path: PathBuf, expected: Expected) -> Result<Self> {
        blocking(move || Self::open_as(&path, expected)).await
    }

    fn open_as(path: &Path, expected: Expected) -> Result<Self> {
        Ok(Self { folder: Arc::new(Folder::open(path, expected)?), page_limit: PAGE_LIMIT })
    }

    /// Sets the most names in a page of a listing (at least one), so that tests see many pages.
    #[must_use]
    pub fn with_page_limit(self, page_limit: usize) -> Self {
        let page_limit = page_limit.max(1);
        Self { page_limit, ..self }
    }
}

#[async_trait]
impl CloudBackend for DirCloud {
    async fn put(&self, name: &ObjectName, bytes: Bytes, how: PutMode) -> Result<Tag> {
        let (folder, name) = (self.folder.clone(), name.clone());
        blocking(move || folder.put(&name, &bytes, &how)).await
    }

    async fn get(&self, name: &ObjectName) -> Result<Option<(Bytes, Tag)>> {
        let (folder, name) = (self.folder.clone(), name.clone());
        blocking(move || folder.get(&name)).await
    }

    async fn list(
        &self,
        prefix: &ObjectName,
        after: Option<&ObjectName>,
    ) -> Result<Vec<ObjectMeta>> {
        let (folder, prefix, after) = (self.folder.clone(), prefix.clone(), after.cloned());
        let limit = self.page_limit;
        blocking(move || folder.list(&prefix, after.as_ref(), limit)).await
    }

    async fn delete(&self, name: &ObjectName) -> Result<()> {
        let (folder, name) = (self.folder.clone(), name.clone());
        blocking(move || folder.delete(&name)).await
    }

    fn limits(&self) -> Limits {
        Limits {
            // FAT32, on many sticks, ends here.
            largest_object: u32::MAX as u64,
            listing_is_immediate: true,
            full_page: Some(self.page_limit),
            can_honour: Probe::ALL,
        }
    }
}

/// Runs file work on a thread that may block. Dropping the future does not stop the work.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T> + Send + 'static,
) -> Result<T> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(stopped) => match stopped.try_into_panic() {
            Ok(panic) => panic::resume_unwind(panic),
            Err(_) => Err(CloudError::unavailable("the runtime is shutting down")),
        },
    }
}
