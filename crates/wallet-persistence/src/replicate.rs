//! Putting backups into clouds, and seeing what is there.

use std::{
    collections::BTreeMap,
    sync::{Arc, PoisonError},
};

use backup::{
    BackupState, Class, DumpIndex, DumpPart, DumpWriter, EntryDigest, Head, ObjectHash, ObjectId,
    ObjectRef, Sealed, WriterId,
};
use cloud::CloudBackend;
use serde::Serialize;

use crate::{Error, Result, session::Inner, tower::Tower, wallet::blocking};

/// What one backup did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct BackupReport {
    /// Every change up to this number is in the cloud.
    pub sequence: u64,
    /// How many changed keys went up in segments.
    pub changes: usize,
    /// How many live entries a dump holds, if one was made.
    pub dumped: Option<u64>,
    /// How many objects were put, into each cloud.
    pub objects: u64,
    /// How many bytes they have.
    pub bytes: u64,
}

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
    /// Restore points, oldest first, over all clouds.
    pub heads: Vec<HeadSummary>,
    /// Objects by class, over all clouds; the same object in two clouds counts once.
    pub objects: Vec<ObjectSummary>,
}

/// The objects of one class.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct ObjectSummary {
    /// `head`, `segment`, `dump part` or `dump index`.
    pub class: &'static str,
    /// How many.
    pub objects: u64,
    /// How many bytes they have.
    pub bytes: u64,
}

/// A full dump is due when the segments since the last one have more than half its size (and this
/// much, so that small wallets do not dump all the time) ...
const MIN_SEGMENT_BYTES: u64 = 1 << 20;
/// ... or when a restore would have to fetch this many of them.
const MAX_SEGMENTS: u64 = 1000;

/// Puts everything that is not yet in the clouds there. On an error nothing is acknowledged: the
/// next call begins again where the last acknowledged one ended.
#[tracing::instrument(skip_all)]
pub(crate) async fn post(inner: &Inner, clouds: &[Arc<dyn CloudBackend>]) -> Result<BackupReport> {
    if clouds.is_empty() {
        return Err(Error::NoCloud);
    }
    let _one_at_a_time = inner.posting.lock().await;
    let mut post = Post {
        tower: &inner.tower,
        clouds,
        state: inner.tower.recorder.state(),
        report: BackupReport::default(),
    };
    if post.state.dump.is_some() {
        post.segment().await?;
    }
    if post.dump_is_due() {
        post.dump().await?;
        post.segment().await?;
    }
    if post.report.objects > 0 {
        let seen = inner.seen.lock().unwrap_or_else(PoisonError::into_inner).clone();
        post.head(seen).await?;
    }
    post.report.sequence = post.state.backed_up;
    Ok(post.report)
}

struct Post<'a> {
    tower: &'a Tower,
    clouds: &'a [Arc<dyn CloudBackend>],
    /// The state as it will be acknowledged.
    state: BackupState,
    report: BackupReport,
}

