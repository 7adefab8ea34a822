//! Restoring: from the key and the clouds alone to one consistent moment.

use std::{collections::BTreeMap, sync::Arc};

use backup::{
    ChainWalk, Class, DumpIndex, DumpPart, Entry, EntryDigest, Head, Link, ObjectHash, ObjectName,
    ObjectRef, ObjectSealer, Restorer, SegmentBody,
};
use cloud::CloudBackend;
use kv_core::KvStore;
use serde::Serialize;
use vault::{Keys, RootSecret, SealedStore};

use crate::{
    Error, Result, UnlockError, builder::Parts, registry, replicate, replicate::fetch, tower,
    wallet::blocking,
};

/// How far a restore has come.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct RestoreProgress {
    /// Bytes fetched and applied.
    pub bytes_done: u64,
    /// Bytes in all, as listed by the cloud.
    pub bytes_total: u64,
}

/// What was restored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct RestoreReport {
    /// Whose chain it was.
    pub writer: String,
    /// The restore point: the last change it holds, by its writer's numbers.
    pub sequence: u64,
    /// When that was put into the cloud, in milliseconds since the Unix epoch, by its writer's clock.
    pub time: u64,
    /// How long ago that was, in milliseconds.
    pub age_ms: u64,
    /// How many clouds were asked and answered.
    pub clouds: usize,
    /// How many of them have this restore point as their newest.
    pub clouds_agreeing: usize,
    /// How many other installations have backups of their own there.
    pub other_writers: usize,
    /// Changes applied.
    pub changes: u64,
    /// Bytes of their values.
    pub value_bytes: u64,
    /// Objects fetched.
    pub objects: u64,
    /// Bytes fetched.
    pub bytes: u64,
}

type Heads = Vec<(ObjectRef, Head)>;

struct Choice<'a> {
    cloud: &'a Arc<dyn CloudBackend>,
    object: ObjectRef,
    head: Head,
    answered: usize,
    agreeing: usize,
    heads: Heads,
}

#[tracing::instrument(skip_all)]
pub(crate) async fn run(
    parts: &Parts,
    clouds: &[Arc<dyn CloudBackend>],
    root: &RootSecret,
    store: Arc<dyn KvStore>,
    progress: impl FnMut(RestoreProgress) + Send,
) -> Result<RestoreReport, UnlockError> {
    let sealer = ObjectSealer::new(Keys::derive(root));
    let choice = choose(&sealer, clouds).await?;
    let mut run = Run {
        sealer: &sealer,
        cloud: choice.cloud,
        sizes: BTreeMap::new(),
        progress,
        done: RestoreProgress::default(),
        objects: 0,
    };
    run.sizes = run.sizes().await?;

    let index: DumpIndex = run.open(&choice.head.dump, ObjectHash::NONE).await?;
    let segments = run.segments(&choice.head).await?;
    run.done.bytes_total =
        run.done.bytes_done + index.parts.iter().map(|part| run.size(part)).sum::<u64>();

    let root = root.clone();
    let (sealed, mut restorer) = blocking(move || {
        let sealed: Arc<dyn KvStore> = SealedStore::create(store, &root)?;
        let restorer = Restorer::new(sealed.clone(), registry::rules())?;
        Ok::<_, UnlockError>((sealed, restorer))
    })
    .await?;
    let mut digest = EntryDigest::new(&sealer)?;
    let names = index.parts.iter().map(|part| part.name(&sealer.tag())).collect();
    let mut fetched = cloud::fetch_many(choice.cloud.clone(), names, parts.settings.fetch_at_once);
    for part in &index.parts {
        let bytes = match fetched.next().await {
            Some((_, Ok(bytes))) => bytes,
            Some((name, Err(cloud::CloudError::NotFound { .. }))) => {
                return Err(backup::Error::Missing { name }.into());
            }
            Some((_, Err(error))) => return Err(error.into()),
            None => return Err(Error::Task.into()),
        };
        run.count(bytes.len() as u64);
        let part: DumpPart = sealer.open(part, ObjectHash::NONE, &bytes)?;
        part.entries.iter().for_each(|entry| digest.add(entry));
        restorer = apply(restorer, part.entries).await?;
    }
    index.check(digest)?;
    // The walk went backwards, changes are applied forwards.
    for entries in segments.into_iter().rev() {
        restorer = apply(restorer, entries).await?;
    }
    for (_, head) in &choice.heads {
        restorer.saw_head(head);
    }
    let seen = choice.heads.iter().map(|(object, _)| *object).collect();
    let urls = parts.cloud_urls.clone();
    let restored = blocking(move || {
        let restored = restorer.finish(seen)?;
        tower::write_cloud_urls(&*sealed, &urls)?;
        Ok::<_, UnlockError>(restored)
    })
    .await?;
    Ok(RestoreReport {
        writer: choice.object.id.writer.to_string(),
        sequence: choice.head.sequence,
        time: choice.head.time,
        age_ms: parts.clock.now().0.saturating_sub(choice.head.time),
        clouds: choice.answered,
        clouds_agreeing: choice.agreeing,
        other_writers: choice
            .heads
            .iter()
            .filter(|(o, _)| o.id.writer != choice.object.id.writer)
            .count(),
        changes: restored.changes,
        value_bytes: restored.bytes,
        objects: run.objects,
        bytes: run.done.bytes_done,
    })
}

