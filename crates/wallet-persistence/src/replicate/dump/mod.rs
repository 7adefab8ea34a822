//! Dumps: made while backups go on, read back before they count.

mod begin;
mod delta;
mod due;
mod full;
mod sweep;
mod upload;
mod watch;

use std::sync::Arc;

use backup::{BackupState, DumpIndex, DumpWriter, KeptDump, ObjectRef};
use cloud::CloudBackend;
use serde::Serialize;

pub(super) use self::begin::begin_chain;
pub use self::due::DumpKind;
pub(crate) use self::{
    due::due,
    sweep::{due as sweep_is_due, sweep},
    watch::{Watch, Watches},
};
use self::{due::millis, upload::Upload};
use super::{
    lines::NewDump,
    post::{Post, Wish},
};
use crate::{Error, Result, restore::Source, session::Inner};

/// What one dump did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct DumpReport {
    /// Which it was.
    pub kind: DumpKind,
    /// It holds everything up to this change.
    pub sequence: u64,
    /// How many live entries it holds, as read back from each cloud that has it.
    pub entries: u64,
    /// Bytes of their values.
    pub value_bytes: u64,
    /// How many objects were put, into each cloud.
    pub objects: u64,
    /// How many bytes they have.
    pub bytes: u64,
}

/// A dump under construction.
struct Making<'a> {
    inner: &'a Inner,
    /// Into which it goes, with their places: those that do what they are asked.
    clouds: Vec<(usize, Arc<dyn CloudBackend>)>,
    /// As of its beginning.
    state: BackupState,
    source: Source,
    watch: Watch,
    drops: u64,
}

/// A dump that some clouds hold.
pub(super) struct Made {
    kind: DumpKind,
    /// Which.
    holders: Vec<usize>,
    index: ObjectRef,
    opened: DumpIndex,
    older: Vec<KeptDump>,
    objects: u64,
    bytes: u64,
    /// What of the state it covers.
    segments: (u64, u64),
    began: u64,
    /// How often the log had been dropped when it began.
    drops: u64,
}

impl Made {
    /// Whether it holds everything that the log does not. If that was dropped meanwhile, only a dump
    /// that begins later does.
    fn holds_all(&self, inner: &Inner) -> bool {
        let recorder = &inner.tower.recorder;
        recorder.is_noting() && recorder.log_drops() == self.drops
    }
}

/// Makes a dump while backups go on, and makes it count. `None` stands for the kind that is due;
/// then nothing is done if none is.
#[tracing::instrument(skip_all)]
pub(crate) async fn dump(
    inner: &Inner,
    clouds: &[Arc<dyn CloudBackend>],
    wanted: Option<DumpKind>,
    wish: Wish,
) -> Result<Option<DumpReport>> {
    if clouds.is_empty() {
        return Err(Error::NoCloud);
    }
    if chain_begins(inner, clouds).await {
        begin_chain(inner, clouds, wish).await?;
    }
    let _one_at_a_time = inner.dumping.lock().await;
    let (making, kind) = {
        // Up to here everything is in segments, so a delta can stand here.
        let _no_backup = inner.posting.lock().await;
        let mut post = Post::begin(inner, clouds);
        post.wish = wish;
        // A cloud that lags does not keep the others from a dump.
        bear_laggards(inner, post.publish(inner).await)?;
        let making = Making::begin(inner, clouds, post.state);
        let now = making.now();
        let due = due(&making.state, &inner.tower.settings, now);
        let Some(kind) = wanted.or(due) else { return Ok(None) };
        (making, kind)
    };
    let made = match (kind, making.state.dump, making.state.dumps.full) {
        (DumpKind::Delta, Some(dump), Some(full)) => making.delta(dump, full.index).await?,
        _ => making.full().await?,
    };
    drop(making);
    let _no_backup = inner.posting.lock().await;
    let mut post = Post::begin(inner, clouds);
    post.wish = wish;
    if post.state.writer != made.index.id.writer {
        // This chain was left meanwhile.
        return Ok(None);
    }
    if post.state.dump.is_none() || !made.holds_all(inner) {
        return Ok(None);
    }
    let report = post.adopt(&made);
    // The fence moves on, too: what it names is kept, and must not keep older dumps for ever.
    inner.fence_is_due();
    bear_laggards(inner, post.publish(inner).await)?;
    Ok(Some(report))
}

