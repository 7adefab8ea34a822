//! Deleting what no kept restore point needs: only this installation's own objects, only after a
//! verified newer dump, and only after a grace.
//!
//! What may go is decided anew from what the newest dump reaches in that very cloud, so it does not
//! matter where an earlier sweep was interrupted.

use std::collections::BTreeSet;

use backup::{
    BackupState, ChainWalk, Class, DumpIndex, Error as BackupError, Head, ObjectHash, ObjectRef,
    WriterId,
};
use cloud::CloudBackend;
use kv_core::{Batch, KvStore};

use super::{
    super::{fetch, race, read_fence},
    due::millis,
};
use crate::{
    Error, Result, Settings,
    in_order::InOrder,
    restore::{Source, list},
    session::Inner,
    wallet::blocking,
};

/// How many of its own heads an installation keeps.
const HEADS: usize = 4;

/// How many of the noted dumps may have their effect by now.
fn count_due(state: &BackupState, settings: &Settings, now: u64) -> usize {
    let grace = millis(settings.delete_after);
    let over = |(time, _): &(u64, ObjectRef)| now.saturating_sub(*time) >= grace;
    state.dumps.sweeps.iter().rposition(over).map_or(0, |last| last + 1)
}

/// Whether something may be deleted by now.
pub(crate) fn due(state: &BackupState, settings: &Settings, now: u64) -> bool {
    count_due(state, settings, now) > 0
}

/// Sweeps every cloud where that is due. How many objects went; `None`: not now, since a cloud is
/// behind or cannot be asked what its fencing head names.
#[tracing::instrument(skip_all)]
pub(crate) async fn sweep(
    inner: &Inner,
    clouds: &[std::sync::Arc<dyn CloudBackend>],
) -> Result<Option<u64>> {
    // No dump is under way meanwhile, so what is not reached and older than a dump is garbage.
    let _no_dump = inner.dumping.lock().await;
    let (state, now) = (inner.tower.recorder.state(), inner.tower.clock.now().0);
    let settings = &inner.tower.settings;
    let count = count_due(&state, settings, now);
    // What the last of them keeps, or a later one, whose grace is not over, did keep, stays.
    let Some(from) = count.checked_sub(1) else { return Ok(Some(0)) };
    let dumps: Vec<ObjectRef> =
        state.dumps.sweeps.iter().skip(from).map(|(_, index)| *index).collect();
    if (0..clouds.len()).any(|i| is_behind(inner, i, &state)) {
        return Ok(None);
    }
    let recorder = inner.tower.recorder.clone();
    // A crash must not bring back a state that builds on what is deleted now.
    blocking(move || recorder.submit(Batch::new()).wait().map_err(Error::from)).await?;
    let Some(fenced) = fenced(inner, clouds).await? else { return Ok(None) };
    let (mut swept, mut is_whole) = (0, true);
    for cloud in clouds {
        let source =
            Source::new(inner.tower.sealer.clone(), [cloud.clone()], settings.fetch_at_once);
        let (me, fenced) = (state.writer, fenced.as_slice());
        let sweep = Sweep { inner, source: &source, cloud: &**cloud, me, fenced };
        match sweep.run(&state, &dumps).await {
            // What is not whole is told by a look or a scrub, and is no place to delete.
            Err(Error::Backup(error)) => {
                tracing::warn!(%error, "nothing is deleted where something is missing");
                is_whole = false;
            }
            outcome => swept += outcome?,
        }
    }
    if !is_whole {
        return Ok(None);
    }
    let _no_backup = inner.posting.lock().await;
    let done = state.dumps.sweeps;
    let forget = |state: &mut BackupState| {
        state.dumps.sweeps.retain(|mark| !done.iter().take(count).any(|done| done == mark));
    };
    let mut state = inner.tower.recorder.state();
    forget(&mut state);
    inner.lines.change_pending(forget);
    inner.tower.recorder.acknowledge(state)?;
    tracing::info!(swept, "deleted what no restore point needs");
    Ok(Some(swept))
}

struct Sweep<'a> {
    inner: &'a Inner,
    source: &'a Source,
    cloud: &'a dyn CloudBackend,
    me: WriterId,
    /// The heads of this installation that a fencing head names: whoever restores single-writer data
    /// begins there.
    fenced: &'a [ObjectRef],
}

/// Whether a cloud lacks what was acknowledged, as far as is known: it may have to copy from another
/// one what would be deleted there.
fn is_behind(inner: &Inner, cloud: usize, state: &BackupState) -> bool {
    inner.lines.is_behind().unwrap_or_else(|| {
        // Nothing was put in this session.
        let name = inner.cloud_name(cloud);
        let mark = |history: &backup::History| history.mark(&name, state.writer).map(|m| m.head);
        inner.with_history(mark) != state.head
    })
}

