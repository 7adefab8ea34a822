//! The fence protocol for one cloud, as a state machine without I/O.
//!
//! A driver asks for the [`Step`], makes the call, and tells the answer. Nothing here waits, reads a
//! clock or draws a random number, so an explorer in the tests can step two devices through every
//! interleaving of their calls.

use crate::{Fence, FenceProgress, Position, fence_state::has_forgotten};

/// What a device wants of the fencing head, and what it knows of itself.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct FencePlan {
    /// The fencing head as this device wants it; each put gets its own [`Fence::put`].
    pub wanted: Fence,
    /// What a takeover is based on; `None` for a writer that holds the fence, or claims the first one.
    pub takeover: Option<Takeover>,
    /// Earlier sessions of this folder whose puts may still be what is in the cloud.
    pub sessions: Vec<[u8; 16]>,
    /// The newest sequence number that is durable on this device: what is in the cloud of this
    /// writer beyond it was not written by this folder.
    pub durable: u64,
    /// The furthest this device has seen this cloud's fencing head: it must not go back.
    pub floor: Option<FenceProgress>,
}

/// What a device that wants to take over has restored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Takeover {
    /// The restore point it holds; `None` if there was nothing of a single writer.
    pub base: Option<Position>,
}

/// The next thing to do. `T` is the cloud's tag of an object.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Step<T> {
    /// Read the fencing head.
    Get,
    /// Put this one: only if the tag is still this, or only if there is none.
    Put {
        /// What to put, with a fresh [`Fence::put`].
        fence: Fence,
        /// The tag to replace.
        replaces: Option<T>,
    },
    /// Nothing any more.
    Done(FenceOutcome<T>),
}

/// What the cloud answered.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[expect(clippy::large_enum_variant, reason = "one at a time, for the length of a call")]
pub enum FenceAnswer<T> {
    /// To a get.
    Found(Option<(Fence, T)>),
    /// To a put: it is there, under this tag.
    Stored(T),
    /// To a put: something else is there, and nothing was changed.
    Conflict,
    /// To either: no answer, or none that says what happened. A put may land, now or later.
    Unknown,
}

/// How it ended.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum FenceOutcome<T> {
    /// The cloud has it: acknowledged, or taken over. Keep it for the next plan.
    Held(Fence, T),
    /// Another writer holds the fence. What counts of ours is [`Fence::counts_for`].
    Fenced(Fence),
    /// The writer to depose has acknowledged more than was restored. Restore again.
    Behind(Fence),
    /// This writer's own fencing head, but not put by this folder: it is an old copy.
    Copied(Fence),
    /// The cloud serves an older fencing head than it did before, or none any more.
    RolledBack(Option<Fence>),
    /// The cloud does not answer; nothing is decided. Try again later.
    Unknown,
}

/// Steps towards a [`FencePlan`] in one cloud.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct FenceMachine<T> {
    plan: FencePlan,
    /// What is there, as far as is known; the outer `None` asks for a look.
    known: Option<Option<(Fence, T)>>,
    /// Ids of the puts of this session that may have landed.
    attempts: Vec<[u8; 16]>,
    /// The put that is under way.
    under_way: Option<Fence>,
    done: Option<FenceOutcome<T>>,
}

impl<T: Clone> FenceMachine<T> {
    /// Begins. `last` is what this session's last plan ended with in this cloud: then the first step
    /// is a put, and the whole costs one call. `attempts` are those of earlier plans of this session
    /// whose end is unknown: see [`FenceMachine::attempts`].
    pub fn new(plan: FencePlan, last: Option<(Fence, T)>, mut attempts: Vec<[u8; 16]>) -> Self {
        attempts.extend(last.iter().map(|(fence, _)| fence.put));
        Self { plan, known: last.map(Some), attempts, under_way: None, done: None }
    }

    /// The puts of this session that may have landed, or may yet land.
    pub fn attempts(&self) -> &[[u8; 16]] {
        &self.attempts
    }

