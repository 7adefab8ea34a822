//! Looking into the clouds with suspicion: what they show against what they showed before.

use std::{
    collections::BTreeMap,
    sync::{Arc, PoisonError},
};

use backup::{
    Ancestry, Class, Fence, Finding, Gate, Head, History, ObjectHash, ObjectId, ObjectRef,
    Sighting, Suspicion, WriterId,
};
use cloud::CloudBackend;

use super::{fence, fetch, post::Post};
use crate::{Error, Event, Result, restore::list, session::Inner, wallet::blocking};

/// A running writer puts a head at least this often, in milliseconds, so that a frozen cloud shows.
const HEARTBEAT: u64 = 60 * 60 * 1000;

/// How many heads back one is followed to the one seen before.
const MOST_ANCESTORS: usize = 64;

/// How many of this installation's own heads are looked at: more than a cloud keeps for long.
const OWN_HEADS: usize = 8;

/// The extension of a head that holds the session which put it: 16 random bytes.
pub(super) const SESSION_EXTENSION: u32 = 17;

type Heads = Vec<(ObjectRef, Head)>;

/// Looks into every cloud that answers, and writes down what is suspicious. Only who holds the
/// posting lock may.
#[tracing::instrument(skip_all)]
pub(crate) async fn look(inner: &Inner, clouds: &[Arc<dyn CloudBackend>]) -> Result<()> {
    let mut looked_at = Vec::new();
    let mut failure = None;
    let mut others: Option<(ObjectRef, bool)> = None;
    for (i, cloud) in clouds.iter().enumerate() {
        match look_into(inner, i, cloud).await {
            Ok(foreign) => {
                looked_at.push(inner.cloud_name(i));
                others = others.max(foreign);
            }
            Err(error) => failure = Some(error),
        }
    }
    let settings = &inner.tower.settings;
    let (frozen, patience) =
        (settings.frozen_after.as_millis() as u64, settings.withheld_after.as_millis() as u64);
    let retired: Vec<WriterId> =
        inner.tower.recorder.retired().into_iter().map(|retired| retired.writer).collect();
    let me = inner.tower.recorder.state().writer;
    inner.change_history(|history, now| {
        let mut new = history.compare(&looked_at, now, patience);
        for cloud in &looked_at {
            let runs = |writer| writer != me && !retired.contains(&writer);
            new.extend(history.frozen(cloud, now, frozen, runs));
        }
        new
    })?;
    if let Some((head, is_newer)) = others {
        inner.copied(head, is_newer).await?;
    }
    match failure {
        Some(error) if looked_at.is_empty() => Err(error),
        _ => Ok(()),
    }
}

/// One cloud: its newest heads against the marks. The newest head under this installation's name
/// that it did not put, and whether that is beyond its own.
async fn look_into(
    inner: &Inner,
    i: usize,
    cloud: &Arc<dyn CloudBackend>,
) -> Result<Option<(ObjectRef, bool)>> {
    let sealer = &inner.tower.sealer;
    let tag = sealer.tag();
    let name = inner.cloud_name(i);
    let listed = cloud::poll_backups(&**cloud, &backup::class_prefix(&tag, Class::Head)).await?;
    let mut by_writer: BTreeMap<WriterId, Vec<ObjectRef>> = BTreeMap::new();
    for object in listed.iter().filter_map(|meta| ObjectRef::parse(&tag, &meta.name).ok()) {
        by_writer.entry(object.id.writer).or_default().push(object);
    }
    let me = inner.tower.recorder.state().writer;
    let marks: BTreeMap<WriterId, ObjectRef> = inner.with_history(|history| {
        let mark = |writer: &WriterId| Some((*writer, history.mark(&name, *writer)?.head));
        by_writer.keys().filter_map(mark).collect()
    });
    let mut sightings = Vec::new();
    let (mut lacking, mut whole) = (Vec::new(), Vec::new());
    let is_first = inner.is_first_look_into(i);
    let gaps: Vec<WriterId> = inner.with_history(|history| history.gaps(&name).collect());
    for (writer, objects) in &by_writer {
        let newest = objects.iter().map(|object| object.id.to).max();
        let mut heads: Heads = Vec::new();
        for object in objects.iter().filter(|object| Some(object.id.to) == newest) {
            match open(inner, &**cloud, object).await {
                Ok(head) => heads.push((*object, head)),
                // Whatever is wrong with one writer's objects keeps no other from its backup.
                Err(Error::Backup(_)) => lacking.push((*writer, object.id.to)),
                Err(other) => return Err(other),
            }
        }
        let Some((object, head)) = backup::newest_head(&heads).cloned() else { continue };
        let ancestry = match marks.get(writer) {
            // Its own history an installation knows: see `own_heads`.
            Some(mark) if *writer != me => {
                ancestry(inner, &**cloud, (&object, &head), mark, objects).await?
            }
            _ => Ancestry::Continues,
        };
        if is_first || marks.get(writer) != Some(&object) || gaps.contains(writer) {
            match is_whole(inner, &**cloud, &head).await? {
                true => whole.push(*writer),
                false => lacking.push((*writer, object.id.to)),
            }
        }
        sightings.push(Sighting { head: object, time: head.time, ancestry });
    }
    inner.change_history(|history, now| {
        let mut new = history.look(&name, &sightings, now);
        history.resolve(
            &name,
            |what| matches!(what, Suspicion::Gap { writer, .. } if whole.contains(writer)),
        );
        for (writer, head) in lacking {
            new.extend(history.find(&name, Suspicion::Gap { writer, head }, now));
        }
        new
    })?;
    match fence::read(&**cloud, sealer).await {
        Ok(Some((fence, _))) => {
            stale_writers(inner, &name, &**cloud, &fence, &sightings).await?;
        }
        // A damaged one stands in the way of whoever has to replace it, and is told there.
        Ok(None) | Err(Error::Backup(_)) => {}
        Err(other) => return Err(other),
    }
    let own = by_writer.remove(&me).unwrap_or_default();
    own_heads(inner, &**cloud, own).await
}

