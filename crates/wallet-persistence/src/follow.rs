//! The records follow what merging has changed below them.

use std::sync::Arc;

use backup::Merged;

use crate::stores::Stores;

/// Tells every open object store what was merged. Fields keep nothing in memory, so they need not
/// follow.
#[derive(Debug, Clone)]
pub(crate) struct Follower(pub(crate) Arc<Stores>);

impl Follower {
    /// Takes over what was merged; how many pairs of records have one key in a unique index now.
    pub(crate) fn follow(&self, merged: &Merged) -> u64 {
        self.0.follow(merged)
    }
}
