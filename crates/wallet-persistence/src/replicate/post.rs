//! One backup: the changes since the last one as a segment, then a head.

use std::sync::{Arc, PoisonError};

use backup::{BackupState, Put, Sealed};
use cloud::CloudBackend;
use serde::Serialize;

use super::{
    SingleWriter, dump,
    lines::{Attended, Counts, Line, NewDump},
};
use crate::{Error, Result, session::Inner, tower::Tower, wallet::blocking};

/// What one backup did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct BackupReport {
    /// Every change up to this number is in as many clouds as are asked for.
    pub sequence: u64,
    /// How many changed keys went up in segments, those of earlier tries included.
    pub changes: usize,
    /// How many live entries a dump holds, if one was made.
    pub dumped: Option<u64>,
    /// How many objects were put, into each cloud.
    pub objects: u64,
    /// How many bytes they have.
    pub bytes: u64,
    /// What became of single-writer data; `None`: there was none to acknowledge.
    pub single_writer: Option<SingleWriter>,
}

/// How often to begin a chain whose log is dropped meanwhile.
const BEGINNINGS: u32 = 3;

/// Puts everything that is not yet in the clouds there, into each at its own pace, until as many of
/// them have it as are asked for. On an error not all of it is acknowledged, and the next call goes
/// on where the last one ended.
#[tracing::instrument(skip_all)]
pub(crate) async fn post(
    inner: &Inner,
    clouds: &[Arc<dyn CloudBackend>],
    wish: Wish,
) -> Result<BackupReport> {
    if clouds.is_empty() {
        return Err(Error::NoCloud);
    }
    let mut report = BackupReport::default();
    let asked = inner.tower.recorder.sequence();
    for _ in 0..BEGINNINGS {
        let begins = {
            let _one_at_a_time = inner.posting.lock().await;
            let mut post = Post::begin(inner, clouds);
            post.wish = wish;
            let published = post.publish(inner).await;
            report.add(&post.report);
            if !inner.lines.wants_dump() {
                published?;
            }
            post.wants_dump(inner)
        };
        let done = match begins {
            // It takes its time, and holds up nobody else meanwhile.
            true => dump::begin_chain(inner, clouds, wish).await?,
            false => Some(BackupReport::default()),
        };
        if let Some(done) = done {
            report.add(&done);
            // A log that was dropped meanwhile leaves no cut, and nothing to say of what it held.
            let recorder = &inner.tower.recorder;
            if recorder.lag().dump_needed && recorder.state().backed_up < asked {
                continue;
            }
            report.sequence = inner.tower.recorder.state().backed_up;
            return Ok(report);
        }
    }
    let what = "the log was dropped again and again while its dump was made";
    Err(backup::Error::BrokenChain { what }.into())
}

/// Why something is put into the clouds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wish {
    /// Somebody asked for it, and waits for what can be waited for.
    Asked,
    /// It is due. A cloud that has failed just now, or is slow, is left in peace.
    Due,
}

/// A backup on its way.
pub(super) struct Post<'a> {
    pub(super) tower: &'a Tower,
    pub(super) clouds: &'a [Arc<dyn CloudBackend>],
    /// The chain as it is sealed, acknowledged or not.
    pub(super) state: BackupState,
    /// How often the log had been dropped then.
    pub(super) drops: u64,
    /// What was acknowledged.
    pub(super) report: BackupReport,
    /// What goes up with the next head ...
    pub(super) objects: Vec<Sealed>,
    /// ... a dump that is there already ...
    pub(super) dump: Option<NewDump>,
    /// ... and what is to be said of them.
    pub(super) counts: Counts,
    /// What was before the next head is not in every cloud, and not needed.
    pub(super) begins_anew: bool,
    pub(super) wish: Wish,
}

impl<'a> Post<'a> {
    /// Begins one; only who holds the posting lock may go on with it.
    pub(super) fn begin(inner: &'a Inner, clouds: &'a [Arc<dyn CloudBackend>]) -> Self {
        let tower = &inner.tower;
        let drops = tower.recorder.log_drops();
        Self {
            tower,
            clouds,
            state: inner.lines.tip(tower.recorder.state(), drops),
            drops,
            report: BackupReport::default(),
            objects: Vec::new(),
            dump: None,
            counts: Counts::default(),
            begins_anew: false,
            wish: Wish::Asked,
        }
    }

    /// Whether there is nothing to build on: no dump, or none that any cloud has.
    pub(super) fn wants_dump(&self, inner: &Inner) -> bool {
        self.state.dump.is_none() || inner.lines.wants_dump()
    }

    /// Seals what has changed, and a head if there is anything to say; sees it up, and acknowledges
    /// what enough clouds have, single-writer data only as far as the fence has passed it. Without a
    /// dump to build on nothing is put.
    pub(super) async fn publish(&mut self, inner: &Inner) -> Result<()> {
        let attended = Attended::new(&inner.lines);
        let outcome = self.publish_attended(inner).await;
        attended.end();
        outcome
    }