/// What the fencing heads name of this installation's. `None`: one of several clouds cannot be asked, or
/// serves an older one than it had, and then nothing is deleted in any of them. What its fencing head
/// names should be whole there, but that cannot be seen from here, and whoever restores single-writer
/// data begins with it.
async fn fenced(
    inner: &Inner,
    clouds: &[std::sync::Arc<dyn CloudBackend>],
) -> Result<Option<Vec<ObjectRef>>> {
    let me = inner.tower.recorder.state().writer;
    let works = clouds.iter().enumerate().map(|(i, cloud)| {
        let (cloud, sealer) = (cloud.clone(), inner.tower.sealer.clone());
        (i, async move { read_fence(&*cloud, &sealer).await })
    });
    let mut fenced = Vec::new();
    for (i, fence) in race(works).await {
        let fence = match fence {
            Ok(found) => found.map(|(fence, _)| fence),
            Err(error @ (Error::Cloud(_) | Error::Backup(_))) if clouds.len() > 1 => {
                tracing::debug!(%error, cloud = i, "nothing is deleted for now");
                return Ok(None);
            }
            Err(error) => return Err(error),
        };
        // It may name more than this old state of it says; what is deleted does not come back.
        let name = inner.cloud_name(i);
        let (had, has) = (
            inner.with_history(|history| history.fence_mark(&name)),
            fence.as_ref().map(backup::Fence::progress),
        );
        if had > has {
            inner.fence_went_back(&name, has)?;
            return Ok(None);
        }
        fenced.extend(fence.and_then(|fence| fence.at).map(|at| at.head));
    }
    fenced.retain(|head| head.id.writer == me);
    Ok(Some(fenced))
}

