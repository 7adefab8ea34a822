//! Objects out of the clouds: fetched from whichever has them, opened on threads that may block.

use std::{
    collections::VecDeque,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use backup::{
    Body, Class, Link, ObjectHash, ObjectId, ObjectName, ObjectRef, ObjectSealer, SegmentBody,
    WriterId,
};
use bytes::Bytes;
use cloud::{CloudBackend, ObjectMeta};
use tokio::{sync::Semaphore, task::JoinSet, time::timeout};

use crate::{Error, Result, in_order::InOrder, replicate, wallet::blocking};

/// How long one of several clouds may take for an object before another one is asked as well.
const PATIENCE: Duration = Duration::from_secs(60);

/// Where to read from. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Source {
    pub(crate) sealer: ObjectSealer,
    clouds: Arc<[Arc<dyn CloudBackend>]>,
    /// Which of them is asked first: one that does not answer is asked last from then on.
    first: Arc<AtomicUsize>,
    /// So many threads decrypt and decompress: each holds megabytes.
    threads: Arc<Semaphore>,
    pub(crate) at_once: usize,
}

impl Source {
    /// Reads from the first of `clouds`, and from the others what is missing or damaged there.
    pub(crate) fn new(
        sealer: ObjectSealer,
        clouds: impl IntoIterator<Item = Arc<dyn CloudBackend>>,
        at_once: usize,
    ) -> Self {
        // One more than there are cores: in a restore they wait for each other now and then.
        let threads = std::thread::available_parallelism().map_or(2, usize::from) + 1;
        Self {
            sealer,
            clouds: clouds.into_iter().collect(),
            first: Arc::default(),
            threads: Arc::new(Semaphore::new(threads)),
            at_once,
        }
    }

    /// The exact bytes of an object.
    ///
    /// One that takes long is not left, because the others may take as long: the first that has it
    /// counts.
    pub(crate) async fn get(&self, object: &ObjectRef) -> Result<Bytes> {
        let tag = self.sealer.tag();
        if let [cloud] = &*self.clouds {
            // Opening compares the hash.
            return replicate::fetch(&**cloud, &tag, object).await;
        }
        let mut failure = Error::NoCloud;
        let (first, last) = (self.first.load(Ordering::Relaxed), self.clouds.len());
        let mut others = (0..last).map(|i| (first + i) % last);
        // Dropped before its end, it ends the rest.
        let mut running = JoinSet::new();
        let mut newest = first;
        loop {
            match others.next() {
                Some(i) => {
                    let Some(cloud) = self.clouds.get(i).cloned() else { continue };
                    let object = *object;
                    running
                        .spawn(async move { (i, replicate::fetch(&*cloud, &tag, &object).await) });
                    newest = i;
                }
                None if running.is_empty() => return Err(failure),
                None => {}
            }
            let next = match others.len() {
                0 => running.join_next().await,
                _ => match timeout(PATIENCE, running.join_next()).await {
                    Ok(next) => next,
                    Err(_) => {
                        self.first.store((newest + 1) % last, Ordering::Relaxed);
                        continue;
                    }
                },
            };
            let Some(Ok((i, fetched))) = next else { continue };
            match fetched {
                Ok(bytes) if ObjectHash::of(&bytes) == object.hash => {
                    if i != newest {
                        // The other takes as long.
                        self.first.store(i, Ordering::Relaxed);
                    }
                    return Ok(bytes);
                }
                Ok(_) => failure = backup::Error::Damaged { name: object.name(&tag) }.into(),
                Err(error) => {
                    if matches!(&error, Error::Cloud(error) if error.is_transient()) {
                        self.first.store((i + 1) % last, Ordering::Relaxed);
                    }
                    failure = error;
                }
            }
        }
    }

    /// An object, opened, and how many bytes were fetched for it.
    pub(crate) async fn open<T: Body + Send + 'static>(
        &self,
        object: &ObjectRef,
        previous: ObjectHash,
    ) -> Result<(T, u64)> {
        let bytes = self.get(object).await?;
        let (sealer, object, len) = (self.sealer.clone(), *object, bytes.len() as u64);
        let body = self.work(move || Ok(sealer.open(&object, previous, &bytes)?)).await?;
        Ok((body, len))
    }

    /// Removes an object from all of them.
    pub(crate) async fn delete(&self, name: &ObjectName) -> Result<()> {
        for cloud in self.clouds.iter() {
            cloud.delete(name).await?;
        }
        Ok(())
    }

    /// Runs heavy work on a thread of its own, a few at a time.
    pub(crate) async fn work<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let _turn = self.threads.acquire().await.map_err(|_| Error::Task)?;
        blocking(work).await
    }

    /// What the first cloud that answers lists of a writer's objects that begin behind the sequence
    /// number `after` and not behind `last`, ascending. Others may have more: it says what to fetch
    /// ahead, and not what there is.
    pub(crate) async fn list(
        &self,
        class: Class,
        writer: WriterId,
        (after, last): (u64, u64),
    ) -> Result<Vec<(ObjectRef, u64)>> {
        let mut failure = Error::NoCloud;
        let first = self.first.load(Ordering::Relaxed);
        let (others, begin) = self.clouds.split_at(first.min(self.clouds.len()));
        for cloud in begin.iter().chain(others) {
            match list(&**cloud, &self.sealer, class, writer, (Some(after), last)).await {
                Ok(listed) => return Ok(listed),
                Err(error) => failure = error,
            }
        }
        Err(failure)
    }
}

