//! What the clouds hold for a wallet: chains, dumps, restore points, sizes.

mod chain;
mod points;

use std::collections::{BTreeMap, BTreeSet};

use backup::{Class, Head, ObjectHash, ObjectRef, WriterId};
use cloud::CloudBackend;
use serde::Serialize;

pub(crate) use self::points::points;
pub use self::{
    chain::{ChainSummary, DumpSummary},
    points::RestorePoint,
};
use crate::{Error, Result, error, restore::Source, session::Inner};

/// A head in a cloud: a restore point.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct HeadSummary {
    /// Which installation wrote it.
    pub writer: String,
    /// Whether that is this one.
    pub mine: bool,
    /// The last change it holds, by its writer's numbers.
    pub sequence: u64,
    /// When it was put, in milliseconds since the Unix epoch, by its writer's clock.
    pub time: u64,
}

/// What the clouds hold for a wallet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct BackupListing {
    /// The chain of each installation that has something there, the newest first.
    pub chains: Vec<ChainSummary>,
    /// The newest restore points, oldest first, over all clouds: each has a head of its own. Older
    /// ones are reached through the chains, see [`crate::Session::restore_points`].
    pub heads: Vec<HeadSummary>,
    /// Objects by class, over all clouds; the same object in two clouds counts once.
    pub objects: Vec<ObjectSummary>,
    /// The clouds, in their order.
    pub clouds: Vec<CloudSummary>,
    /// What could not be read, as chains of messages. [`crate::Session::verify`] tells more.
    pub problems: Vec<String>,
}

/// The objects of one class.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct ObjectSummary {
    /// `head`, `segment`, `dump part`, `dump index` or `fencing head`.
    pub class: &'static str,
    /// How many.
    pub objects: u64,
    /// How many bytes they have.
    pub bytes: u64,
}

/// One cloud beside the others.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct CloudSummary {
    /// Its address, or its place among those given as components.
    pub cloud: String,
    /// How many objects of this wallet it has.
    pub objects: u64,
    /// How many bytes they have.
    pub bytes: u64,
    /// How many objects other clouds have and this one has not.
    pub lacks: u64,
    /// Why it did not answer, as a chain of messages; then the numbers are 0.
    pub failure: Option<String>,
}

/// What all clouds that answered have together.
#[derive(Debug)]
struct Found {
    source: Source,
    mine: WriterId,
    now: u64,
    objects: BTreeMap<ObjectRef, u64>,
    heads: Vec<(ObjectRef, Head)>,
    fencing: (u64, u64),
    clouds: Vec<CloudSummary>,
    problems: Vec<String>,
}

/// Everything the clouds hold for this wallet. A cloud that does not answer is passed over while
/// another one does.
#[tracing::instrument(skip_all)]
pub(crate) async fn list(inner: &Inner) -> Result<BackupListing> {
    let mut found = look(inner).await?;
    let chains = chain::chains(&mut found).await?;
    let mut heads: Vec<HeadSummary> = found
        .heads
        .iter()
        .map(|(object, head)| HeadSummary::of(object, head, Some(found.mine)))
        .collect();
    heads.sort_by_key(|head| (head.time, head.sequence));
    Ok(BackupListing {
        chains,
        heads,
        objects: by_class(&found),
        clouds: found.clouds,
        problems: found.problems,
    })
}

/// Lists every cloud, and opens every head.
async fn look(inner: &Inner) -> Result<Found> {
    let (tower, clouds) = (&inner.tower, inner.each_cloud().await?);
    if clouds.is_empty() {
        return Err(Error::NoCloud);
    }
    let (mut answered, mut held) = (Vec::new(), Vec::new());
    let mut summaries = Vec::new();
    let mut objects = BTreeMap::new();
    let mut fencing = (0, 0);
    let mut failure = None;
    for (label, cloud) in clouds {
        let mut summary =
            CloudSummary { cloud: label, objects: 0, bytes: 0, lacks: 0, failure: None };
        let looked = match cloud {
            Ok(cloud) => contents(&tower.sealer.tag(), &*cloud).await.map(|found| (cloud, found)),
            Err(error) => Err(error),
        };
        match looked {
            Ok((cloud, contents)) => {
                let fence = contents.fence;
                summary.objects = contents.objects.len() as u64 + u64::from(fence.is_some());
                summary.bytes = contents.objects.values().sum::<u64>() + fence.unwrap_or(0);
                held.push((summaries.len(), contents.objects.keys().copied().collect()));
                objects.extend(contents.objects);
                if let Some(bytes) = fence {
                    fencing = (1, bytes.max(fencing.1));
                }
                answered.push(cloud);
            }
            Err(error) => {
                summary.failure = Some(error::chain(&error));
                failure = Some(error);
            }
        }
        summaries.push(summary);
    }
    if let (true, Some(error)) = (answered.is_empty(), failure) {
        return Err(error);
    }
    count_lacking(&mut summaries, &held, &objects);
    let source = Source::new(tower.sealer.clone(), answered, tower.settings.fetch_at_once);
    let mut found = Found {
        source,
        mine: tower.recorder.state().writer,
        now: tower.clock.now().0,
        objects,
        heads: Vec::new(),
        fencing,
        clouds: summaries,
        problems: Vec::new(),
    };
    found.open_heads().await?;
    Ok(found)
}

fn count_lacking(
    summaries: &mut [CloudSummary],
    held: &[(usize, BTreeSet<ObjectRef>)],
    all: &BTreeMap<ObjectRef, u64>,
) {
    for (cloud, objects) in held {
        if let Some(summary) = summaries.get_mut(*cloud) {
            summary.lacks = all.keys().filter(|object| !objects.contains(object)).count() as u64;
        }
    }
}

