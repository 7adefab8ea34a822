//! Acknowledging: the fencing head follows what went up.

use std::sync::Arc;

use backup::{
    BackupState, Claimant, FenceOutcome, FenceProgress, Gate, ObjectHash, ObjectRef, Position,
    Refusal, Suspicion,
};
use cloud::{CloudBackend, Tag};

use super::{
    SingleWriter,
    drive::{Driven, drive},
    quorum::Quorums,
};
use crate::{Error, Result, replicate::post::Post, session::Inner};

impl Post<'_> {
    /// After the head, in the clouds that have it (`holders`): acknowledges single-writer data up to
    /// it, if there is any to acknowledge.
    ///
    /// An error means that nothing is decided, and that the backup is to be tried again.
    pub(in crate::replicate) async fn fence(
        &mut self,
        inner: &Inner,
        chain: &BackupState,
        single_writer: bool,
        holders: &[usize],
    ) -> Result<()> {
        let recorder = &self.tower.recorder;
        let state = recorder.fence_state();
        let may = matches!(state.gate, Gate::Open | Gate::HandedOver);
        let is_owed = inner.is_fence_due() && (state.epoch > 0 || state.owed().is_some());
        let head = chain.head.filter(|_| single_writer || is_owed);
        let became = match (head, state.gate.refusal().filter(|_| !may)) {
            (Some(head), None) => Some(self.advance(inner, chain, head, holders).await?),
            (_, Some(refusal)) if single_writer => {
                recorder.fence_stopped(0, Arc::new(refusal));
                Some(SingleWriter::Stopped)
            }
            _ => None,
        };
        self.report.single_writer = became;
        // The dump that a head names may hold more than the chain says is backed up.
        let up_to = head.map_or(0, |head| head.id.to).max(chain.backed_up);
        // What waits for the fence is told; for the clouds it waits until all is acknowledged.
        match became {
            None if may => recorder.fence_not_needed(chain.backed_up),
            None | Some(SingleWriter::Stopped) => {}
            Some(SingleWriter::Acknowledged) => recorder.fence_passed(up_to),
            Some(SingleWriter::Noted) => {
                let why = (0..self.clouds.len()).find_map(|i| inner.cannot_fence(i));
                recorder.fence_impossible(Arc::new(why.unwrap_or(Error::NotAcknowledged)));
            }
            Some(SingleWriter::Suspended) => recorder.note_owed(up_to)?,
        }
        Ok(())
    }

    async fn advance(
        &self,
        inner: &Inner,
        chain: &BackupState,
        head: ObjectRef,
        holders: &[usize],
    ) -> Result<SingleWriter> {
        let newest = chain.newest.as_ref();
        let at = Position {
            writer: chain.writer,
            sequence: head.id.to,
            segment: newest.map_or(ObjectHash::NONE, backup::Link::hash),
            head,
        };
        inner.set_fence_due(true);
        let mut became = advance(inner, self.clouds, holders, at).await;
        let falls_short =
            matches!(became, Ok(SingleWriter::Suspended) | Err(Error::NotAcknowledged));
        if falls_short && holders.len() < self.clouds.len() {
            // Those that are still on their way may make up for it.
            if let Err(error) = inner.lines.wait(self.clouds.len()).await {
                tracing::debug!(%error, "a cloud is missing for the fence");
            }
            became = advance(inner, self.clouds, &inner.lines.up_to_date(), at).await;
        }
        let became = became?;
        inner.set_fence_due(became == SingleWriter::Suspended);
        Ok(became)
    }
}

