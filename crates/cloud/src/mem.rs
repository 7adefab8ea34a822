//! A cloud in memory: the reference implementation, and a cloud for tests.

use std::{
    collections::BTreeMap,
    fmt,
    ops::Bound,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use async_trait::async_trait;
use backup::ObjectName;
use bytes::Bytes;

use crate::{CloudBackend, CloudError, Limits, ObjectMeta, Probe, PutMode, Result, Tag};

/// Names per page, unless a test asks for less.
const PAGE_LIMIT: usize = 1000;

/// Keeps objects in memory. Clones share the objects; they end with the last clone.
#[derive(Clone)]
pub struct MemCloud {
    state: Arc<Mutex<State>>,
    page_limit: usize,
}

#[derive(Default)]
struct State {
    objects: BTreeMap<ObjectName, (Bytes, Tag)>,
    /// Counts the puts. Each gives its number as the tag, so no tag ever comes back.
    puts: u64,
}

impl MemCloud {
    /// A new, empty cloud.
    pub fn new() -> Self {
        Self { state: Arc::default(), page_limit: PAGE_LIMIT }
    }

    /// Sets the most names in a page of a listing (at least one), so that tests see many pages.
    #[must_use]
    pub fn with_page_limit(self, page_limit: usize) -> Self {
        let page_limit = page_limit.max(1);
        Self { page_limit, ..self }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Default for MemCloud {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for MemCloud {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "MemCloud({} objects)", self.state().objects.len())
    }
}

#[async_trait]
impl CloudBackend for MemCloud {
    async fn put(&self, name: &ObjectName, bytes: Bytes, how: PutMode) -> Result<Tag> {
        let mut state = self.state();
        let current = state.objects.get(name).map(|(_, tag)| tag);
        let allowed = match how {
            PutMode::Overwrite => true,
            PutMode::CreateOnly => current.is_none(),
            PutMode::Replace(tag) => current == Some(&tag),
        };
        if !allowed {
            return Err(CloudError::Conflict { name: name.clone() });
        }
        state.puts += 1;
        let tag = Tag::new(&state.puts.to_string());
        state.objects.insert(name.clone(), (bytes, tag.clone()));
        Ok(tag)
    }

    async fn get(&self, name: &ObjectName) -> Result<Option<(Bytes, Tag)>> {
        Ok(self.state().objects.get(name).cloned())
    }

    async fn list(
        &self,
        prefix: &ObjectName,
        after: Option<&ObjectName>,
    ) -> Result<Vec<ObjectMeta>> {
        let start = after.filter(|after| *after > prefix).unwrap_or(prefix);
        let state = self.state();
        // Between `a` and `a/x` there may be `a-b`, which is not below `a` but begins with it.
        let names = state
            .objects
            .range((Bound::Excluded(start), Bound::Unbounded))
            .take_while(|(name, _)| name.as_str().starts_with(prefix.as_str()))
            .filter(|(name, _)| name.is_below(prefix));
        Ok(names
            .take(self.page_limit)
            .map(|(name, (bytes, _))| ObjectMeta { name: name.clone(), size: bytes.len() as u64 })
            .collect())
    }

    async fn delete(&self, name: &ObjectName) -> Result<()> {
        self.state().objects.remove(name);
        Ok(())
    }

    fn limits(&self) -> Limits {
        Limits {
            largest_object: u64::MAX,
            listing_is_immediate: true,
            full_page: Some(self.page_limit),
            can_honour: Probe::ALL,
        }
    }
}
