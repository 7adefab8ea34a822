//! A page of a listing, gathered from folders in any order.

use std::collections::BTreeMap;

use backup::ObjectName;

use crate::ObjectMeta;

/// The first objects after a name, of all that are added.
#[derive(Debug)]
pub(crate) struct Page {
    after: String,
    limit: usize,
    found: BTreeMap<ObjectName, u64>,
}

impl Page {
    /// An empty page of at most `limit` objects.
    pub(crate) fn new(after: Option<&ObjectName>, limit: usize) -> Self {
        let after = after.map(ObjectName::to_string).unwrap_or_default();
        Self { after, limit, found: BTreeMap::new() }
    }

    /// Whether what lies in the folder of this name may be on the page.
    pub(crate) fn wants_folder(&self, name: &ObjectName) -> bool {
        let begin = format!("{name}/");
        !self.is_late(&begin) && (begin > self.after || self.after.starts_with(&begin))
    }

    /// Whether an object of this name may be on the page.
    pub(crate) fn wants(&self, name: &ObjectName) -> bool {
        *name.as_str() > *self.after && !self.is_late(name.as_str())
    }

    /// Adds an object, if it is wanted.
    pub(crate) fn add(&mut self, name: ObjectName, size: u64) {
        if !self.wants(&name) {
            return;
        }
        self.found.insert(name, size);
        if self.found.len() > self.limit {
            self.found.pop_last();
        }
    }

    /// The page, ascending.
    pub(crate) fn into_objects(self) -> Vec<ObjectMeta> {
        self.found.into_iter().map(|(name, size)| ObjectMeta { name, size }).collect()
    }

    /// Whether the page is full of names that come before this one.
    fn is_late(&self, name: &str) -> bool {
        let last = self.found.last_key_value();
        self.found.len() >= self.limit && last.is_some_and(|(last, _)| last.as_str() < name)
    }
}
