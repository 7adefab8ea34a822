//! Heads that this session has read already. A name holds the hash of what it names, so a head that
//! was read once in a cloud and is still listed there need not be asked for again: a look that finds
//! nothing new is one listing. Whether it is still whole is the business of a scrub.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::PoisonError,
};

use backup::{Head, ObjectRef};

use crate::session::Inner;

/// For each cloud the heads that were opened, and those that its last whole look has listed.
#[derive(Debug, Default)]
pub(crate) struct KnownHeads(BTreeMap<usize, Known>);

#[derive(Debug, Default)]
struct Known {
    opened: BTreeMap<ObjectRef, Head>,
    listed: BTreeSet<ObjectRef>,
}

/// The newest heads of every writer in the clouds that a look has just read, by the place of the cloud.
pub(crate) type Found = BTreeMap<usize, Vec<(ObjectRef, Head)>>;

impl Inner {
    /// A head, if it was read in this cloud before.
    pub(super) fn known_head(&self, cloud: usize, object: &ObjectRef) -> Option<Head> {
        self.with_heads(cloud, |known| known.opened.get(object).cloned())
    }

    pub(super) fn note_head(&self, cloud: usize, object: ObjectRef, head: Head) {
        self.with_heads(cloud, |known| known.opened.insert(object, head));
    }

    /// Whether the last whole look into this cloud has listed just the same.
    pub(super) fn is_listed_as_before(&self, cloud: usize, listed: &BTreeSet<ObjectRef>) -> bool {
        self.with_heads(cloud, |known| known.listed == *listed)
    }

    /// A look into this cloud has come to its end; what is no longer listed is forgotten.
    pub(super) fn note_listed(&self, cloud: usize, listed: BTreeSet<ObjectRef>) {
        self.with_heads(cloud, |known| {
            known.opened.retain(|object, _| listed.contains(object));
            known.listed = listed;
        });
    }

    fn with_heads<T>(&self, cloud: usize, work: impl FnOnce(&mut Known) -> T) -> T {
        let mut heads = self.heads.lock().unwrap_or_else(PoisonError::into_inner);
        work(heads.0.entry(cloud).or_default())
    }
}
