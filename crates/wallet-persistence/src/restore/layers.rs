//! Reading a restore point: its layers newest first, each from several objects at once.

use std::sync::Arc;

use backup::{
    ChainWalk, DumpIndex, DumpPart, EntryDigest, Link, ObjectHash, ObjectRef, Run, WriterId,
};

use super::source::{Segments, Source};
use crate::{Error, Result, in_order::InOrder, wallet::blocking};

/// One moment of one writer, and where to find it.
#[derive(Debug, Clone)]
pub(crate) struct Point {
    pub(crate) writer: WriterId,
    /// The last change it holds.
    pub(crate) sequence: u64,
    /// When it was, in milliseconds since the Unix epoch.
    pub(crate) time: u64,
    /// The segment that ends there, if the dump does not hold everything.
    pub(crate) newest: Option<Link>,
    /// The dump below it.
    pub(crate) dump: ObjectRef,
}

/// Takes the entries of the layers. Within a layer, runs of entries are worked on by several
/// threads at once; what they made is taken in order.
pub(crate) trait Sink: Send + Sized + 'static {
    /// What becomes of one run of entries.
    type Done: Send + 'static;

    /// The work on a run of entries of the present layer.
    fn worker(&self) -> Worker<Self::Done>;

    /// Takes what the worker made.
    fn take(&mut self, done: Self::Done) -> Result<()>;

    /// All of a layer was taken; what follows is older.
    fn end_layer(&mut self) -> Result<()>;

    /// The full dump below all other layers follows. How many of its parts, and what they fold into,
    /// are known already.
    fn begin_base(&mut self, base: &ObjectRef, digest: EntryDigest) -> Result<(u64, EntryDigest)>;

    /// A part of the base was taken.
    fn end_part(&mut self, digest: &EntryDigest);
}

/// The work on a run of entries.
pub(crate) type Worker<T> = Arc<dyn Fn(Run) -> Result<T> + Send + Sync>;

/// How deep to read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Depth {
    /// Everything.
    All,
    /// What has changed since the full dump.
    AboveBase,
}

/// Bytes and objects fetched, and bytes in all.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Fetched {
    pub(crate) objects: u64,
    pub(crate) bytes: u64,
    pub(crate) total: u64,
}

/// Reads a restore point into a sink.
pub(crate) async fn read<S: Sink>(
    source: &Source,
    point: &Point,
    depth: Depth,
    sink: S,
    progress: &mut (dyn FnMut(Fetched) + Send),
) -> Result<(S, Fetched)> {
    let mut reading = Reading { source, fetched: Fetched::default(), progress };
    let dumps = reading.dumps(point, depth).await?;
    let range = (point.dump.id.from, point.sequence);
    let mut segments = Segments::new(source, point.writer, range).await?;
    reading.fetched.total += segments.bytes;
    let mut walk = ChainWalk::back_to(point.writer, point.newest.clone(), range.0);
    // While the entries of one segment are taken, the next one is fetched and opened.
    let (mut idle, mut taking) = (Some(sink), InOrder::new(1));
    while let Some(link) = walk.next_link()?.cloned() {
        let (bodies, bytes) = segments.bodies(&link).await?;
        let entries = walk.opened(bodies)?;
        let mut sink = reading.taken(&mut idle, &mut taking).await?;
        let (source, objects) = (source.clone(), link.parts.len() as u64);
        taking.push(async move {
            let take = move || {
                let worker = sink.worker();
                sink.take(worker(entries.into())?)?;
                drop(worker);
                sink.end_layer()?;
                Ok(sink)
            };
            Ok((source.work(take).await?, objects, bytes))
        });
    }
    let mut sink = reading.taken(&mut idle, &mut taking).await?;
    drop(segments);
    for (object, index) in dumps {
        sink = reading.dump(&object, index, sink).await?;
    }
    // Sizes that were guessed too large: nothing is left.
    reading.fetched.total = reading.fetched.bytes;
    (reading.progress)(reading.fetched);
    Ok((sink, reading.fetched))
}