    /// What to do next. `put` is a fresh random id; it is used if the step is a put.
    pub fn step(&mut self, put: [u8; 16]) -> Step<T> {
        if let Some(outcome) = &self.done {
            return Step::Done(outcome.clone());
        }
        let Some(known) = &self.known else { return Step::Get };
        match self.decide(known.as_ref()) {
            Decision::Put => {
                let replaces = known.as_ref().map(|(_, tag)| tag.clone());
                let fence = Fence { put, ..self.plan.wanted.clone() };
                self.attempts.push(put);
                self.under_way = Some(fence.clone());
                Step::Put { fence, replaces }
            }
            Decision::End(outcome) => {
                self.done = Some(outcome.clone());
                Step::Done(outcome)
            }
        }
    }

    /// Takes the answer to the last step.
    pub fn answer(&mut self, answer: FenceAnswer<T>) {
        let put = self.under_way.take();
        match (answer, put) {
            (FenceAnswer::Found(found), None) => self.known = Some(found),
            (FenceAnswer::Stored(tag), Some(fence)) => {
                self.done = Some(FenceOutcome::Held(fence, tag));
            }
            // A put that was refused, or whose answer was lost, is settled by reading back.
            (FenceAnswer::Conflict | FenceAnswer::Unknown, Some(_)) => self.known = None,
            // Not even a look: nothing can be said.
            (_, _) => self.done = Some(FenceOutcome::Unknown),
        }
    }

    fn decide(&self, known: Option<&(Fence, T)>) -> Decision<T> {
        use FenceOutcome::{Behind, Copied, Fenced, Held, RolledBack};
        let plan = &self.plan;
        let went_back = |progress| plan.floor.is_some_and(|floor| progress < floor);
        let Some((fence, tag)) = known else {
            return match plan.floor {
                Some(_) => Decision::End(RolledBack(None)),
                None => Decision::Put,
            };
        };
        let end = |outcome: fn(Fence) -> FenceOutcome<T>| Decision::End(outcome(fence.clone()));
        if went_back(fence.progress()) {
            return Decision::End(RolledBack(Some(fence.clone())));
        }
        let wanted = &plan.wanted;
        if fence.epoch > wanted.epoch {
            return end(Fenced);
        }
        if fence.epoch == wanted.epoch {
            if fence.writer != wanted.writer {
                return end(Fenced);
            }
            if !self.is_ours(fence) {
                return end(Copied);
            }
            return if reaches(fence, wanted) {
                Decision::End(Held(fence.clone(), tag.clone()))
            } else {
                Decision::Put
            };
        }
        match &plan.takeover {
            Some(takeover) if !fence.is_covered_by(takeover.base.as_ref()) => end(Behind),
            // A holder meets an older epoch in a cloud that its takeover did not reach.
            _ => Decision::Put,
        }
    }

    /// Whether a fencing head of this writer and epoch was put by this folder.
    fn is_ours(&self, fence: &Fence) -> bool {
        let wanted = &self.plan.wanted;
        if fence.session == wanted.session {
            return self.attempts.contains(&fence.put);
        }
        let own_sequence =
            |at: &Position| at.writer != wanted.writer || at.sequence <= self.plan.durable;
        let sessions = &self.plan.sessions;
        // A cloud that was away may hold what a forgotten session put: it is as it was left.
        let is_known = sessions.contains(&fence.session)
            || (has_forgotten(sessions) && self.plan.floor == Some(fence.progress()));
        is_known && fence.at.as_ref().is_none_or(own_sequence)
    }
}

/// Whether what is there, of the same writer and epoch, already holds all that is wanted.
fn reaches(fence: &Fence, wanted: &Fence) -> bool {
    match wanted.at.filter(|at| at.writer == wanted.writer) {
        // A takeover is wanted, and it is there.
        None => true,
        // A newer head of the same changes replaces the older one: what is named is kept.
        Some(at) => fence.progress() > wanted.progress() || fence.at == Some(at),
    }
}

#[expect(clippy::large_enum_variant, reason = "one at a time, within a call")]
enum Decision<T> {
    Put,
    End(FenceOutcome<T>),
}

/// Whose single-writer data counts, over the fencing heads of several clouds: the furthest one.
pub fn furthest_fence<'a>(fences: impl IntoIterator<Item = &'a Fence>) -> Option<&'a Fence> {
    fences.into_iter().max_by_key(|fence| fence.progress())
}