/// That some clouds lack something is no reason to stop as long as one has everything.
fn bear_laggards(inner: &Inner, published: Result<()>) -> Result<()> {
    use backup::Error as Backup;
    match published {
        Err(
            Error::Cloud(_)
            | Error::Backup(
                Backup::Missing { .. } | Backup::Damaged { .. } | Backup::BrokenChain { .. },
            ),
        ) if !inner.lines.is_undelivered() => Ok(()),
        other => other,
    }
}

async fn chain_begins(inner: &Inner, clouds: &[Arc<dyn CloudBackend>]) -> bool {
    let _no_backup = inner.posting.lock().await;
    Post::begin(inner, clouds).wants_dump(inner)
}

impl Post<'_> {
    /// What is put from now on builds on this dump.
    fn adopt(&mut self, made: &Made) -> DumpReport {
        let state = &mut self.state;
        let kept = made.opened.kept(made.index);
        state.dump = Some(made.index);
        state.dump_bytes = kept.sealed_bytes;
        let (bytes, segments) = state.segments_since_dump;
        let (covered_bytes, covered) = made.segments;
        state.segments_since_dump =
            (bytes.saturating_sub(covered_bytes), segments.saturating_sub(covered));
        if made.kind == DumpKind::Full {
            state.dumps.full = Some(kept);
        }
        state.dumps.kept = std::iter::once(kept).chain(made.older.iter().copied()).collect();
        state.dumps.sweeps.push((self.tower.clock.now().0.max(made.began), made.index));
        self.counts.objects += made.objects;
        self.counts.bytes += made.bytes;
        self.dump = Some(NewDump { holders: made.holders.clone(), is_beginning: false });
        DumpReport {
            kind: made.kind,
            sequence: made.index.id.from,
            entries: made.opened.entries,
            value_bytes: made.opened.bytes,
            objects: made.objects,
            bytes: made.bytes,
        }
    }
}

impl<'a> Making<'a> {
    fn begin(inner: &'a Inner, clouds: &'a [Arc<dyn CloudBackend>], state: BackupState) -> Self {
        let tower = &inner.tower;
        let at_once = tower.settings.fetch_at_once;
        let well = inner.lines.well(clouds.len());
        let clouds = well.into_iter().filter_map(|i| Some((i, clouds.get(i)?.clone())));
        let clouds: Vec<(usize, Arc<dyn CloudBackend>)> = clouds.collect();
        let backends = clouds.iter().map(|(_, cloud)| cloud.clone());
        let source = Source::new(tower.sealer.clone(), backends, at_once);
        let drops = tower.recorder.log_drops();
        Self { inner, clouds, state, source, watch: inner.watches.begin(), drops }
    }

    /// The index last: then the dump is there.
    async fn finish(
        &self,
        writer: DumpWriter,
        mut upload: Upload,
        (from, to): (u64, u64),
    ) -> Result<Made> {
        let older = writer.kept().to_vec();
        // What was newest when it began: the way back to what is older than the dump.
        let newest = self.state.newest.clone().filter(|link| link.range().1 <= from);
        let (rest, index) = writer.finish(to, newest, self.now())?;
        let [sealed] = rest.as_slice() else { return Err(Error::Task) };
        let opened = upload.finish(index, sealed).await?;
        let kind = if opened.base.is_some() { DumpKind::Delta } else { DumpKind::Full };
        Ok(Made {
            kind,
            holders: upload.holders(),
            index,
            began: opened.time.0,
            opened,
            older,
            objects: upload.objects,
            bytes: upload.bytes,
            segments: self.state.segments_since_dump,
            drops: self.drops,
        })
    }

    /// How far back restore points are kept, in milliseconds.
    fn window(&self) -> u64 {
        millis(self.inner.tower.settings.keep_restore_points_for)
    }

    fn now(&self) -> u64 {
        self.inner.tower.clock.now().0
    }
}