impl Post<'_> {
    async fn segment(&mut self) -> Result<()> {
        let (recorder, from) = (self.tower.recorder.clone(), self.state.backed_up);
        let Some(cut) = blocking(move || recorder.cut(from).map_err(Error::from)).await? else {
            return Ok(());
        };
        let to = cut.to;
        self.report.changes += cut.mergeable.len() + cut.single_writer.len();
        let segment =
            self.tower.sealer.seal_segment(self.state.writer, cut, self.state.newest.as_ref())?;
        let before = self.report.bytes;
        for object in &segment.objects {
            self.put(object).await?;
        }
        self.state.newest = Some(segment.link);
        self.state.backed_up = to;
        self.state.segments_since_dump.0 += self.report.bytes - before;
        self.state.segments_since_dump.1 += 1;
        Ok(())
    }

    fn dump_is_due(&self) -> bool {
        let (bytes, segments) = self.state.segments_since_dump;
        self.state.dump.is_none()
            || bytes > (self.state.dump_bytes / 2).max(MIN_SEGMENT_BYTES)
            || segments > MAX_SEGMENTS
    }

    async fn dump(&mut self) -> Result<()> {
        let recorder = self.tower.recorder.clone();
        let mut reader = blocking(move || recorder.dump().map_err(Error::from)).await?;
        let from = reader.from();
        let before = self.report.bytes;
        let mut writer = DumpWriter::new(&self.tower.sealer, self.state.writer, from, self.now())?;
        loop {
            let (next, page) = blocking(move || {
                let page = reader.next_page()?;
                Ok::<_, Error>((reader, page))
            })
            .await?;
            reader = next;
            let Some(page) = page else { break };
            for object in writer.add(page)? {
                self.put(&object).await?;
            }
        }
        let to = blocking(move || reader.end().map_err(Error::from)).await?;
        let (objects, index) = writer.finish(to, self.state.newest.clone(), self.now())?;
        for object in &objects {
            self.put(object).await?;
        }
        for cloud in self.clouds {
            self.report.dumped = Some(read_back(self.tower, &**cloud, &index).await?);
        }
        self.state.dump = Some(index);
        self.state.dump_bytes = self.report.bytes - before;
        self.state.segments_since_dump = (0, 0);
        if self.state.newest.is_none() {
            // The chain begins behind its first dump.
            self.state.backed_up = from;
        }
        Ok(())
    }

    async fn head(&mut self, seen: Vec<ObjectRef>) -> Result<()> {
        let Some(dump) = self.state.dump else { return Ok(()) };
        let newest = self.state.newest.clone();
        let sequence = newest.as_ref().map_or(0, |link| link.range().1).max(dump.id.from);
        // Never behind a head this device has seen, whatever its clock says.
        let time = self.tower.recorder.head_time();
        let previous = self.state.head;
        let head = Head {
            time,
            sequence,
            dump,
            newest,
            previous,
            seen: seen.clone(),
            extensions: Vec::new(),
        };
        let id = ObjectId {
            class: Class::Head,
            writer: self.state.writer,
            epoch: 0,
            from: sequence,
            to: sequence,
            part: 0,
        };
        let (object, sealed) = self.tower.sealer.seal(id, ObjectHash::NONE, &head)?;
        self.put(&sealed).await?;
        self.state.head = Some(object);
        self.state.last_backup = Some(time);
        self.state.seen = seen;
        self.tower.recorder.acknowledge(self.state.clone())?;
        Ok(())
    }

    async fn put(&mut self, object: &Sealed) -> Result<()> {
        for cloud in self.clouds {
            cloud::put_backup(&**cloud, object).await?;
        }
        self.report.objects += 1;
        self.report.bytes += object.bytes().len() as u64;
        Ok(())
    }

    fn now(&self) -> u64 {
        self.tower.clock.now().0
    }
}

/// Reads a whole dump back and compares it with its digest; how many live entries it holds.
async fn read_back(tower: &Tower, cloud: &dyn CloudBackend, index: &ObjectRef) -> Result<u64> {
    let tag = tower.sealer.tag();
    let bytes = fetch(cloud, &tag, index).await?;
    let opened: DumpIndex = tower.sealer.open(index, ObjectHash::NONE, &bytes)?;
    let mut digest = EntryDigest::new(&tower.sealer)?;
    for part in &opened.parts {
        let bytes = fetch(cloud, &tag, part).await?;
        let part: DumpPart = tower.sealer.open(part, ObjectHash::NONE, &bytes)?;
        part.entries.iter().for_each(|entry| digest.add(entry));
    }
    opened.check(digest)?;
    Ok(opened.entries)
}

/// The bytes of an object that another one names.
pub(crate) async fn fetch(
    cloud: &dyn CloudBackend,
    tag: &[u8; 16],
    object: &ObjectRef,
) -> Result<bytes::Bytes> {
    let name = object.name(tag);
    cloud::fetch(cloud, &name).await.map_err(|error| match error {
        cloud::CloudError::NotFound { name } => backup::Error::Missing { name }.into(),
        other => other.into(),
    })
}