impl Found {
    async fn open_heads(&mut self) -> Result<()> {
        let is_head = |object: &&ObjectRef| object.id.class == Class::Head;
        let objects: Vec<ObjectRef> = self.objects.keys().filter(is_head).copied().collect();
        for object in objects {
            match self.source.open::<Head>(&object, ObjectHash::NONE).await {
                Ok((head, _)) => self.heads.push((object, head)),
                // One that a newer one replaced goes at any time.
                Err(Error::Backup(backup::Error::Missing { .. })) => {}
                Err(error @ Error::Backup(_)) => self.problem(&error),
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    fn problem(&mut self, error: &Error) {
        let told = error::chain(error);
        if !self.problems.contains(&told) {
            self.problems.push(told);
        }
    }
}

/// What one cloud has: its objects with their sizes, and the size of the fencing head.
struct Contents {
    objects: BTreeMap<ObjectRef, u64>,
    fence: Option<u64>,
}

async fn contents(tag: &[u8; 16], cloud: &dyn CloudBackend) -> Result<Contents> {
    let mut contents = Contents { objects: BTreeMap::new(), fence: None };
    for meta in cloud::poll_backups(cloud, &backup::wallet_prefix(tag)).await? {
        if meta.name == backup::fence_name(tag) {
            contents.fence = Some(meta.size);
        } else if let Ok(object) = ObjectRef::parse(tag, &meta.name) {
            contents.objects.insert(object, meta.size);
        }
    }
    Ok(contents)
}

fn by_class(found: &Found) -> Vec<ObjectSummary> {
    let classes = [Class::Head, Class::Segment, Class::DumpPart, Class::DumpIndex];
    let mut objects: Vec<ObjectSummary> = classes
        .map(|class| {
            let (objects, bytes) = count(&found.objects, |object| object.id.class == class);
            ObjectSummary { class: class_name(class), objects, bytes }
        })
        .into();
    let (fences, bytes) = found.fencing;
    if fences > 0 {
        objects.push(ObjectSummary { class: "fencing head", objects: fences, bytes });
    }
    objects
}

/// How many of the objects, and how many bytes they have.
fn count(objects: &BTreeMap<ObjectRef, u64>, which: impl Fn(&ObjectRef) -> bool) -> (u64, u64) {
    let sizes = objects.iter().filter(|(object, _)| which(object)).map(|(_, size)| *size);
    sizes.fold((0, 0), |(n, sum), size| (n + 1, sum + size))
}

fn class_name(class: Class) -> &'static str {
    match class {
        Class::Head => "head",
        Class::Segment => "segment",
        Class::DumpPart => "dump part",
        Class::DumpIndex => "dump index",
    }
}

impl HeadSummary {
    /// `mine` is this installation, if there is one.
    pub(crate) fn of(object: &ObjectRef, head: &Head, mine: Option<WriterId>) -> Self {
        Self {
            writer: object.id.writer.to_string(),
            mine: Some(object.id.writer) == mine,
            sequence: head.sequence,
            time: head.time,
        }
    }
}

/// The chain of each writer: its heads.
fn by_writer(heads: &[(ObjectRef, Head)]) -> BTreeMap<WriterId, Vec<(ObjectRef, Head)>> {
    let mut writers: BTreeMap<WriterId, Vec<(ObjectRef, Head)>> = BTreeMap::new();
    for head in heads {
        writers.entry(head.0.id.writer).or_default().push(head.clone());
    }
    writers
}

/// What is needed of several clouds beside [`list`]: the same look, for other answers.
async fn newest_heads(inner: &Inner) -> Result<(Found, Vec<(ObjectRef, Head)>)> {
    let found = look(inner).await?;
    let newest = by_writer(&found.heads);
    let newest = newest.values().filter_map(|heads| backup::newest_head(heads).cloned()).collect();
    Ok((found, newest))
}

/// Where to read, and the newest head of each writer.
#[derive(Debug)]
pub(crate) struct Newest {
    pub(crate) source: Source,
    pub(crate) heads: Vec<(ObjectRef, Head)>,
}

/// What the chains begin with. [`backup::Error::NoBackup`] if there is none.
pub(crate) async fn newest_of_each(inner: &Inner) -> Result<Newest> {
    let (found, heads) = newest_heads(inner).await?;
    if heads.is_empty() {
        return Err(backup::Error::NoBackup.into());
    }
    Ok(Newest { source: found.source, heads })
}

#[cfg(test)]
mod tests {
    use backup::ObjectId;

    use super::*;

    fn object(to: u64) -> ObjectRef {
        let writer = WriterId::from_bytes([1; 16]);
        let id = ObjectId { class: Class::Segment, writer, epoch: 0, from: to, to, part: 0 };
        ObjectRef { id, hash: ObjectHash::of(&to.to_le_bytes()) }
    }

    #[test]
    fn each_cloud_lacks_what_another_one_has() {
        let all: BTreeMap<_, _> = (1..=5).map(|to| (object(to), 10)).collect();
        let cloud =
            || CloudSummary { cloud: String::new(), objects: 0, bytes: 0, lacks: 0, failure: None };
        let mut clouds = vec![cloud(), cloud(), cloud()];
        let held = |range: std::ops::RangeInclusive<u64>| range.map(object).collect();
        count_lacking(&mut clouds, &[(0, held(1..=5)), (2, held(2..=3))], &all);
        assert_eq!(clouds.iter().map(|cloud| cloud.lacks).collect::<Vec<_>>(), [0, 0, 3]);
        assert_eq!(count(&all, |object| object.id.to > 3), (2, 20));
    }
}