    async fn publish_attended(&mut self, inner: &Inner) -> Result<()> {
        self.look_first(inner).await?;
        let (tower, lines) = (self.tower, &inner.lines);
        let note = inner.session_note(self.clouds.len());
        let chain = (self.state.writer, self.drops);
        lines.begin(chain, tower.settings.memory_budget, || self.new_lines(inner));
        if lines.is_undelivered() && self.dump.as_ref().is_none_or(|dump| !dump.is_beginning) {
            // What no cloud has yet goes up as it is before anything else is sealed: a head of it may
            // be somewhere already.
            lines.kick(&tower.sealer, &note, self.wish);
            let outcome = lines.wait(1).await;
            if outcome.is_err() {
                lines.discard_large();
                self.settle(inner).await?;
                return outcome;
            }
        }
        if self.state.dump.is_none() {
            return Ok(());
        }
        self.segment(inner).await?;
        if !self.objects.is_empty() || self.dump.is_some() || self.head_is_due(inner) {
            // Those that have answered in this session; others only once they do.
            let answer = (0..self.clouds.len()).filter(|i| !inner.is_first_look_into(*i));
            note.before_put(Put::Head, &answer.collect::<Vec<_>>()).await?;
            let seen = inner.seen.lock().unwrap_or_else(PoisonError::into_inner).clone();
            self.head(inner, seen)?;
        }
        lines.kick(&tower.sealer, &note, self.wish);
        let needed = inner.acknowledged_by(self.clouds.len()) as usize;
        let outcome = match lines.wait(1).await {
            Ok(()) => lines.wait(needed).await,
            failed => failed,
        };
        if outcome.is_err() {
            lines.discard_large();
        }
        self.settle(inner).await?;
        outcome
    }

    /// A line for each cloud. One that has not acknowledged what this device believes to be there is
    /// asked: it may be new, or have been away.
    fn new_lines(&self, inner: &Inner) -> Vec<Line> {
        let state = self.tower.recorder.state();
        let acknowledged = |i| {
            let name = inner.cloud_name(i);
            inner.with_history(|history| history.mark(&name, state.writer).map(|mark| mark.head))
        };
        let head = state.head.map(|head| (head, state.last_backup.unwrap_or(0)));
        let lines = self.clouds.iter().enumerate();
        lines.map(|(i, cloud)| Line::new(cloud, head, acknowledged(i) == state.head)).collect()
    }

    /// Whether there is something to say although nothing has changed.
    fn head_is_due(&self, inner: &Inner) -> bool {
        let recorder = &self.tower.recorder;
        let told = inner.lines.tells().unwrap_or(0);
        let untold = recorder.retirement_is_untold() && told < recorder.retired().len();
        self.heartbeat_is_due(inner) || untold
    }

    async fn segment(&mut self, inner: &Inner) -> Result<()> {
        let (recorder, from) = (self.tower.recorder.clone(), self.state.backed_up);
        let Some(cut) = blocking(move || recorder.cut(from).map_err(Error::from)).await? else {
            return Ok(());
        };
        let held = self.state.dump.map_or(0, |dump| dump.id.from).max(from);
        if cut.from > held + 1 {
            let what = "the log was dropped while a backup was made";
            return Err(backup::Error::BrokenChain { what }.into());
        }
        inner.watches.note(cut.mergeable.iter().chain(&cut.single_writer).map(|entry| &entry.name));
        let changes = cut.mergeable.len() + cut.single_writer.len();
        let segment =
            self.tower.sealer.seal_segment(self.state.writer, cut, self.state.newest.as_ref())?;
        let bytes = segment.objects.iter().map(|object| object.bytes().len() as u64).sum();
        self.counts.add(&Counts {
            changes,
            objects: segment.objects.len() as u64,
            bytes,
            dumped: None,
            single_writer: segment.single_writer,
        });
        self.state.backed_up = segment.link.range().1;
        self.state.newest = Some(segment.link);
        self.state.segments_since_dump.0 += bytes;
        self.state.segments_since_dump.1 += 1;
        self.objects.extend(segment.objects);
        Ok(())
    }

    /// Notes what the clouds have, acknowledges what enough of them have, and tidies.
    async fn settle(&mut self, inner: &Inner) -> Result<()> {
        self.note_heads(inner)?;
        let acknowledged = self.acknowledge(inner).await;
        self.delete_old_heads(inner).await;
        acknowledged
    }

    /// Acknowledges what enough clouds have.
    async fn acknowledge(&mut self, inner: &Inner) -> Result<()> {
        let lines = &inner.lines;
        let needed = inner.acknowledged_by(self.clouds.len()) as usize;
        let Some((sent, holders)) = lines.settled(needed) else {
            let holders = lines.holders();
            if holders.len() < needed {
                return Ok(());
            }
            return self.fence(inner, &self.tower.recorder.state(), false, &holders).await;
        };
        let Some(last) = sent.last() else { return Ok(()) };
        // Only what the fence has passed is acknowledged: until then the log keeps it.
        let single_writer = sent.iter().any(|sent| sent.counts.single_writer);
        self.fence(inner, &last.state, single_writer, &holders).await?;
        let recorder = &self.tower.recorder;
        recorder.acknowledge(last.state.clone())?;
        recorder.told(&last.head)?;
        lines.acknowledged(sent.len());
        for sent in &sent {
            self.report.count(&sent.counts);
        }
        Ok(())
    }
}

impl BackupReport {
    fn count(&mut self, counts: &Counts) {
        self.changes += counts.changes;
        self.objects += counts.objects;
        self.bytes += counts.bytes;
        self.dumped = counts.dumped.or(self.dumped);
    }

    /// Takes in what came later.
    fn add(&mut self, later: &Self) {
        self.changes += later.changes;
        self.objects += later.objects;
        self.bytes += later.bytes;
        self.dumped = later.dumped.or(self.dumped);
        self.single_writer = later.single_writer.or(self.single_writer);
    }
}