async fn open(inner: &Inner, cloud: &dyn CloudBackend, object: &ObjectRef) -> Result<Head> {
    let bytes = fetch(cloud, &inner.tower.sealer.tag(), object).await?;
    Ok(inner.tower.sealer.open(object, ObjectHash::NONE, &bytes)?)
}

/// Whether the objects that a head names itself are there: the index of its dump, and its newest
/// segment. The rest is the business of a scrub.
async fn is_whole(inner: &Inner, cloud: &dyn CloudBackend, head: &Head) -> Result<bool> {
    let sealer = &inner.tower.sealer;
    let newest = head.newest.iter().flat_map(|link| &link.parts);
    for object in newest.chain([&head.dump]) {
        let ObjectId { class, writer, from, .. } = object.id;
        let listed = list(cloud, sealer, class, writer, (from.checked_sub(1), from)).await?;
        if listed.iter().any(|(found, _)| found == object) {
            continue;
        }
        // A listing may lag behind.
        match fetch(cloud, &sealer.tag(), object).await {
            Ok(_) => {}
            Err(Error::Backup(_)) => return Ok(false),
            Err(other) => return Err(other),
        }
    }
    Ok(true)
}

/// Whether a head builds on the one seen before.
async fn ancestry(
    inner: &Inner,
    cloud: &dyn CloudBackend,
    newest: (&ObjectRef, &Head),
    mark: &ObjectRef,
    listed: &[ObjectRef],
) -> Result<Ancestry> {
    let (mut object, mut previous) = (*newest.0, newest.1.previous);
    for _ in 0..MOST_ANCESTORS {
        if object == *mark {
            return Ok(Ancestry::Continues);
        }
        match previous {
            Some(before) if before == *mark => return Ok(Ancestry::Continues),
            Some(before) if before.id.to < mark.id.to => return Ok(Ancestry::Forks),
            None => return Ok(Ancestry::Forks),
            Some(before) if !listed.contains(&before) => return Ok(Ancestry::Unknown),
            Some(before) => {
                let head = match open(inner, cloud, &before).await {
                    Ok(head) => head,
                    Err(Error::Backup(_)) => return Ok(Ancestry::Unknown),
                    Err(other) => return Err(other),
                };
                (object, previous) = (before, head.previous);
            }
        }
    }
    Ok(Ancestry::Unknown)
}

/// Writers that were fenced off and go on with single-writer data.
async fn stale_writers(
    inner: &Inner,
    name: &str,
    cloud: &dyn CloudBackend,
    fence: &Fence,
    sightings: &[Sighting],
) -> Result<()> {
    let me = inner.tower.recorder.state().writer;
    for sighting in sightings {
        let (writer, has) = (sighting.head.id.writer, sighting.head.id.to);
        let Some(counts) = fence.counts_for(writer).filter(|counts| *counts < has) else {
            continue;
        };
        if writer == me || writer == fence.writer {
            continue;
        }
        match writes_single(inner, cloud, &sighting.head, counts).await {
            Ok(false) | Err(Error::Backup(_)) => {}
            Err(other) => return Err(other),
            Ok(true) => {
                let what = Suspicion::StaleWriter { writer, counts, has };
                inner.change_history(|history, now| {
                    history.find(name, what, now).into_iter().collect()
                })?;
            }
        }
    }
    Ok(())
}