/// As [`Source::list`], of one cloud; `None`: from the first on.
pub(crate) async fn list(
    cloud: &dyn CloudBackend,
    sealer: &ObjectSealer,
    class: Class,
    writer: WriterId,
    (after, last): (Option<u64>, u64),
) -> Result<Vec<(ObjectRef, u64)>> {
    let tag = sealer.tag();
    let prefix = backup::writer_prefix(&tag, class, writer);
    let mut found: Vec<(ObjectRef, u64)> = Vec::new();
    let mut begin = after.and_then(|after| begin_at(&tag, class, writer, after));
    loop {
        let page: Vec<ObjectMeta> = cloud.list(&prefix, begin.as_ref()).await?;
        let Some(end) = page.last().map(|meta| meta.name.clone()) else { return Ok(found) };
        if begin.as_ref().is_some_and(|begin| end <= *begin) {
            let source = Arc::from(Box::from("its listing is not in order"));
            return Err(cloud::CloudError::TooOld { source }.into());
        }
        for meta in page {
            match ObjectRef::parse(&tag, &meta.name) {
                Ok(object) if object.id.from > last => return Ok(found),
                Ok(object) if after.is_none_or(|after| object.id.from > after) => {
                    found.push((object, meta.size))
                }
                _ => {}
            }
        }
        begin = Some(end);
    }
}

/// A name before all of those that begin behind a sequence number, as long as there is one epoch.
fn begin_at(tag: &[u8; 16], class: Class, writer: WriterId, after: u64) -> Option<ObjectName> {
    (after > 0).then(|| {
        let id = ObjectId { class, writer, epoch: 0, from: after, to: 0, part: 0 };
        ObjectRef { id, hash: ObjectHash::NONE }.name(tag)
    })
}

/// Segments, newest first. Each names the one before it, so they can only be read one after the
/// other; but their names say which will come, so they are fetched ahead.
#[derive(Debug)]
pub(crate) struct Segments {
    source: Source,
    /// What is likely to come, next one first, and is not under way.
    ahead: VecDeque<ObjectRef>,
    /// What is under way.
    expected: VecDeque<ObjectRef>,
    running: InOrder<Bytes>,
    /// Bytes in all, as listed.
    pub(crate) bytes: u64,
}

impl Segments {
    /// Those of a writer behind `after`, up to `last`.
    pub(crate) async fn new(
        source: &Source,
        writer: WriterId,
        (after, last): (u64, u64),
    ) -> Result<Self> {
        let listed = source.list(Class::Segment, writer, (after, last)).await?;
        let bytes = listed.iter().map(|(_, size)| size).sum();
        let mut ahead: Vec<ObjectRef> = listed.into_iter().map(|(object, _)| object).collect();
        // Newest first, and the parts of one segment in their order.
        ahead.sort_by_key(|object| (std::cmp::Reverse(object.id.to), object.id.part));
        let running = InOrder::new(source.at_once);
        let expected = VecDeque::new();
        Ok(Self { source: source.clone(), ahead: ahead.into(), expected, running, bytes })
    }

    /// The opened parts of a segment, and how many bytes were fetched for it.
    pub(crate) async fn bodies(&mut self, link: &Link) -> Result<(Vec<SegmentBody>, u64)> {
        let mut sealed = Vec::with_capacity(link.parts.len());
        for part in &link.parts {
            sealed.push((*part, self.get(part).await?));
        }
        let fetched = sealed.iter().map(|(_, bytes)| bytes.len() as u64).sum();
        let (sealer, previous) = (self.source.sealer.clone(), link.previous);
        let open = move || {
            let open = |(part, bytes): &(ObjectRef, Bytes)| sealer.open(part, previous, bytes);
            Ok(sealed.iter().map(open).collect::<Result<_, _>>()?)
        };
        Ok((self.source.work(open).await?, fetched))
    }

    async fn get(&mut self, object: &ObjectRef) -> Result<Bytes> {
        self.fetch_ahead();
        while self.expected.contains(object)
            && let Some(next) = self.expected.pop_front()
        {
            let fetched = self.running.next().await;
            self.fetch_ahead();
            // What belongs to no chain was fetched for nothing.
            if next == *object
                && let Some(fetched) = fetched
            {
                return fetched;
            }
        }
        self.source.get(object).await
    }

