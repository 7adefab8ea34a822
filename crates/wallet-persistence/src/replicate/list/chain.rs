//! One installation's chain: its dumps and restore points, by the indexes of its dumps and the
//! names of its segments.

use std::collections::{BTreeMap, BTreeSet};

use backup::{Class, DumpIndex, Head, KeptDump, ObjectHash, ObjectRef, WriterId};
use serde::Serialize;

use super::{Found, by_writer, count};
use crate::{DumpKind, Error, Result, in_order::InOrder, restore::newest_point};

/// What one installation has in the clouds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct ChainSummary {
    /// Which installation.
    pub writer: String,
    /// Whether that is this one.
    pub mine: bool,
    /// Whether it was unseen for so long that another one no longer counts it.
    pub retired: bool,
    /// The last change that its newest restore point holds, by its own numbers; `None`: it has no
    /// head that opens, so nothing can be restored from it.
    pub sequence: Option<u64>,
    /// When that was put, in milliseconds since the Unix epoch, by its own clock.
    pub time: Option<u64>,
    /// How long ago that was by this device's clock, in milliseconds.
    pub age_ms: Option<u64>,
    /// How many restore points there are, by the names of the segments; what interrupted backups
    /// have left may be counted among them.
    pub restore_points: u64,
    /// Restore points reach back to this time, in milliseconds since the Unix epoch.
    pub since: Option<u64>,
    /// The dumps behind its restore points, newest first.
    pub dumps: Vec<DumpSummary>,
    /// How many segment objects it has.
    pub segments: u64,
    /// How many bytes they have.
    pub segment_bytes: u64,
    /// How many objects it has in all.
    pub objects: u64,
    /// How many bytes they have.
    pub bytes: u64,
}

/// One dump.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct DumpSummary {
    /// Whether it holds everything, or what has changed since the full one below it.
    pub kind: DumpKind,
    /// It holds everything up to this change.
    pub sequence: u64,
    /// When it began, in milliseconds since the Unix epoch, by its writer's clock.
    pub time: u64,
    /// How long ago that was by this device's clock, in milliseconds.
    pub age_ms: u64,
    /// How many live entries it holds.
    pub entries: u64,
    /// Bytes of their values.
    pub value_bytes: u64,
    /// How many objects it has.
    pub objects: u64,
    /// How many bytes they have.
    pub bytes: u64,
}

/// The chain of everybody who has something in the clouds, the newest first.
pub(super) async fn chains(found: &mut Found) -> Result<Vec<ChainSummary>> {
    let heads = by_writer(&found.heads);
    let mut retired = BTreeSet::new();
    for head in heads.values().filter_map(|heads| backup::newest_head(heads)) {
        retired.extend(head.1.retired().into_iter().map(|retired| retired.writer));
    }
    let writers: BTreeSet<WriterId> = found.objects.keys().map(|o| o.id.writer).collect();
    let mut chains = Vec::new();
    for writer in writers {
        let newest = heads.get(&writer).and_then(|heads| backup::newest_head(heads));
        let mut chain = outline(found, writer, newest);
        chain.retired = retired.contains(&writer);
        if let Some((_, head)) = newest {
            match dumps(found, head).await {
                Ok(dumps) => fill(&mut chain, found, head, dumps),
                Err(error @ Error::Backup(_)) => found.problem(&error),
                Err(error) => return Err(error),
            }
        }
        chains.push(chain);
    }
    chains.sort_by_key(|chain| std::cmp::Reverse((chain.time, chain.sequence)));
    Ok(chains)
}

/// What names and the newest head alone tell.
fn outline(found: &Found, writer: WriterId, newest: Option<&(ObjectRef, Head)>) -> ChainSummary {
    let of = |object: &ObjectRef| object.id.writer == writer;
    let (objects, bytes) = count(&found.objects, of);
    let is_segment = |object: &ObjectRef| of(object) && object.id.class == Class::Segment;
    let (segments, segment_bytes) = count(&found.objects, is_segment);
    let time = newest.map(|(_, head)| head.time);
    ChainSummary {
        writer: writer.to_string(),
        mine: writer == found.mine,
        retired: false,
        sequence: newest.map(|(_, head)| head.sequence),
        time,
        age_ms: time.map(|time| found.now.saturating_sub(time)),
        restore_points: u64::from(newest.is_some()),
        since: time,
        dumps: Vec::new(),
        segments,
        segment_bytes,
        objects,
        bytes,
    }
}

/// The dumps that a head's restore points build on, opened, newest first.
type Dumps = Vec<(ObjectRef, DumpIndex)>;

async fn dumps(found: &Found, head: &Head) -> Result<Dumps> {
    newest_point(head)?;
    let open = |object: ObjectRef| {
        let source = found.source.clone();
        async move { Ok((object, source.open::<DumpIndex>(&object, ObjectHash::NONE).await?.0)) }
    };
    let newest = open(head.dump).await?;
    let kept: Vec<KeptDump> = newest.1.older.clone();
    let bases = kept.iter().map(|dump| dump.base).chain([newest.1.base]).flatten();
    let below: BTreeSet<ObjectRef> = kept.iter().map(|dump| dump.index).chain(bases).collect();
    let mut opened = vec![newest];
    let mut left = below.into_iter();
    let mut running = InOrder::new(found.source.at_once);
    loop {
        while running.has_room()
            && let Some(object) = left.next()
        {
            running.push(open(object));
        }
        let Some(done) = running.next().await else { break };
        opened.push(done?);
    }
    opened.sort_by_key(|(object, index)| std::cmp::Reverse((object.id.from, index.time.0)));
    Ok(opened)
}

fn fill(chain: &mut ChainSummary, found: &Found, head: &Head, dumps: Dumps) {
    let Some((_, newest)) = dumps.iter().find(|(object, _)| *object == head.dump) else { return };
    let kept: Vec<KeptDump> =
        std::iter::once(newest.kept(head.dump)).chain(newest.older.iter().copied()).collect();
    let writer = head.dump.id.writer;
    chain.restore_points = restore_points(&found.objects, writer, head.sequence, &kept);
    chain.since = kept.iter().map(|dump| dump.time).min();
    let size = |object: &ObjectRef| found.objects.get(object).copied().unwrap_or(0);
    chain.dumps = dumps
        .iter()
        .map(|(object, index)| DumpSummary {
            kind: if index.base.is_some() { DumpKind::Delta } else { DumpKind::Full },
            sequence: object.id.from,
            time: index.time.0,
            age_ms: found.now.saturating_sub(index.time.0),
            entries: index.entries,
            value_bytes: index.bytes,
            objects: 1 + index.parts.len() as u64,
            bytes: index.sealed_bytes + size(object),
        })
        .collect();
}

/// How many moments can be restored: the ends of segments behind the end of the oldest dump, and
/// what a dump holds alone.
fn restore_points(
    objects: &BTreeMap<ObjectRef, u64>,
    writer: WriterId,
    newest: u64,
    kept: &[KeptDump],
) -> u64 {
    let oldest = kept.iter().map(|dump| dump.index.id.to).min().unwrap_or(u64::MAX);
    let is_point = |object: &&ObjectRef| {
        let id = object.id;
        id.class == Class::Segment && id.writer == writer && (oldest..=newest).contains(&id.to)
    };
    let mut points: BTreeSet<u64> = objects.keys().filter(is_point).map(|o| o.id.to).collect();
    let alone = kept.iter().map(|dump| dump.index.id).filter(|id| id.from == id.to);
    points.extend(alone.map(|id| id.from));
    points.insert(newest);
    points.len() as u64
}
