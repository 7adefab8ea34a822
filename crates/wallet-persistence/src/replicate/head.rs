//! Heads: putting this installation's, and opening those a cloud holds.

use std::{cmp::Reverse, collections::BTreeMap};

use backup::{ChainWalk, Class, Head, ObjectHash, ObjectId, ObjectRef, WriterId};
use cloud::CloudBackend;

use super::{
    fetch,
    history::SESSION_EXTENSION,
    lines::{Batch, Counts, Sent},
    post::Post,
};
use crate::{Error, Result, session::Inner};

/// The extension, without content, of a head before which nothing is needed nor may be missed: some
/// cloud, or all of them, never got it.
const ANEW_EXTENSION: u32 = 18;

/// Whether the heads before this one may be missing in some cloud.
pub(crate) fn begins_anew(head: &Head) -> bool {
    head.extensions.iter().any(|(id, _)| *id == ANEW_EXTENSION)
}

impl Post<'_> {
    /// Seals the head of what is to go up, and sends all of it on its way.
    pub(super) fn head(&mut self, inner: &Inner, seen: Vec<ObjectRef>) -> Result<()> {
        let no_dump = backup::Error::BrokenChain { what: "a head needs a dump" };
        let dump = self.state.dump.ok_or(no_dump)?;
        let newest = self.state.newest.clone();
        let sequence = newest.as_ref().map_or(0, |link| link.range().1).max(dump.id.from);
        // Never behind a head this device has seen, whatever its clock says.
        let time = self.tower.recorder.head_time();
        let left = inner.lines.left_head();
        let previous = left.or(self.state.head);
        let mut extensions = self.tower.recorder.head_extensions(sequence);
        extensions.push((SESSION_EXTENSION, inner.fence_session().to_vec()));
        // One that was left may be in no cloud.
        if std::mem::take(&mut self.begins_anew) || left.is_some() {
            extensions.push((ANEW_EXTENSION, Vec::new()));
        }
        let head = Head {
            time,
            sequence,
            dump,
            newest,
            previous,
            seen: self.tower.recorder.seen_at(sequence),
            extensions,
        };
        // Whatever has happened meanwhile: what no reader could restore is not put.
        ChainWalk::new(&head)?;
        let id = ObjectId {
            class: Class::Head,
            writer: self.state.writer,
            epoch: 0,
            from: sequence,
            to: sequence,
            part: 0,
        };
        let (object, sealed) = self.tower.sealer.seal(id, ObjectHash::NONE, &head)?;
        self.state.head = Some(object);
        self.state.last_backup = Some(time);
        self.state.seen = seen;
        let (mut counts, bytes) = (std::mem::take(&mut self.counts), sealed.bytes().len() as u64);
        let objects = std::mem::take(&mut self.objects);
        counts.add(&Counts { objects: 1, bytes, ..Counts::default() });
        let sent = Sent { state: self.state.clone(), head, counts };
        let batch = Batch { objects, head: sealed, at: (object, time) };
        inner.lines.push(batch, sent, self.dump.take().as_ref());
        Ok(())
    }
}

/// The heads in a cloud, opened; of each writer only the newest unless `all`. Names that are none of
/// ours are skipped, damaged heads are an error.
pub(crate) async fn heads(
    sealer: &backup::ObjectSealer,
    cloud: &dyn CloudBackend,
    all: bool,
) -> Result<Vec<(ObjectRef, Head)>> {
    let (heads, lost) = readable_heads(sealer, cloud, all).await?;
    lost.into_iter().next().map_or(Ok(heads), |(_, error)| Err(error))
}

/// The same, and beside them those that are listed and cannot be read, with what is wrong with them.
/// Where that is the newest of a writer, the newest that can be read is there instead.
pub(crate) async fn readable_heads(
    sealer: &backup::ObjectSealer,
    cloud: &dyn CloudBackend,
    all: bool,
) -> Result<(Vec<(ObjectRef, Head)>, Vec<(ObjectRef, Error)>)> {
    let mut objects = listed(sealer, cloud).await?;
    objects.sort_by_key(|object| Reverse(object.id.to));
    let mut newest: BTreeMap<WriterId, u64> = BTreeMap::new();
    let (mut heads, mut lost) = (Vec::new(), Vec::new());
    for object in objects {
        let is_older = newest.get(&object.id.writer).is_some_and(|to| object.id.to < *to);
        if is_older && !all {
            continue;
        }
        match open(sealer, cloud, &object).await {
            Ok(head) => {
                newest.entry(object.id.writer).or_insert(object.id.to);
                heads.push((object, head));
            }
            Err(error) if error.says_lost() => lost.push((object, error)),
            Err(error) => return Err(error),
        }
    }
    Ok((heads, lost))
}

async fn listed(sealer: &backup::ObjectSealer, cloud: &dyn CloudBackend) -> Result<Vec<ObjectRef>> {
    let tag = sealer.tag();
    let listed = cloud::poll_backups(cloud, &backup::class_prefix(&tag, Class::Head)).await?;
    Ok(listed.iter().filter_map(|meta| ObjectRef::parse(&tag, &meta.name).ok()).collect())
}

async fn open(
    sealer: &backup::ObjectSealer,
    cloud: &dyn CloudBackend,
    object: &ObjectRef,
) -> Result<Head> {
    let bytes = fetch(cloud, &sealer.tag(), object).await?;
    Ok(sealer.open(object, ObjectHash::NONE, &bytes)?)
}