/// The freshest head over all clouds that answer. A head that is damaged is an error: whatever is
/// older must not be taken for the newest silently.
async fn choose<'a>(
    sealer: &ObjectSealer,
    clouds: &'a [Arc<dyn CloudBackend>],
) -> Result<Choice<'a>> {
    let mut found: Vec<(&Arc<dyn CloudBackend>, Heads)> = Vec::new();
    let mut failure = None;
    for cloud in clouds {
        match replicate::heads(sealer, &**cloud, false).await {
            Ok(heads) => found.push((cloud, heads)),
            Err(error) => failure = Some(error),
        }
    }
    if found.iter().all(|(_, heads)| heads.is_empty()) {
        return Err(failure.unwrap_or(if clouds.is_empty() {
            Error::NoCloud
        } else {
            backup::Error::NoBackup.into()
        }));
    }
    let newest_of = |heads: &[(ObjectRef, Head)]| backup::newest_head(heads).cloned();
    let all: Heads = found.iter().flat_map(|(_, heads)| heads.clone()).collect();
    let (object, head) = newest_of(&all).ok_or(backup::Error::NoBackup)?;
    let holds = |heads: &[(ObjectRef, Head)]| newest_of(heads).is_some_and(|(o, _)| o == object);
    let agreeing = found.iter().filter(|(_, heads)| holds(heads)).count();
    let cloud = found
        .iter()
        .find(|(_, heads)| holds(heads))
        .map(|(cloud, _)| *cloud)
        .ok_or(backup::Error::NoBackup)?;
    let mut heads = all;
    heads.sort_unstable_by_key(|(object, _)| *object);
    heads.dedup_by_key(|(object, _)| *object);
    Ok(Choice { cloud, object, head, answered: found.len(), agreeing, heads })
}

async fn apply(mut restorer: Restorer, entries: Vec<Entry>) -> Result<Restorer> {
    blocking(move || {
        restorer.apply(entries)?;
        Ok(restorer)
    })
    .await
}

struct Run<'a, P> {
    sealer: &'a ObjectSealer,
    cloud: &'a Arc<dyn CloudBackend>,
    /// Sizes of objects as listed, for the progress only.
    sizes: BTreeMap<ObjectName, u64>,
    progress: P,
    done: RestoreProgress,
    objects: u64,
}

impl<P: FnMut(RestoreProgress) + Send> Run<'_, P> {
    async fn sizes(&self) -> Result<BTreeMap<ObjectName, u64>> {
        let parts = backup::class_prefix(&self.sealer.tag(), Class::DumpPart);
        let listed = cloud::poll_backups(&**self.cloud, &parts).await?;
        Ok(listed.into_iter().map(|meta| (meta.name, meta.size)).collect())
    }

    fn size(&self, object: &ObjectRef) -> u64 {
        self.sizes.get(&object.name(&self.sealer.tag())).copied().unwrap_or(0)
    }

    fn count(&mut self, bytes: u64) {
        self.objects += 1;
        self.done.bytes_done += bytes;
        self.done.bytes_total = self.done.bytes_total.max(self.done.bytes_done);
        (self.progress)(self.done);
    }

    async fn open<T: backup::Body>(
        &mut self,
        object: &ObjectRef,
        previous: ObjectHash,
    ) -> Result<T> {
        let bytes = fetch(&**self.cloud, &self.sealer.tag(), object).await?;
        self.count(bytes.len() as u64);
        Ok(self.sealer.open(object, previous, &bytes)?)
    }

    /// The entries of every segment after the dump, newest segment first.
    async fn segments(&mut self, head: &Head) -> Result<Vec<Vec<Entry>>> {
        let mut walk = ChainWalk::new(head)?;
        let mut segments = Vec::new();
        while let Some(link) = walk.next_link()?.cloned() {
            let bodies = self.bodies(&link).await?;
            segments.push(walk.opened(bodies)?);
        }
        Ok(segments)
    }

    async fn bodies(&mut self, link: &Link) -> Result<Vec<SegmentBody>> {
        let mut bodies = Vec::new();
        for part in &link.parts {
            bodies.push(self.open(part, link.previous).await?);
        }
        Ok(bodies)
    }
}
