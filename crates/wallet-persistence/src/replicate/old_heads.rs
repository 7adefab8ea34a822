//! Heads that newer ones have replaced: who polls reads few names.

use std::{
    collections::VecDeque,
    sync::{Mutex, PoisonError},
};

use backup::{BackupState, ObjectRef};

use super::{post::Post, read_fence};
use crate::session::Inner;

/// How many heads are kept in any case.
const KEPT: usize = 4;
/// For so many milliseconds somebody may still be about to read a head that was listed.
const GRACE: u64 = 60_000;
/// Deleting is paid for by the request, so it waits for several.
const AT_ONCE: usize = 32;

/// The heads that this process has put, oldest first, and when.
#[derive(Debug, Default)]
pub(crate) struct OldHeads(Mutex<VecDeque<(ObjectRef, u64)>>);

impl OldHeads {
    /// Notes one that was put and acknowledged; those that may go by now.
    fn put(&self, head: ObjectRef, now: u64) -> Vec<ObjectRef> {
        let mut heads = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        heads.push_back((head, now));
        let replaced = heads.len().saturating_sub(KEPT);
        let old = |(_, put): &&(ObjectRef, u64)| now.saturating_sub(*put) >= GRACE;
        let count = heads.iter().take(replaced).take_while(old).count();
        if count < AT_ONCE {
            return Vec::new();
        }
        heads.drain(..count).map(|(head, _)| head).collect()
    }
}

impl Post<'_> {
    /// Deletes heads of this process that are replaced and old. What fails here goes with the next
    /// sweep.
    pub(super) async fn delete_old_heads(
        &self,
        inner: &Inner,
        state: &BackupState,
        holders: &[usize],
    ) {
        let Some(head) = state.head else { return };
        let tag = self.tower.sealer.tag();
        let old = inner.old_heads.put(head, self.tower.clock.now().0);
        if old.is_empty() {
            return;
        }
        // A cloud that lacks the newest head keeps the old ones.
        for cloud in holders.iter().filter_map(|i| self.clouds.get(*i)) {
            let fence = match read_fence(&**cloud, &self.tower.sealer).await {
                Ok(found) => found.map(|(fence, _)| fence),
                Err(error) => {
                    tracing::debug!(%error, "old heads stay for now");
                    continue;
                }
            };
            // Whoever restores single-writer data may begin there.
            let fenced = fence.and_then(|fence| fence.at).map(|at| at.head);
            for old in old.iter().filter(|old| Some(**old) != fenced) {
                if let Err(error) = cloud.delete(&old.name(&tag)).await {
                    tracing::debug!(%error, "an old head stays for now");
                }
            }
        }
    }
}
