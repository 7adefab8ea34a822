//! Catching up: a cloud that lacks what is no longer kept gets it from one that has it.
//!
//! What to copy is reached from a head by hashes, so a cloud that hides something is found out, and
//! no head comes before what it names.

use std::{collections::BTreeSet, sync::Arc};

use backup::{
    ChainWalk, Class, DumpIndex, Head, Link, ObjectHash, ObjectRef, ObjectSealer, SegmentBody,
};
use cloud::CloudBackend;

use super::super::begins_anew;
use crate::{
    Error, Result,
    error::chain,
    in_order::InOrder,
    restore::{Source, list},
};

/// How many of the heads before are copied: as many as are kept anyway.
const HEADS: usize = 4;

/// How many objects are on their way at once: each is held in memory.
const COPY_AT_ONCE: usize = 4;

type Cloud = Arc<dyn CloudBackend>;

/// Copies what a head of this installation needs, and what older restore points need as far as it is
/// there; then the head.
pub(super) async fn everything(
    sealer: &ObjectSealer,
    from: &Cloud,
    to: &Cloud,
    head: ObjectRef,
) -> Result<()> {
    let source = Source::new(sealer.clone(), [from.clone()], COPY_AT_ONCE);
    let opened: Head = source.open(&head, ObjectHash::NONE).await?.0;
    ChainWalk::new(&opened)?;
    let mut there = BTreeSet::new();
    for class in [Class::DumpPart, Class::DumpIndex, Class::Segment, Class::Head] {
        let listed = list(&**to, sealer, class, head.id.writer, (None, u64::MAX)).await?;
        there.extend(listed.into_iter().map(|(object, _)| object));
    }
    let mut copy = Copy { source, to: to.clone(), there, walked: BTreeSet::new() };
    let index = copy.dump(&opened.dump).await?;
    for kept in &index.older {
        bear(copy.dump(&kept.index).await.map(drop))?;
    }
    copy.segments(&opened, &index).await?;
    // Whoever follows the heads finds no gap. One that is not whole must not be the newest there.
    let mut late = Vec::new();
    for (object, before) in copy.heads_before(&opened).await?.into_iter().rev() {
        match copy.restore_point(&before).await {
            Ok(()) => bear(copy.all([object]).await)?,
            Err(Error::Backup(_)) => late.push(object),
            Err(other) => return Err(other),
        }
    }
    copy.all([head]).await?;
    bear(copy.all(late).await)?;
    tracing::info!(writer = %head.id.writer, "a cloud has caught up from another one");
    Ok(())
}

/// What older restore points need may be missing.
fn bear(outcome: Result<()>) -> Result<()> {
    match outcome {
        Err(error @ Error::Backup(_)) => {
            tracing::debug!(error = chain(&error), "an older restore point is not copied");
            Ok(())
        }
        other => other,
    }
}

struct Copy {
    source: Source,
    to: Cloud,
    /// Objects never change and their names hold their hashes, so these are not looked at again.
    there: BTreeSet<ObjectRef>,
    /// Segments that were looked at, with all before them that are needed.
    walked: BTreeSet<ObjectRef>,
}

impl Copy {
    /// A dump and the full one below it.
    async fn dump(&mut self, object: &ObjectRef) -> Result<DumpIndex> {
        let index: DumpIndex = self.source.open(object, ObjectHash::NONE).await?.0;
        if let Some(base) = backup::check_dump(object.id.writer, object, &index)?
            && !self.there.contains(&base)
        {
            let below: DumpIndex = self.source.open(&base, ObjectHash::NONE).await?.0;
            self.all(below.parts).await?;
            self.all([base]).await?;
        }
        self.all(index.parts.iter().copied()).await?;
        self.all([*object]).await?;
        Ok(index)
    }

    /// The segments behind the dump, and those before it that older restore points need.
    async fn segments(&mut self, head: &Head, index: &DumpIndex) -> Result<()> {
        let floor = index.floor(&head.dump).min(head.sequence);
        let covered = index.older.iter().map(|kept| kept.index.id.from).chain([head.dump.id.from]);
        let walk = ChainWalk::back_to(head.dump.id.writer, head.newest.clone(), floor);
        let mut walk = walk.over(covered);
        let mut left = head.sequence;
        let outcome = loop {
            let link = match walk.next_link() {
                Ok(Some(link)) => link.clone(),
                Ok(None) => break Ok(()),
                Err(error) => break Err(error.into()),
            };
            let bodies = match self.segment(&link).await {
                Ok(bodies) => bodies,
                Err(error) => break Err(error),
            };
            if let Err(error) = walk.opened(bodies) {
                break Err(error.into());
            }
            left = link.range().0.saturating_sub(1);
        };
        if left <= head.dump.id.from { bear(outcome) } else { outcome }
    }

    async fn segment(&mut self, link: &Link) -> Result<Vec<SegmentBody>> {
        let mut bodies = Vec::with_capacity(link.parts.len());
        for part in &link.parts {
            bodies.push(self.source.open(part, link.previous).await?.0);
        }
        self.all(link.parts.iter().copied()).await?;
        self.walked.extend(&link.parts);
        Ok(bodies)
    }

    /// The heads before this one, newest first.
    async fn heads_before(&mut self, newest: &Head) -> Result<Vec<(ObjectRef, Head)>> {
        let mut before: Vec<(ObjectRef, Head)> = Vec::new();
        let mut next = newest.previous.filter(|_| !begins_anew(newest));
        while let Some(object) = next.filter(|_| before.len() + 1 < HEADS) {
            let head: Head = match self.source.open(&object, ObjectHash::NONE).await {
                Ok((head, _)) => head,
                Err(error) => {
                    bear(Err(error))?;
                    break;
                }
            };
            next = head.previous.filter(|_| !begins_anew(&head));
            before.push((object, head));
        }
        Ok(before)
    }

    /// What a head needs itself.
    async fn restore_point(&mut self, head: &Head) -> Result<()> {
        let mut walk = ChainWalk::new(head)?;
        self.dump(&head.dump).await?;
        while let Some(link) = walk.next_link()?.cloned() {
            if link.parts.iter().all(|part| self.walked.contains(part)) {
                break;
            }
            walk.opened(self.segment(&link).await?)?;
        }
        Ok(())
    }

    /// Copies what is not there.
    async fn all(&mut self, objects: impl IntoIterator<Item = ObjectRef>) -> Result<()> {
        let missing: Vec<ObjectRef> =
            objects.into_iter().filter(|object| !self.there.contains(object)).collect();
        let mut left = missing.iter().copied();
        let mut running = InOrder::new(COPY_AT_ONCE);
        loop {
            while running.has_room()
                && let Some(object) = left.next()
            {
                let (source, to) = (self.source.clone(), self.to.clone());
                running.push(async move {
                    let bytes = source.get(&object).await?;
                    cloud::put_backup(&*to, &source.sealer.copy(&object, bytes)?).await?;
                    Ok(())
                });
            }
            let Some(copied) = running.next().await else { break };
            copied?;
        }
        self.there.extend(missing);
        Ok(())
    }
}
