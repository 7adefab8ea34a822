//! Putting the objects of a segment and the head: the same bytes again after a failure.

use std::sync::{Arc, Mutex, PoisonError};

use backup::{Head, Link, ObjectHash, ObjectRef, Sealed, SealedSegment};
use tokio::task::JoinSet;

use super::post::Post;
use crate::{Error, Result};

/// How many objects go up at once.
const PUT_AT_ONCE: usize = 8;

/// What was sealed and is not acknowledged. It goes up again as it is, so that what a failed try has
/// left in a cloud is used and not left behind.
#[derive(Debug, Default)]
pub(crate) struct Kept {
    /// With the number of its changed keys.
    segment: Mutex<Option<(SealedSegment, usize)>>,
    head: Mutex<Option<KeptHead>>,
}

/// A head that may be in a cloud already. Whoever saw it there must see that the next one follows it:
/// two heads after one look like two copies of this installation.
#[derive(Debug, Clone)]
pub(super) struct KeptHead {
    pub(super) object: ObjectRef,
    pub(super) head: Head,
    pub(super) sealed: Sealed,
}

impl Kept {
    fn keep(&self, segment: Option<(SealedSegment, usize)>) {
        *self.segment.lock().unwrap_or_else(PoisonError::into_inner) = segment;
    }

    fn get(&self) -> Option<(SealedSegment, usize)> {
        self.segment.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn keep_head(&self, head: KeptHead) {
        *self.head.lock().unwrap_or_else(PoisonError::into_inner) = Some(head);
    }

    pub(super) fn head(&self) -> Option<KeptHead> {
        self.head.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Post<'_> {
    /// Puts the segment that an earlier try has sealed, if it is the next one of the chain.
    pub(super) async fn put_kept(&mut self) -> Result<()> {
        let Some((kept, changes)) = self.tower.kept.get() else { return Ok(()) };
        let previous = self.state.newest.as_ref().map_or(ObjectHash::NONE, Link::hash);
        let follows = kept.link.previous == previous
            && kept.link.range().0 == self.state.backed_up + 1
            && kept.link.parts.iter().all(|part| part.id.writer == self.state.writer);
        if !follows {
            self.tower.kept.keep(None);
            return Ok(());
        }
        self.put_segment(kept, changes).await
    }

    /// Puts a segment with so many changed keys and makes it the newest one.
    pub(super) async fn put_segment(
        &mut self,
        segment: SealedSegment,
        changes: usize,
    ) -> Result<()> {
        let bytes: u64 = segment.objects.iter().map(|object| object.bytes().len() as u64).sum();
        // More than that is rather sealed again than held.
        let keep = bytes <= self.tower.settings.memory_budget;
        self.tower.kept.keep(keep.then(|| (segment.clone(), changes)));
        self.single_writer |= segment.single_writer;
        self.put_all(segment.objects).await?;
        self.report.changes += changes;
        self.state.backed_up = segment.link.range().1;
        self.state.newest = Some(segment.link);
        self.state.segments_since_dump.0 += bytes;
        self.state.segments_since_dump.1 += 1;
        Ok(())
    }

    /// What was kept is acknowledged.
    pub(super) fn forget_kept(&self) {
        self.tower.kept.keep(None);
        *self.tower.kept.head.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    pub(super) async fn put_all(&mut self, objects: Vec<Sealed>) -> Result<()> {
        let mut tasks: JoinSet<Result<()>> = JoinSet::new();
        for object in objects {
            self.report.objects += 1;
            self.report.bytes += object.bytes().len() as u64;
            for cloud in self.clouds {
                if tasks.len() >= PUT_AT_ONCE
                    && let Some(put) = tasks.join_next().await
                {
                    put.map_err(|_| Error::Task)??;
                }
                let (cloud, object) = (Arc::clone(cloud), object.clone());
                tasks.spawn(async move {
                    cloud::put_backup(&*cloud, &object).await?;
                    Ok(())
                });
            }
        }
        // Dropped before its end, the set ends the rest.
        while let Some(put) = tasks.join_next().await {
            put.map_err(|_| Error::Task)??;
        }
        Ok(())
    }
}