async fn advance(
    inner: &Inner,
    clouds: &[Arc<dyn CloudBackend>],
    holders: &[usize],
    at: Position,
) -> Result<SingleWriter> {
    let state = inner.fence_state_with_sessions();
    let now = inner.tower.clock.now().0;
    let needed = inner.acknowledged_by(clouds.len());
    let claimant = Claimant {
        writer: at.writer,
        session: inner.fence_session(),
        time: now,
        clouds: clouds.len() as u32,
        acknowledged_by: needed,
        durable: inner.tower.recorder.sequence(),
        state: &state,
    };
    let plan = claimant.advance(at);
    let mut memory = inner.known_fences(clouds.len());
    let plans = inner.with_floors(&plan, clouds.len());
    let has = |i| holders.contains(&i);
    let mut driven = drive(
        &inner.tower.sealer,
        clouds,
        has,
        plans,
        &mut memory,
        (inner.session_note(clouds.len()), now),
    )
    .await;
    inner.note_fences_known(memory)?;
    inner.note_fences(&driven)?;

    let quorums = Quorums::of(inner, &state, clouds.len());
    let in_all = quorums.all.verdict(&plan, &driven, |_| true);
    if quorums.hold(&plan, &driven, |one| one.swaps) {
        inner.tower.recorder.note_acknowledged(plan.wanted.epoch, at, &quorums.now)?;
        return Ok(SingleWriter::Acknowledged);
    }
    if let Some(fence) = &in_all.copied {
        inner.stop(Gate::Copied).await?;
        inner.tower.recorder.fence_stopped(0, Arc::new(Refusal::Copied));
        let found = fence.progress().sequence;
        inner.found_everywhere(Suspicion::Copied { found })?;
        return Ok(SingleWriter::Stopped);
    }
    if let Some(fence) = in_all.fenced.as_ref().filter(|_| quorums.are_lost(&plan, &driven)) {
        let (epoch, writer) = (fence.epoch, fence.writer);
        if driven.iter().all(|one| !one.swaps) {
            inner.found_everywhere(Suspicion::ConcurrentWriters { writer })?;
        }
        inner.stop(Gate::Fenced { epoch, writer }).await?;
        let counts = fence.counts_for(at.writer).unwrap_or(0);
        inner.tower.recorder.fence_stopped(counts, Arc::new(Refusal::Fenced { epoch, writer }));
        return Ok(SingleWriter::Stopped);
    }
    if quorums.hold(&plan, &driven, |_| true) {
        inner.tower.recorder.note_acknowledged(plan.wanted.epoch, at, &quorums.now)?;
        return Ok(SingleWriter::Noted);
    }
    if in_all.held >= needed {
        // As many as are asked for now, but not as were before.
        return Ok(SingleWriter::Suspended);
    }
    if let Some(error) = driven.iter_mut().find_map(|one| one.error.take()) {
        return Err(error);
    }
    if in_all.rolled_back > 0 {
        return Ok(SingleWriter::Suspended);
    }
    // Half a takeover stands in the way, and the others are away.
    Err(Error::NotAcknowledged)
}

impl Inner {
    /// In how many clouds single-writer data must be acknowledged.
    pub(crate) fn acknowledged_by(&self, clouds: usize) -> u32 {
        let set = self.tower.settings.acknowledged_by.unwrap_or(clouds);
        set.clamp(1, clouds.max(1)) as u32
    }

    /// The plan for each cloud: none may serve less than it did.
    pub(super) fn with_floors(
        &self,
        plan: &backup::FencePlan,
        clouds: usize,
    ) -> Vec<backup::FencePlan> {
        self.with_history(|history| {
            let plan_of = |i| backup::FencePlan {
                floor: history.fence_mark(&self.cloud_name(i)),
                ..plan.clone()
            };
            (0..clouds).map(plan_of).collect()
        })
    }

    /// Remembers how far the fencing heads are, and which of them went back.
    pub(super) fn note_fences(&self, driven: &[Driven]) -> Result<()> {
        for (i, one) in driven.iter().enumerate() {
            self.note_fence(i, &one.outcome)?;
        }
        Ok(())
    }

    fn note_fence(&self, cloud: usize, outcome: &FenceOutcome<Tag>) -> Result<()> {
        let name = self.cloud_name(cloud);
        let progress = match outcome {
            FenceOutcome::Held(fence, _)
            | FenceOutcome::Fenced(fence)
            | FenceOutcome::Behind(fence)
            | FenceOutcome::Copied(fence) => fence.progress(),
            FenceOutcome::RolledBack(fence) => {
                let has = fence.as_ref().map(backup::Fence::progress);
                return self.fence_went_back(&name, has);
            }
            FenceOutcome::Unknown => return Ok(()),
        };
        self.change_history(|history, _| {
            history.saw_fence(&name, progress);
            Vec::new()
        })
    }

    pub(in crate::replicate) fn fence_went_back(
        &self,
        cloud: &str,
        has: Option<FenceProgress>,
    ) -> Result<()> {
        self.change_history(|history, now| {
            let had = history.fence_mark(cloud).unwrap_or_default();
            let what = Suspicion::FenceRolledBack { had, has };
            history.find(cloud, what, now).into_iter().collect()
        })
    }

    fn found_everywhere(&self, what: Suspicion) -> Result<()> {
        let name = self.cloud_name(0);
        self.change_history(|history, now| history.find(&name, what, now).into_iter().collect())
    }

    /// Closes the gate for single-writer data; mergeable data goes on.
    pub(crate) async fn stop(&self, gate: Gate) -> Result<()> {
        self.set_fence_state(self.tower.recorder.fence_state().with_gate(gate)).await?;
        if let Some(refusal) = gate.refusal() {
            tracing::warn!(%refusal, "single-writer data stops");
            self.tell(crate::Event::SingleWriterStopped { reason: refusal.to_string() });
        }
        Ok(())
    }
}