struct Reading<'a> {
    source: &'a Source,
    fetched: Fetched,
    progress: &'a mut (dyn FnMut(Fetched) + Send),
}

/// What became of a part of a dump.
struct Part<T> {
    done: T,
    digest: EntryDigest,
    bytes: u64,
}

impl Reading<'_> {
    /// The sink, when it has taken what it was given last.
    async fn taken<S: Sink>(
        &mut self,
        idle: &mut Option<S>,
        taking: &mut InOrder<(S, u64, u64)>,
    ) -> Result<S> {
        if let Some(sink) = idle.take() {
            return Ok(sink);
        }
        let (sink, objects, bytes) = taking.next().await.unwrap_or(Err(Error::Task))?;
        self.count(objects, bytes);
        Ok(sink)
    }

    /// The dumps below a point, newest first.
    async fn dumps(&mut self, point: &Point, depth: Depth) -> Result<Vec<(ObjectRef, DumpIndex)>> {
        let mut dumps = Vec::new();
        let mut next = Some(point.dump);
        while let Some(object) = next {
            let (index, bytes): (DumpIndex, u64) =
                self.source.open(&object, ObjectHash::NONE).await?;
            self.fetched.total += bytes;
            self.count(1, bytes);
            next = backup::check_dump(point.writer, &object, &index)?;
            if next.is_none() && depth == Depth::AboveBase {
                break;
            }
            self.fetched.total += index.sealed_bytes;
            dumps.push((object, index));
            if dumps.len() > 2 {
                return Err(
                    backup::Error::BrokenChain { what: "a delta dump on a delta dump" }.into()
                );
            }
        }
        Ok(dumps)
    }

    async fn dump<S: Sink>(
        &mut self,
        object: &ObjectRef,
        index: DumpIndex,
        mut sink: S,
    ) -> Result<S> {
        let mut digest = EntryDigest::new(&self.source.sealer)?;
        let mut known = 0;
        let is_base = index.base.is_none();
        if is_base {
            (known, digest) = sink.begin_base(object, digest)?;
        }
        // Those that are known need not be fetched.
        let skipped = index.sealed_bytes.saturating_mul(known.min(index.parts.len() as u64));
        let skipped = skipped.checked_div(index.parts.len() as u64).unwrap_or(0);
        self.fetched.total = self.fetched.total.saturating_sub(skipped);
        let worker = sink.worker();
        let mut parts = index.parts.iter().skip(usize::try_from(known).unwrap_or(usize::MAX));
        let mut running = InOrder::new(self.source.at_once);
        loop {
            while running.has_room()
                && let Some(part) = parts.next()
            {
                running.push(work_on(self.source.clone(), *part, worker.clone()));
            }
            let Some(part) = running.next().await else { break };
            let Part { done, digest: folded, bytes } = part?;
            digest.merge(&folded);
            sink = blocking(move || {
                sink.take(done)?;
                if is_base {
                    sink.end_part(&folded);
                }
                Ok::<_, crate::Error>(sink)
            })
            .await?;
            self.count(1, bytes);
        }
        drop(worker);
        index.check(digest)?;
        blocking(move || {
            sink.end_layer()?;
            Ok(sink)
        })
        .await
    }

    fn count(&mut self, objects: u64, bytes: u64) {
        self.fetched.objects += objects;
        self.fetched.bytes += bytes;
        self.fetched.total = self.fetched.total.max(self.fetched.bytes);
        (self.progress)(self.fetched);
    }
}

async fn work_on<T: Send + 'static>(
    source: Source,
    part: ObjectRef,
    worker: Worker<T>,
) -> Result<Part<T>> {
    let sealed = source.get(&part).await?;
    let sealer = source.sealer.clone();
    source
        .work(move || {
            let (run, digest) = DumpPart::open_run(&sealer, &part, &sealed)?;
            let bytes = sealed.len() as u64;
            drop(sealed);
            Ok(Part { done: worker(run)?, digest, bytes })
        })
        .await
}
