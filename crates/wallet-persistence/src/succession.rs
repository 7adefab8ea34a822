//! Who writes: takeover and handover, and the looks that find out who else does.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::PoisonError,
    time::Duration,
};

use backup::{FenceState, Gate, ObjectRef};
use tokio::time::Instant;

use crate::{
    Error, Event, HandoverReport, Result, Session, SingleWriter, TakeoverReport, WriterReport,
    clock,
    replicate::{self, TakeOverFrom, Wish},
    session::Inner,
    wallet::blocking,
};

/// What the first look of a session has found out.
#[derive(Debug, Default)]
pub(crate) struct Looks {
    /// Whether a look has come to its end. One that failed, or was dropped, was none.
    has_looked: bool,
    /// The clouds that were looked into.
    looked_into: BTreeSet<usize>,
    /// Clouds that did not answer, and until when they are left in peace.
    silent: BTreeMap<usize, Instant>,
    /// Writers of which it was told that a clock is wrong.
    ahead: BTreeSet<String>,
    /// A head of this folder that an earlier session put and could not write down.
    adopted: Option<(ObjectRef, u64)>,
}

impl Session {
    /// Makes this device the one that writes data with a single writer. Do it when the other device
    /// has stopped, or is lost: from now on what it writes of that kind does not count.
    ///
    /// [`Error::BehindTheFence`] if the other device has written more than was restored here. Where it
    /// is cut short by suspending, or by the end of the process, ask again: it goes on.
    pub async fn take_over(&self) -> Result<TakeoverReport> {
        self.take_over_from(TakeOverFrom::Anyone).await
    }

    pub(crate) async fn take_over_from(&self, from: TakeOverFrom) -> Result<TakeoverReport> {
        self.tower()?;
        self.unless_suspended(async {
            replicate::take_over(&self.inner, self.inner.clouds().await?, from).await
        })
        .await
    }

    /// Backs everything up and seals this wallet: it refuses to run from then on, and the session is
    /// locked. On an error it goes on as before; locking or suspending cuts it short like one.
    pub async fn hand_over(&self) -> Result<HandoverReport> {
        let tower = self.tower()?;
        let state = tower.recorder.fence_state();
        if let Gate::Fenced { .. } | Gate::Copied = state.gate
            && let Some(refusal) = state.gate.refusal()
        {
            return Err(refusal.into());
        }
        // First, so that nothing comes after the last backup. Until that is acknowledged nothing of
        // this is written: whatever ends the handover before, the wallet goes on.
        let _held_back = tower.recorder.hold_back();
        let report = self.seal(&state).await?;
        self.lock().await?;
        Ok(report)
    }

    async fn seal(&self, before: &FenceState) -> Result<HandoverReport> {
        let tower = self.tower()?;
        let report = self.unless_suspended(self.inner.post(Wish::Asked)).await?;
        let stopped =
            matches!(report.single_writer, Some(SingleWriter::Stopped | SingleWriter::Suspended));
        // A device that was restored and never took over has no single-writer data of its own.
        if (stopped && before.gate == Gate::Open) || tower.recorder.lag().records > 0 {
            return Err(Error::NotAcknowledged);
        }
        let recorder = tower.recorder.clone();
        let state = recorder.fence_state().with_gate(Gate::HandedOver);
        let epoch = state.epoch;
        blocking(move || recorder.set_fence_state(state).map_err(Error::from)).await?;
        Ok(HandoverReport {
            writer: tower.recorder.state().writer.to_string(),
            sequence: report.sequence,
            epoch,
            clouds: tower.cloud_urls()?.iter().map(ToString::to_string).collect(),
            time: tower.clock.now().0,
        })
    }

    /// The user has taken note of everything suspicious so far; how many findings it were. What went
    /// back is from now on measured by what is there.
    pub fn acknowledge_findings(&self) -> Result<usize> {
        self.tower()?;
        let mut count = 0;
        self.inner.change_history(|history, _| {
            count = history.acknowledge();
            Vec::new()
        })?;
        self.inner.try_fence_again();
        Ok(count)
    }
}

impl Inner {
    /// Looks into every cloud for what is suspicious; the newest heads that it has read.
    pub(crate) async fn look(&self) -> Result<replicate::Found> {
        let clouds = self.clouds().await?;
        let _one_at_a_time = self.posting.lock().await;
        let found = replicate::look(self, clouds).await?;
        self.has_looked();
        Ok(found)
    }

    /// Whether this session has not looked into a cloud to the end before.
    pub(crate) fn is_first_look_into(&self, i: usize) -> bool {
        !self.looks.lock().unwrap_or_else(PoisonError::into_inner).looked_into.contains(&i)
    }

    pub(crate) fn has_looked_into(&self, i: usize) {
        self.looks.lock().unwrap_or_else(PoisonError::into_inner).looked_into.insert(i);
    }

    /// Whether a cloud did not answer a look a short while ago.
    pub(crate) fn is_silent(&self, i: usize) -> bool {
        let looks = self.looks.lock().unwrap_or_else(PoisonError::into_inner);
        looks.silent.get(&i).is_some_and(|until| Instant::now() < *until)
    }

    pub(crate) fn is_silent_for(&self, i: usize, how_long: Duration) {
        let mut looks = self.looks.lock().unwrap_or_else(PoisonError::into_inner);
        looks.silent.insert(i, Instant::now() + how_long);
    }

    /// Whether no look of this session has come to its end.
    pub(crate) fn is_first_look(&self) -> bool {
        !self.looks.lock().unwrap_or_else(PoisonError::into_inner).has_looked
    }

    pub(crate) fn has_looked(&self) {
        self.looks.lock().unwrap_or_else(PoisonError::into_inner).has_looked = true;
    }

    /// Tells of a clock that is wrong, once for each writer.
    pub(crate) fn tell_clock(&self, report: &WriterReport) {
        let Some(ahead_ms) = clock::is_wrong(report.clock_ahead_ms) else { return };
        let mut looks = self.looks.lock().unwrap_or_else(PoisonError::into_inner);
        if looks.ahead.insert(report.writer.clone()) {
            drop(looks);
            tracing::warn!(writer = report.writer, ahead_ms, "a clock is wrong");
            self.tell(Event::ClockAhead { writer: report.writer.clone(), ahead_ms });
        }
    }

    pub(crate) fn adopt(&self, head: ObjectRef, time: u64) {
        let mut looks = self.looks.lock().unwrap_or_else(PoisonError::into_inner);
        let place = |(head, time): (ObjectRef, u64)| (head.id.to, time);
        if looks.adopted.map(place) < Some(place((head, time))) {
            looks.adopted = Some((head, time));
        }
    }

    pub(crate) fn adopted(&self) -> Option<(ObjectRef, u64)> {
        self.looks.lock().unwrap_or_else(PoisonError::into_inner).adopted.take()
    }
}
