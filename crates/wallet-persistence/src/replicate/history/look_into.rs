//! One cloud: the newest head of every writer, against what was seen there.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use backup::{
    Ancestry, Class, Head, ObjectHash, ObjectId, ObjectRef, Sighting, Suspicion, WriterId,
};
use cloud::CloudBackend;

use super::{
    super::{fence, fetch, old_heads},
    writers::{own_heads, stale_writers},
};
use crate::{Error, Result, restore::list, session::Inner};

/// How many heads back one is followed to the one seen before.
const MOST_ANCESTORS: usize = 64;

type Heads = Vec<(ObjectRef, Head)>;

/// One cloud: its newest heads against the marks. The newest head under this installation's name
/// that it did not put, and whether that is beyond its own; and the newest heads of all, if every one
/// of them could be read.
pub(super) async fn look_into(
    inner: &Inner,
    i: usize,
    cloud: &Arc<dyn CloudBackend>,
) -> Result<(Option<(ObjectRef, bool)>, Option<Heads>)> {
    let sealer = &inner.tower.sealer;
    let tag = sealer.tag();
    let name = inner.cloud_name(i);
    let listed = cloud::poll_backups(&**cloud, &backup::class_prefix(&tag, Class::Head)).await?;
    let mut by_writer: BTreeMap<WriterId, Vec<ObjectRef>> = BTreeMap::new();
    let listed: BTreeSet<ObjectRef> =
        listed.iter().filter_map(|meta| ObjectRef::parse(&tag, &meta.name).ok()).collect();
    for object in listed.iter().copied() {
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
    let is_as_before = !is_first && inner.is_listed_as_before(i, &listed);
    let mut all = Some(Heads::new());
    let gaps: Vec<WriterId> = inner.with_history(|history| history.gaps(&name).collect());
    for (writer, objects) in &by_writer {
        let newest = objects.iter().map(|object| object.id.to).max();
        let mut heads: Heads = Vec::new();
        for object in objects.iter().filter(|object| Some(object.id.to) == newest) {
            match open(inner, (i, &**cloud), object).await {
                Ok(head) => heads.push((*object, head)),
                // Whatever is wrong with one writer's objects keeps no other from its backup.
                Err(Error::Backup(_)) => {
                    lacking.push((*writer, object.id.to));
                    all = None;
                }
                Err(other) => return Err(other),
            }
        }
        let Some((object, head)) = backup::newest_head(&heads).cloned() else { continue };
        if let Some(all) = &mut all {
            all.extend(heads);
        }
        let ancestry = match marks.get(writer) {
            None => Ancestry::Continues,
            // Its own history an installation knows: see `own_heads`.
            Some(_) if *writer == me => Ancestry::Unknown,
            Some(mark) => ancestry(inner, (i, &**cloud), (&object, &head), mark, objects).await?,
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
    if !is_as_before {
        match fence::read(&**cloud, sealer).await {
            Ok(Some((fence, _))) => {
                stale_writers(inner, (i, &**cloud), &fence, &sightings).await?;
            }
            // A damaged one stands in the way of whoever has to replace it, and is told there.
            Ok(None) | Err(Error::Backup(_)) => {}
            Err(other) => return Err(other),
        }
    }
    let own = by_writer.remove(&me).unwrap_or_default();
    if is_first {
        old_heads::note_left(inner, i, &**cloud, &own).await?;
    }
    let foreign = own_heads(inner, (i, &**cloud), own, marks.get(&me)).await?;
    inner.has_looked_into(i);
    inner.note_listed(i, listed);
    Ok((foreign, all))
}

/// A head, asked for unless it was read in this cloud before.
pub(super) async fn open(
    inner: &Inner,
    (i, cloud): (usize, &dyn CloudBackend),
    object: &ObjectRef,
) -> Result<Head> {
    if let Some(known) = inner.known_head(i, object) {
        return Ok(known);
    }
    let bytes = fetch(cloud, &inner.tower.sealer.tag(), object).await?;
    let head: Head = inner.tower.sealer.open(object, ObjectHash::NONE, &bytes)?;
    inner.note_head(i, *object, head.clone());
    Ok(head)
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
    cloud: (usize, &dyn CloudBackend),
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
