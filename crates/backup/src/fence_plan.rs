//! What to put into the fencing head, over all clouds: to acknowledge, and to take over.

use crate::{
    Deposed, Fence, FenceOutcome, FencePlan, FenceState, Position, Takeover, WriterId,
    furthest_fence,
};

/// Who asks, and what it knows of itself.
#[derive(Debug, Clone)]
pub struct Claimant<'a> {
    /// This installation.
    pub writer: WriterId,
    /// This opening of its folder; must be in [`FenceState::sessions`], durably, before a put:
    /// [`crate::Recorder::note_session`].
    pub session: [u8; 16],
    /// Now, in milliseconds since the Unix epoch.
    pub time: u64,
    /// How many clouds the wallet uses.
    pub clouds: u32,
    /// How many of them must have a change before it counts as replicated.
    pub acknowledged_by: u32,
    /// The newest sequence number that is durable on this device.
    pub durable: u64,
    /// What it remembers.
    pub state: &'a FenceState,
}

/// What has to be done to take over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TakeoverPlan {
    /// For the machine of each cloud (its floor is still to be set).
    pub plan: FencePlan,
    /// In how many clouds it must succeed.
    pub needed: u32,
}

/// Why a takeover is not even tried.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CannotTakeOver {
    /// The writer to depose has acknowledged more than this device holds. Restore again.
    Behind(Box<Fence>),
    /// This folder is an old copy of the one that holds the fence. Restore into another folder.
    Copied(Box<Fence>),
}

impl Claimant<'_> {
    /// The plan to acknowledge single-writer data up to a restore point.
    pub fn advance(&self, to: Position) -> FencePlan {
        let epoch = self.state.epoch.max(1);
        self.plan(self.fence(epoch, Some(to), self.state.deposed.clone()), None)
    }

    /// The plan to take over from whoever holds the fencing heads `found`, one for each cloud that
    /// has one.
    pub fn take_over(&self, found: &[Fence]) -> Result<TakeoverPlan, CannotTakeOver> {
        let needed = found.iter().map(|fence| fence.takeover_quorum(self.clouds)).max();
        let fence = furthest_fence(found);
        let base = self.base(fence);
        let wanted = match fence {
            None => {
                let mut deposed = self.state.deposed.clone();
                deposed.extend(base.map(|base| Deposed {
                    writer: base.writer,
                    epoch: 0,
                    sequence: base.sequence,
                }));
                self.fence(self.state.epoch + 1, base, deposed)
            }
            // An earlier attempt got there, or it is a handover that is taken back.
            Some(fence) if fence.writer == self.writer => {
                if !self.is_known(fence) {
                    return Err(CannotTakeOver::Copied(Box::new(fence.clone())));
                }
                self.fence(fence.epoch, fence.at, fence.deposed.clone())
            }
            Some(fence) => {
                if !fence.is_covered_by(base.as_ref()) {
                    return Err(CannotTakeOver::Behind(Box::new(fence.clone())));
                }
                let own = base.filter(|base| base.writer == fence.writer);
                let sequence = own.map_or(0, |base| base.sequence);
                let mut deposed = fence.deposed.clone();
                deposed.push(Deposed { writer: fence.writer, epoch: fence.epoch, sequence });
                self.fence(fence.epoch.saturating_add(1), base, deposed)
            }
        };
        let needed = needed.unwrap_or_else(|| wanted.takeover_quorum(self.clouds));
        Ok(TakeoverPlan { plan: self.plan(wanted, Some(Takeover { base })), needed })
    }

    /// What this device holds of what the fence acknowledges: what it restored, or its own.
    fn base(&self, fence: Option<&Fence>) -> Option<Position> {
        let own = |at: &Position| at.writer == self.writer && at.sequence <= self.durable;
        let own = fence.and_then(|fence| fence.at).filter(own);
        own.or(match self.state.epoch {
            0 => self.state.base,
            _ => self.state.acknowledged.or(self.state.base),
        })
    }

    fn is_known(&self, fence: &Fence) -> bool {
        let own = |at: &Position| at.writer != self.writer || at.sequence <= self.durable;
        self.state.sessions.contains(&fence.session) && fence.at.as_ref().is_none_or(own)
    }

    fn fence(&self, epoch: u32, at: Option<Position>, deposed: Vec<Deposed>) -> Fence {
        Fence {
            epoch,
            writer: self.writer,
            put: [0; 16],
            session: self.session,
            time: self.time,
            clouds: self.clouds,
            acknowledged_by: self.acknowledged_by,
            at,
            deposed,
            extensions: Vec::new(),
        }
    }

    fn plan(&self, wanted: Fence, takeover: Option<Takeover>) -> FencePlan {
        FencePlan {
            wanted,
            takeover,
            sessions: self.state.sessions.clone(),
            durable: self.durable,
            floor: None,
        }
    }
}

/// What the outcomes in all clouds amount to, for a plan of [`Claimant::advance`] or
/// [`Claimant::take_over`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    /// In how many clouds what was wanted holds. What a later writer took over counts as held: it
    /// is in what that one builds on.
    pub held: u32,
    /// The furthest fencing head of another writer that stands in the way.
    pub fenced: Option<Fence>,
    /// In how many clouds another writer's stands in the way.
    pub others: u32,
    /// The writer to depose is ahead of what was restored.
    pub behind: Option<Fence>,
    /// This folder is an old copy.
    pub copied: Option<Fence>,
    /// How many clouds serve an older fencing head than before.
    pub rolled_back: u32,
}

impl Verdict {
    /// Counts the outcomes of one plan, one for each cloud that was asked.
    pub fn of<T>(plan: &FencePlan, outcomes: &[FenceOutcome<T>]) -> Self {
        let mut verdict =
            Self { held: 0, fenced: None, others: 0, behind: None, copied: None, rolled_back: 0 };
        let wanted = plan.wanted.at.filter(|at| at.writer == plan.wanted.writer);
        let mut fences = Vec::new();
        for outcome in outcomes {
            match outcome {
                FenceOutcome::Held(..) => verdict.held += 1,
                FenceOutcome::Fenced(fence) => {
                    let counts = fence.counts_for(plan.wanted.writer);
                    let settled = |at: Position| counts.is_some_and(|to| to >= at.sequence);
                    // Only what came before that writer: one of the same epoch is a rival.
                    let before = fence.epoch > plan.wanted.epoch;
                    let settled = plan.takeover.is_none() && before && wanted.is_some_and(settled);
                    verdict.held += u32::from(settled);
                    verdict.others += 1;
                    fences.push(fence);
                }
                FenceOutcome::Behind(fence) => verdict.behind = Some(fence.clone()),
                FenceOutcome::Copied(fence) => verdict.copied = Some(fence.clone()),
                FenceOutcome::RolledBack(_) => verdict.rolled_back += 1,
                FenceOutcome::Unknown => {}
            }
        }
        verdict.fenced = furthest_fence(fences).cloned();
        verdict
    }

    /// Whether other writers hold the fence in so many of `clouds` that this one can never again reach
    /// as many as it needs. One that holds fewer has only half taken over, and may never do the rest.
    pub fn is_deposed(&self, clouds: u32, needed: u32) -> bool {
        self.others > clouds.saturating_sub(needed)
    }
}
