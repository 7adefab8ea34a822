//! Heads that newer ones have replaced: who polls reads few names.
//!
//! A cloud is tidied by what it has taken itself, so that one that is away keeps no other from it. What
//! stays is the newest four, the one that is acknowledged (whoever goes on after a crash begins there),
//! and the one that the fencing head names.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{Mutex, PoisonError},
    time::Duration,
};

use backup::{Head, ObjectHash, ObjectRef};
use cloud::CloudBackend;
use tokio::time::timeout;

use super::{fetch, post::Post, read_fence};
use crate::{Error, Result, session::Inner};

/// How many heads are kept in any case.
const KEPT: usize = 4;
/// For so many milliseconds somebody may still be about to read a head that was listed.
const GRACE: u64 = 60_000;
/// Deleting is paid for by the request, so it waits for several.
const AT_ONCE: usize = 32;
/// How long a cloud may take for it: it took the newest head just now, and others wait meanwhile.
const PATIENCE: Duration = Duration::from_secs(20);

/// The heads that each cloud has taken, oldest first, and when.
#[derive(Debug, Default)]
pub(crate) struct OldHeads(Mutex<BTreeMap<usize, VecDeque<(ObjectRef, u64)>>>);

impl OldHeads {
    /// Notes heads that a cloud has had since `at`, oldest first.
    fn note(&self, cloud: usize, heads: impl IntoIterator<Item = ObjectRef>, at: u64) {
        let mut clouds = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        clouds.entry(cloud).or_default().extend(heads.into_iter().map(|head| (head, at)));
    }

    /// Takes out those that may go from a cloud by now, if they are enough.
    fn take(&self, cloud: usize, now: u64) -> Vec<(ObjectRef, u64)> {
        let mut clouds = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let heads = clouds.entry(cloud).or_default();
        let replaced = heads.len().saturating_sub(KEPT);
        let old = |(_, at): &&(ObjectRef, u64)| now.saturating_sub(*at) >= GRACE;
        let count = heads.iter().take(replaced).take_while(old).count();
        if count < AT_ONCE { Vec::new() } else { heads.drain(..count).collect() }
    }

    /// Puts back what has to stay for now.
    fn put_back(&self, cloud: usize, kept: Vec<(ObjectRef, u64)>) {
        let mut clouds = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let heads = clouds.entry(cloud).or_default();
        kept.into_iter().rev().for_each(|head| heads.push_front(head));
    }
}

/// Notes what earlier sessions have left of this installation's own heads, which are all there are in
/// a cloud: a device may never run for long enough to tidy what it puts.
pub(super) async fn note_left(
    inner: &Inner,
    i: usize,
    cloud: &dyn CloudBackend,
    own: &[ObjectRef],
) -> Result<()> {
    // Several may be of one change, and their names do not tell which of them is the newest.
    let newest = own.iter().map(|object| object.id.to).max();
    let mut left: Vec<ObjectRef> =
        own.iter().filter(|object| Some(object.id.to) < newest).copied().collect();
    left.sort_unstable_by_key(|object| (object.id.to, object.hash));
    left.truncate(left.len().saturating_sub(KEPT));
    let Some(last) = left.last().filter(|_| left.len() >= AT_ONCE) else { return Ok(()) };
    let (sealer, now) = (&inner.tower.sealer, inner.tower.clock.now().0);
    let opened = fetch(cloud, &sealer.tag(), last).await;
    let opened =
        opened.and_then(|bytes| Ok(sealer.open::<Head>(last, ObjectHash::NONE, &bytes)?));
    let at = match opened {
        Ok(head) => head.time,
        Err(Error::Backup(_)) => now,
        Err(other) => return Err(other),
    };
    inner.old_heads.note(i, left, at);
    Ok(())
}

impl Post<'_> {
    /// Deletes heads that are replaced and old from the clouds that have the newest. What fails here
    /// is left to a later session, or to the next sweep.
    pub(super) async fn delete_old_heads(&self, inner: &Inner) {
        let now = self.tower.clock.now().0;
        for (i, heads) in inner.lines.take_heads() {
            inner.old_heads.note(i, heads, now);
        }
        for i in inner.lines.up_to_date() {
            let Some(cloud) = self.clouds.get(i) else { continue };
            let old = inner.old_heads.take(i, now);
            if old.is_empty() {
                continue;
            }
            match timeout(PATIENCE, self.delete_from(&**cloud, old)).await {
                Ok(Ok(kept)) => inner.old_heads.put_back(i, kept),
                Ok(Err(error)) => tracing::debug!(%error, cloud = i, "old heads stay for now"),
                Err(_) => tracing::debug!(cloud = i, "old heads stay, the cloud takes too long"),
            }
        }
    }

    /// Deletes those that nothing names; the others.
    async fn delete_from(
        &self,
        cloud: &dyn CloudBackend,
        old: Vec<(ObjectRef, u64)>,
    ) -> Result<Vec<(ObjectRef, u64)>> {
        let fence = read_fence(cloud, &self.tower.sealer).await?.map(|(fence, _)| fence);
        // Whoever restores single-writer data may begin there.
        let fenced = fence.and_then(|fence| fence.at).map(|at| at.head);
        let acknowledged = self.tower.recorder.state();
        let is_named = |head: ObjectRef| Some(head) == fenced || Some(head) == acknowledged.head;
        let (kept, old): (Vec<_>, Vec<_>) = old.into_iter().partition(|(head, _)| is_named(*head));
        // What was put under another id belongs to another copy of this device by now.
        let own = old.iter().filter(|(head, _)| head.id.writer == acknowledged.writer);
        let tag = self.tower.sealer.tag();
        for (head, _) in own {
            cloud.delete(&head.name(&tag)).await?;
        }
        Ok(kept)
    }
}
