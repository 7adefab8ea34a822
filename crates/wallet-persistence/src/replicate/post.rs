//! One backup: the changes since the last one as a segment, then a head.

use std::sync::{Arc, PoisonError};

use backup::BackupState;
use cloud::CloudBackend;
use serde::Serialize;

use super::SingleWriter;
use crate::{Error, Result, session::Inner, tower::Tower, wallet::blocking};

/// What one backup did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct BackupReport {
    /// Every change up to this number is in the cloud.
    pub sequence: u64,
    /// How many changed keys went up in segments, one that an earlier try has sealed included.
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

/// Puts everything that is not yet in the clouds there. On an error nothing is acknowledged: the
/// next call begins again where the last acknowledged one ended.
#[tracing::instrument(skip_all)]
pub(crate) async fn post(inner: &Inner, clouds: &[Arc<dyn CloudBackend>]) -> Result<BackupReport> {
    if clouds.is_empty() {
        return Err(Error::NoCloud);
    }
    let _one_at_a_time = inner.posting.lock().await;
    let mut post = Post::begin(inner, clouds);
    post.publish(inner).await?;
    post.report.sequence = post.state.backed_up;
    Ok(post.report)
}

/// A backup on its way.
pub(super) struct Post<'a> {
    pub(super) tower: &'a Tower,
    pub(super) clouds: &'a [Arc<dyn CloudBackend>],
    /// The state as it will be acknowledged.
    pub(super) state: BackupState,
    pub(super) report: BackupReport,
    /// Whether single-writer data went up that the fence has not passed.
    pub(super) single_writer: bool,
}

impl<'a> Post<'a> {
    /// Begins one; only who holds the posting lock may.
    pub(super) fn begin(inner: &'a Inner, clouds: &'a [Arc<dyn CloudBackend>]) -> Self {
        let tower = &inner.tower;
        let state = tower.recorder.state();
        Self { tower, clouds, state, report: BackupReport::default(), single_writer: false }
    }

    /// Puts what has changed, and a head if anything was put; then single-writer data is
    /// acknowledged by the fence, then everything here.
    pub(super) async fn publish(&mut self, inner: &Inner) -> Result<()> {
        self.look_first(inner).await?;
        if self.state.dump.is_none() {
            self.first_dump(inner).await?;
        }
        self.segment(inner).await?;
        // Whoever was retired here cannot know before a head says so.
        let is_untold = self.state.dump.is_some() && self.tower.recorder.retirement_is_untold();
        if self.report.objects == 0 && !is_untold && !self.heartbeat_is_due(inner) {
            return self.fence(inner).await;
        }
        let seen = inner.seen.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let (head, time) = self.head(inner, seen).await?;
        self.note_head(inner, head, time)?;
        // Only what the fence has passed is acknowledged: until then the log keeps it.
        self.fence(inner).await?;
        self.tower.recorder.acknowledge(self.state.clone())?;
        if let Some(kept) = self.tower.kept.head() {
            self.tower.recorder.told(&kept.head)?;
        }
        self.forget_kept();
        self.delete_old_heads(inner).await;
        Ok(())
    }

    async fn segment(&mut self, inner: &Inner) -> Result<()> {
        self.put_kept().await?;
        let (recorder, from) = (self.tower.recorder.clone(), self.state.backed_up);
        let Some(cut) = blocking(move || recorder.cut(from).map_err(Error::from)).await? else {
            return Ok(());
        };
        inner.watches.note(cut.mergeable.iter().chain(&cut.single_writer).map(|entry| &entry.name));
        let changes = cut.mergeable.len() + cut.single_writer.len();
        let segment =
            self.tower.sealer.seal_segment(self.state.writer, cut, self.state.newest.as_ref())?;
        self.put_segment(segment, changes).await
    }
}
