//! Whether more is known to exist than would be restored.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

use backup::{Head, ObjectHash, ObjectRef, ObjectSealer, WriterId};
use serde::Serialize;
use vault::{Keys, RootSecret};

use super::{Offer, Point, RestoreAt, Source, point};
use crate::{Error, Result, builder::Parts};

/// A device of which more is known to exist than would be restored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct NewerState {
    /// The device.
    pub writer: String,
    /// The last of its changes that a head or the fence speaks of, by its numbers.
    pub known: u64,
    /// The last of its changes that would be restored; `None`: that cannot be compared, or is none.
    pub restored: Option<u64>,
}

impl fmt::Display for NewerState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { writer, known, .. } = self;
        match self.restored {
            Some(restored) => write!(f, "change {known} of device {writer}, of which {restored} "),
            None => write!(f, "change {known} of device {writer}, of which nothing "),
        }?;
        f.write_str("would be restored")
    }
}

/// For the message of an error.
pub(crate) fn list(newer: &[NewerState]) -> String {
    newer.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
}

/// Whether an older state is restored than is known to exist.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stale {
    Refused,
    Accepted,
}

/// What is to be restored.
pub(crate) struct Choice {
    pub(super) point: Point,
    pub(super) head: ObjectRef,
    /// What is known of and would not be restored.
    pub(crate) newer: Vec<NewerState>,
}

impl Choice {
    /// Why it is not restored without being asked for.
    pub(crate) fn refused(self) -> Error {
        Error::Stale { time: self.point.time, newer: self.newer }
    }
}

/// Finds the restore point that is wished for.
pub(crate) async fn choose(
    parts: &Parts,
    offer: &Offer,
    at: RestoreAt,
    root: &RootSecret,
) -> Result<Choice> {
    let sealer = ObjectSealer::new(Keys::derive(root));
    let clouds = offer.clouds.iter().cloned();
    let source = Source::new(sealer, clouds, parts.settings.fetch_at_once);
    let (point, head) = match at {
        RestoreAt::Newest => newest_whole(&source, offer).await?,
        _ => {
            let heads = (&offer.newest_each, &offer.newest);
            let (point, head) = point::find_among(&source, heads.0, heads.1, at).await?;
            (point, *head)
        }
    };
    let newer = newer(&point, offer, at);
    Ok(Choice { point, head, newer })
}

/// The newest head, unless what it names itself is nowhere and another cloud has an older head of
/// whose objects that is not so: a cloud that destroyed something must not keep the others from giving
/// what they have.
async fn newest_whole(source: &Source, offer: &Offer) -> Result<(Point, ObjectRef)> {
    let (newest, head) = &offer.newest;
    let older = offer.heads_of(newest.id.writer).into_iter();
    let mut older = older.filter(|(o, older)| o != newest && older.sequence <= head.sequence);
    let mut next = older.next();
    if next.is_some() && !is_whole(source, head).await? {
        while let Some((object, head)) = next {
            if is_whole(source, &head).await? {
                return Ok((point::newest(&head)?, object));
            }
            next = older.next();
        }
    }
    Ok((point::newest(head)?, *newest))
}

/// Whether the index of a head's dump is there, and its newest segment unless the dump holds that: then
/// it may have been deleted, or never have come to a cloud whose chain begins with the dump.
async fn is_whole(source: &Source, head: &Head) -> Result<bool> {
    let is_above = |part: &&ObjectRef| part.id.to > head.dump.id.to;
    let parts = head.newest.iter().flat_map(|link| &link.parts).filter(is_above);
    for object in parts.chain([&head.dump]) {
        match source.get(object).await {
            Ok(bytes) if ObjectHash::of(&bytes) == object.hash => {}
            Ok(_) => return Ok(false),
            Err(error) if error.says_lost() => return Ok(false),
            Err(other) => return Err(other),
        }
    }
    Ok(true)
}

/// What the heads and the fence speak of and this point does not hold.
///
/// Data that merges comes from the newest head of each device, now or with the next poll, so only a
/// tail that all clouds withhold is missed. Data with a single writer comes from the point itself.
fn newer(point: &Point, offer: &Offer, at: RestoreAt) -> Vec<NewerState> {
    let mut missed = BTreeMap::new();
    let mut miss = |writer: WriterId, known: u64, restored: Option<u64>| {
        if restored.is_none_or(|restored| restored < known) {
            let (most, _) = missed.entry(writer).or_insert((known, restored));
            *most = known.max(*most);
        }
    };
    let retired: BTreeSet<WriterId> = offer
        .all
        .iter()
        .flat_map(|(_, head)| head.retired())
        .map(|retired| retired.writer)
        .collect();
    let seen = offer.all.iter().flat_map(|(_, head)| &head.seen).map(|seen| seen.id);
    for seen in seen.filter(|seen| !retired.contains(&seen.writer)) {
        let listed = offer.newest_each.iter().find(|(object, _)| object.id.writer == seen.writer);
        miss(seen.writer, seen.to, listed.map(|(_, head)| head.sequence));
    }
    for lost in &offer.lost {
        let of = offer.newest_each.iter().find(|(object, _)| object.id.writer == lost.id.writer);
        let restored = match lost.id.writer == point.writer {
            true => Some(point.sequence),
            false => of.map(|(_, head)| head.sequence),
        };
        miss(lost.id.writer, lost.id.to, restored);
    }
    let (newest, head) = &offer.newest;
    if at == RestoreAt::Newest && newest.id.writer == point.writer {
        miss(point.writer, head.sequence, Some(point.sequence));
    }
    if let Some(fence) = &offer.fence
        && let Some(at) = fence.at
    {
        let of = |writer| (writer == point.writer).then_some(point.sequence);
        miss(newest.id.writer, head.sequence, of(newest.id.writer));
        // A holder's own chain begins with all that it took over.
        if at.writer == point.writer || fence.writer != point.writer {
            miss(at.writer, at.sequence, of(at.writer));
        }
    }
    let newer = missed.into_iter().map(|(writer, (known, restored))| NewerState {
        writer: writer.to_string(),
        known,
        restored,
    });
    newer.collect()
}