impl Sweep<'_> {
    async fn run(&self, state: &BackupState, dumps: &[ObjectRef]) -> Result<u64> {
        let (Some(head), Some(newest), Some(oldest)) = (state.head, state.dump, dumps.first())
        else {
            return Ok(0);
        };
        let mut reached = BTreeSet::new();
        let mut floor = u64::MAX;
        let mut covered = Vec::new();
        for dump in dumps.iter().chain([&newest]) {
            let index = self.reach_dump(dump, &mut reached).await?;
            for kept in &index.older {
                self.reach_dump(&kept.index, &mut reached).await?;
            }
            floor = floor.min(index.floor(dump));
            covered.extend(index.older.iter().map(|kept| kept.index.id.from));
            covered.push(dump.id.from);
        }
        let before = oldest.id.from;
        let heads = self.list(Class::Head, u64::MAX).await?;
        let known = self.inner.tower.recorder.state().head;
        if heads.iter().any(|found| Some(found.id.to) > known.map(|head| head.id.to)) {
            // Another copy of this installation is at work, or a backup of our own is: not now.
            tracing::warn!("a newer head of this device is in the cloud, nothing is deleted");
            return Ok(0);
        }
        self.reach_heads(head, &mut reached).await?;
        self.reached_by_others(&mut reached).await?;
        self.reached_by_fence(&mut reached).await?;
        let segments = self.list(Class::Segment, before).await?;
        if is_ambiguous(&segments, floor) {
            self.reach_segments(state, (floor, covered), &mut reached).await?;
        } else {
            reached.extend(segments.iter().filter(|object| object.id.to > floor));
        }
        let mut garbage = heads;
        garbage.extend(segments);
        for class in [Class::DumpIndex, Class::DumpPart] {
            garbage.extend(self.list(class, before).await?);
        }
        garbage.retain(|object| object.id.from <= before && !reached.contains(object));
        self.delete(garbage).await
    }

    /// A dump, the full one below it, and their parts.
    async fn reach_dump(
        &self,
        object: &ObjectRef,
        reached: &mut BTreeSet<ObjectRef>,
    ) -> Result<DumpIndex> {
        let index: DumpIndex = self.source.open(object, ObjectHash::NONE).await?.0;
        reached.insert(*object);
        reached.extend(&index.parts);
        if let Some(base) = backup::check_dump(object.id.writer, object, &index)?
            && reached.insert(base)
        {
            let below: DumpIndex = self.source.open(&base, ObjectHash::NONE).await?.0;
            reached.extend(below.parts);
        }
        Ok(index)
    }

    /// The newest heads of this installation's chain, by their hashes, whatever else is listed.
    async fn reach_heads(
        &self,
        newest: ObjectRef,
        reached: &mut BTreeSet<ObjectRef>,
    ) -> Result<()> {
        let mut next = Some(newest);
        for _ in 0..HEADS {
            let Some(object) = next else { break };
            match self.source.open::<Head>(&object, ObjectHash::NONE).await {
                Ok((head, _)) => {
                    reached.insert(object);
                    next = head.previous;
                }
                // The newest must be there; an older one may be missing, which is no reason to keep
                // what is older still.
                Err(Error::Backup(BackupError::Missing { .. })) if object != newest => break,
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// What valid heads of other installations need of this one.
    async fn reached_by_others(&self, reached: &mut BTreeSet<ObjectRef>) -> Result<()> {
        let (tag, sealer) = (self.source.sealer.tag(), &self.source.sealer);
        let prefix = backup::class_prefix(&tag, Class::Head);
        for meta in cloud::poll_backups(self.cloud, &prefix).await? {
            let Ok(object) = ObjectRef::parse(&tag, &meta.name) else { continue };
            if object.id.writer == self.me {
                continue;
            }
            let bytes = match fetch(self.cloud, &tag, &object).await {
                Ok(bytes) => bytes,
                // It went meanwhile.
                Err(Error::Backup(BackupError::Missing { .. })) => continue,
                Err(error) => return Err(error),
            };
            // What does not open is no head, whatever its name.
            let Ok(head) = sealer.open::<Head>(&object, ObjectHash::NONE, &bytes) else { continue };
            if head.dump.id.writer == self.me {
                self.reach_dump(&head.dump, reached).await?;
            }
            let newest = head.newest.iter().flat_map(|link| &link.parts);
            reached.extend(newest.chain(&head.previous).filter(|o| o.id.writer == self.me));
        }
        Ok(())
    }

    /// The restore points that fencing heads name, with all they need.
    async fn reached_by_fence(&self, reached: &mut BTreeSet<ObjectRef>) -> Result<()> {
        for object in self.fenced {
            let head = match self.source.open::<Head>(object, ObjectHash::NONE).await {
                Ok((head, _)) => head,
                // Nothing that is still here can be reached through it.
                Err(Error::Backup(BackupError::Missing { .. })) => continue,
                Err(error) => return Err(error),
            };
            reached.insert(*object);
            self.reach_dump(&head.dump, reached).await?;
            let mut walk = ChainWalk::new(&head)?;
            while let Some(link) = walk.next_link()?.cloned() {
                let mut bodies = Vec::with_capacity(link.parts.len());
                for part in &link.parts {
                    bodies.push(self.source.open(part, link.previous).await?.0);
                }
                walk.opened(bodies)?;
                reached.extend(&link.parts);
            }
        }
        Ok(())
    }

    /// The segments of the chain, one by one.
    async fn reach_segments(
        &self,
        state: &BackupState,
        (floor, covered): (u64, Vec<u64>),
        reached: &mut BTreeSet<ObjectRef>,
    ) -> Result<()> {
        let walk = ChainWalk::back_to(self.me, state.newest.clone(), floor);
        let mut walk = walk.over(covered);
        while let Some(link) = walk.next_link()?.cloned() {
            let mut bodies = Vec::with_capacity(link.parts.len());
            for part in &link.parts {
                bodies.push(self.source.open(part, link.previous).await?.0);
            }
            walk.opened(bodies)?;
            reached.extend(&link.parts);
        }
        Ok(())
    }

    async fn list(&self, class: Class, last: u64) -> Result<Vec<ObjectRef>> {
        let listed = list(self.cloud, &self.source.sealer, class, self.me, (None, last)).await?;
        Ok(listed.into_iter().map(|(object, _)| object).collect())
    }

    async fn delete(&self, garbage: Vec<ObjectRef>) -> Result<u64> {
        let tag = self.source.sealer.tag();
        let mut running = InOrder::new(self.source.at_once);
        let mut left = garbage.iter();
        let mut deleted = 0;
        loop {
            while running.has_room()
                && let Some(object) = left.next()
            {
                let (source, name) = (self.source.clone(), object.name(&tag));
                running.push(async move { source.delete(&name).await });
            }
            let Some(done) = running.next().await else { return Ok(deleted) };
            done?;
            deleted += 1;
        }
    }
}

/// Whether names alone do not tell which segments behind `floor` belong to the chain: two that cover
/// the same number, of which one was left by an interrupted backup.
fn is_ambiguous(segments: &[ObjectRef], floor: u64) -> bool {
    let mut last: Option<&ObjectRef> = None;
    segments.iter().filter(|object| object.id.to > floor).any(|object| {
        let follows = last.is_none_or(|last| {
            let next_part = (object.id.from, object.id.to) == (last.id.from, last.id.to)
                && object.id.part == last.id.part + 1;
            next_part || (object.id.part == 0 && object.id.from == last.id.to + 1)
        });
        last = Some(object);
        !follows
    })
}