/// Whether the newest segment of a head comes behind `counts` and holds single-writer data.
async fn writes_single(
    inner: &Inner,
    cloud: &dyn CloudBackend,
    object: &ObjectRef,
    counts: u64,
) -> Result<bool> {
    let head = open(inner, cloud, object).await?;
    let Some(newest) = head.newest.filter(|newest| newest.range().1 > counts) else {
        return Ok(false);
    };
    for part in &newest.parts {
        let bytes = fetch(cloud, &inner.tower.sealer.tag(), part).await?;
        let body: backup::SegmentBody = inner.tower.sealer.open(part, newest.previous, &bytes)?;
        if !body.single_writer.is_empty() {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Finds the newest head that carries this installation's name and was put by another folder; and
/// whether it comes before the newest of our own.
async fn own_heads(
    inner: &Inner,
    cloud: &dyn CloudBackend,
    mut own: Vec<ObjectRef>,
) -> Result<Option<(ObjectRef, bool)>> {
    own.sort_unstable_by_key(|object| (object.id.to, object.hash));
    let state = inner.tower.recorder.state();
    let mut sessions = inner.tower.recorder.fence_state().sessions;
    sessions.push(inner.fence_session());
    let ours = state.head.map(|head| (head.id.to, head.hash));
    let newest = (state.head.map_or(0, |head| head.id.to), state.last_backup.unwrap_or(0));
    let mut foreign = None;
    for object in own.iter().rev().take(OWN_HEADS) {
        if state.head == Some(*object) {
            continue;
        }
        let head = match open(inner, cloud, object).await {
            Ok(head) => head,
            // What does not open was put by nobody.
            Err(Error::Backup(_)) => continue,
            Err(other) => return Err(other),
        };
        let session = head.extensions.iter().find(|(id, _)| *id == SESSION_EXTENSION);
        let is_beyond = object.id.to > inner.tower.recorder.sequence();
        let is_ours = match session {
            Some((_, session)) => sessions.iter().any(|known| known[..] == session[..]),
            None => true,
        };
        if is_beyond || !is_ours {
            let place = Some((object.id.to, object.hash));
            foreign = foreign.max(Some((*object, is_beyond || place > ours)));
        } else if (object.id.to, head.time) > newest || head.previous == state.head {
            // Several heads may hold the same: the later one is the newer.
            inner.adopt(*object, head.time);
        }
    }
    Ok(foreign)
}

impl Post<'_> {
    /// Once in a session, before anything goes up: is this folder an old copy, did an earlier
    /// session get further than it could write down?
    pub(super) async fn look_first(&mut self, inner: &Inner) -> Result<()> {
        if !inner.take_first_look() {
            return Ok(());
        }
        inner.note_session().await?;
        if let Err(error) = look(inner, self.clouds).await {
            inner.look_again();
            return Err(error);
        }
        self.state = inner.tower.recorder.state();
        if let Some(adopted) = inner.adopted() {
            // The next head names it, so that who saw it sees one history.
            self.state.head = Some(adopted);
        }
        Ok(())
    }

    /// Whether a head is due although nothing changed.
    pub(super) fn heartbeat_is_due(&self, inner: &Inner) -> bool {
        self.state.head.is_some() && inner.head_is_due()
    }

    /// The cloud has acknowledged a head: it must never again show less.
    pub(super) fn note_head(&self, inner: &Inner, head: ObjectRef, time: u64) -> Result<()> {
        inner.change_history(|history, now| {
            for i in 0..self.clouds.len() {
                history.put_head(&inner.cloud_name(i), head, time, now);
            }
            Vec::new()
        })
    }
}

impl Inner {
    /// Whether this installation has put no head for so long that a look at the cloud could not
    /// tell it from one that is switched off.
    pub(crate) fn head_is_due(&self) -> bool {
        let (me, now) = (self.tower.recorder.state().writer, self.tower.clock.now().0);
        let name = self.cloud_name(0);
        self.with_history(|history| {
            let mark = history.mark(&name, me);
            mark.is_some_and(|mark| now.saturating_sub(mark.seen) >= HEARTBEAT)
        })
    }

    pub(crate) fn with_history<T>(&self, read: impl FnOnce(&History) -> T) -> T {
        read(&self.tower.history.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Changes the history, writes it down if it did change, and tells what was newly found.
    pub(crate) fn change_history(
        &self,
        change: impl FnOnce(&mut History, u64) -> Vec<Finding>,
    ) -> Result<()> {
        let now = self.tower.clock.now().0;
        let mut history = self.tower.history.lock().unwrap_or_else(PoisonError::into_inner);
        let before = history.clone();
        let new = change(&mut history, now);
        let noted = match *history == before {
            true => Ok(()),
            false => self.tower.recorder.set_history(&history),
        };
        drop(history);
        for finding in new {
            tracing::warn!(cloud = finding.cloud, what = ?finding.what, "suspicious");
            self.tell(Event::Suspicious(finding.into()));
        }
        Ok(noted?)
    }

    /// A head under our own name that this folder did not put. The later of two copies yields.
    async fn copied(&self, head: ObjectRef, we_yield: bool) -> Result<()> {
        let found = head.id.to;
        let name = self.cloud_name(0);
        self.change_history(|history, now| {
            history.find(&name, Suspicion::Copied { found }, now).into_iter().collect()
        })?;
        if !we_yield {
            return Ok(());
        }
        let state = self.tower.recorder.fence_state();
        if state.gate == Gate::Open {
            self.stop(state, Gate::Copied).await?;
        }
        let recorder = self.tower.recorder.clone();
        let writer =
            blocking(move || recorder.continue_as_new_writer().map_err(Error::from)).await?;
        tracing::warn!(%writer, "this folder is an old copy; it goes on under a new writer id");
        Ok(())
    }
}