/// The heads in a cloud, opened; of each writer only the newest unless `all`. Names that are none of
/// ours are skipped, damaged heads are an error.
pub(crate) async fn heads(
    sealer: &backup::ObjectSealer,
    cloud: &dyn CloudBackend,
    all: bool,
) -> Result<Vec<(ObjectRef, Head)>> {
    let tag = sealer.tag();
    let listed = cloud::poll_backups(cloud, &backup::class_prefix(&tag, Class::Head)).await?;
    let objects: Vec<ObjectRef> =
        listed.iter().filter_map(|meta| ObjectRef::parse(&tag, &meta.name).ok()).collect();
    let mut newest: BTreeMap<WriterId, u64> = BTreeMap::new();
    for object in &objects {
        let sequence = newest.entry(object.id.writer).or_default();
        *sequence = (*sequence).max(object.id.to);
    }
    let mut heads = Vec::new();
    for object in objects {
        if all || newest.get(&object.id.writer) == Some(&object.id.to) {
            let bytes = fetch(cloud, &tag, &object).await?;
            heads.push((object, sealer.open(&object, ObjectHash::NONE, &bytes)?));
        }
    }
    Ok(heads)
}

/// The newest head of each writer, over all clouds; remembers those of others.
pub(crate) async fn poll(inner: &Inner, tower: &Tower) -> Result<Vec<HeadSummary>> {
    let mut newest: BTreeMap<WriterId, (ObjectRef, Head)> = BTreeMap::new();
    let clouds = inner.clouds().await?;
    if clouds.is_empty() {
        return Err(Error::NoCloud);
    }
    for cloud in clouds {
        for (object, head) in heads(&tower.sealer, &**cloud, false).await? {
            let later = newest
                .get(&object.id.writer)
                .is_none_or(|(_, known)| (head.sequence, head.time) > (known.sequence, known.time));
            if later {
                newest.insert(object.id.writer, (object, head));
            }
        }
    }
    let mine = tower.recorder.state().writer;
    let others = newest.values().map(|(object, _)| *object).filter(|o| o.id.writer != mine);
    *inner.seen.lock().unwrap_or_else(PoisonError::into_inner) = others.collect();
    let mut summaries: Vec<_> =
        newest.into_values().map(|(o, head)| summary(&o, &head, mine)).collect();
    summaries.sort_by_key(|head| head.time);
    Ok(summaries)
}

/// Everything the clouds hold for this wallet.
pub(crate) async fn list(tower: &Tower, clouds: &[Arc<dyn CloudBackend>]) -> Result<BackupListing> {
    if clouds.is_empty() {
        return Err(Error::NoCloud);
    }
    let (sealer, mine) = (&tower.sealer, tower.recorder.state().writer);
    let tag = sealer.tag();
    let mut found: BTreeMap<ObjectRef, u64> = BTreeMap::new();
    let mut heads_by_object = BTreeMap::new();
    for cloud in clouds {
        for meta in cloud::poll_backups(&**cloud, &backup::wallet_prefix(&tag)).await? {
            if let Ok(object) = ObjectRef::parse(&tag, &meta.name) {
                found.insert(object, meta.size);
            }
        }
        for (object, head) in heads(sealer, &**cloud, true).await? {
            heads_by_object.insert(object, summary(&object, &head, mine));
        }
    }
    let mut heads: Vec<_> = heads_by_object.into_values().collect();
    heads.sort_by_key(|head| (head.time, head.sequence));
    let objects = [Class::Head, Class::Segment, Class::DumpPart, Class::DumpIndex].map(|class| {
        let sizes =
            found.iter().filter(|(object, _)| object.id.class == class).map(|(_, size)| *size);
        let (objects, bytes) = sizes.fold((0, 0), |(n, sum), size| (n + 1, sum + size));
        ObjectSummary { class: class_name(class), objects, bytes }
    });
    Ok(BackupListing { heads, objects: objects.into() })
}

pub(crate) fn class_name(class: Class) -> &'static str {
    match class {
        Class::Head => "head",
        Class::Segment => "segment",
        Class::DumpPart => "dump part",
        Class::DumpIndex => "dump index",
    }
}

fn summary(object: &ObjectRef, head: &Head, mine: WriterId) -> HeadSummary {
    HeadSummary {
        writer: object.id.writer.to_string(),
        mine: object.id.writer == mine,
        sequence: head.sequence,
        time: head.time,
    }
}