    fn fetch_ahead(&mut self) {
        while self.running.has_room()
            && let Some(next) = self.ahead.pop_front()
        {
            let source = self.source.clone();
            self.running.push(async move { source.get(&next).await });
            self.expected.push_back(next);
        }
    }
}

#[cfg(test)]
mod tests {
    use async_trait::async_trait;
    use backup::ObjectId;
    use cloud::{Limits, MemCloud, PutMode, Tag};
    use tokio::time::{Instant, sleep};

    use super::*;

    /// A cloud that takes so long for each object, or never answers.
    #[derive(Debug)]
    struct Slow(MemCloud, Option<Duration>);

    #[async_trait]
    impl CloudBackend for Slow {
        async fn put(&self, n: &ObjectName, b: Bytes, how: PutMode) -> cloud::Result<Tag> {
            self.0.put(n, b, how).await
        }

        async fn get(&self, name: &ObjectName) -> cloud::Result<Option<(Bytes, Tag)>> {
            match self.1 {
                Some(takes) => sleep(takes).await,
                None => std::future::pending().await,
            }
            self.0.get(name).await
        }

        async fn list(
            &self,
            prefix: &ObjectName,
            after: Option<&ObjectName>,
        ) -> cloud::Result<Vec<ObjectMeta>> {
            self.0.list(prefix, after).await
        }

        async fn delete(&self, name: &ObjectName) -> cloud::Result<()> {
            self.0.delete(name).await
        }

        fn limits(&self) -> Limits {
            self.0.limits()
        }
    }

    /// Clouds that take so long, and have this in place of one object (`sealed`), or nothing.
    async fn source(clouds: &[(Option<u64>, &'static str)]) -> (Source, ObjectRef) {
        let keys = vault::Keys::derive(&vault::RootSecret::from_bytes([7; 32]));
        let sealer = ObjectSealer::new(keys);
        let bytes = Bytes::from_static(b"sealed");
        let (class, writer) = (Class::Segment, WriterId::from_bytes([1; 16]));
        let id = ObjectId { class, writer, epoch: 0, from: 1, to: 2, part: 0 };
        let object = ObjectRef { id, hash: ObjectHash::of(&bytes) };
        let mut all: Vec<Arc<dyn CloudBackend>> = Vec::new();
        for (secs, content) in clouds {
            let mem = MemCloud::new();
            if !content.is_empty() {
                let name = object.name(&sealer.tag());
                mem.put(&name, (*content).into(), PutMode::CreateOnly).await.unwrap();
            }
            all.push(Arc::new(Slow(mem, secs.map(Duration::from_secs))));
        }
        (Source::new(sealer, all, 4), object)
    }

    #[tokio::test(start_paused = true)]
    async fn an_object_comes_though_every_cloud_takes_long_for_it() {
        for (clouds, takes) in [
            (vec![(Some(300), "sealed"), (Some(400), "sealed")], 300),
            // The second is asked after a minute, and is faster.
            (vec![(Some(300), "sealed"), (Some(10), "sealed")], 70),
            (vec![(None, "sealed"), (Some(300), "sealed")], 360),
            (vec![(Some(300), "sealed"), (None, "sealed")], 300),
            (vec![(Some(300), "sealed"), (Some(10), "")], 300),
            // What is not the object is no answer.
            (vec![(Some(5), "others"), (Some(10), "sealed")], 15),
        ] {
            let (source, object) = source(&clouds).await;
            let began = Instant::now();
            assert_eq!(source.get(&object).await.unwrap(), "sealed", "{clouds:?}");
            assert_eq!(began.elapsed().as_secs(), takes, "{clouds:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_no_cloud_has_is_missing_and_who_is_slow_is_asked_last() {
        let (lacking, object) = source(&[(Some(1), ""), (Some(300), "")]).await;
        let missing = lacking.get(&object).await;
        assert!(
            matches!(missing, Err(Error::Backup(backup::Error::Missing { .. }))),
            "{missing:?}"
        );
        let (source, object) = source(&[(None, "sealed"), (Some(10), "sealed")]).await;
        let began = Instant::now();
        for _ in 0..3 {
            source.get(&object).await.unwrap();
        }
        assert_eq!(began.elapsed().as_secs(), 70 + 10 + 10);
        // The other one is not asked first because this one takes long, where that takes longer.
        let (source, object) = self::source(&[(Some(300), "sealed"), (Some(400), "sealed")]).await;
        let began = Instant::now();
        for _ in 0..2 {
            source.get(&object).await.unwrap();
        }
        assert_eq!(began.elapsed().as_secs(), 300 + 300);
    }
}
