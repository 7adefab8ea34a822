//! In which clouds the fencing head must be for something to be acknowledged.

use backup::{FencePlan, FenceState, ObjectHash, Quorum, Verdict};

use super::drive::Driven;
use crate::session::Inner;

/// What is asked for now, and what was before: until as many clouds as before know of the new numbers,
/// a takeover could be content with too few.
pub(super) struct Quorums {
    /// To be remembered once all this is fulfilled.
    pub(super) now: Quorum,
    pub(super) all: Needed,
    before: Option<Needed>,
}

/// So many of these clouds, by their places.
pub(super) struct Needed {
    of: Vec<usize>,
    count: u32,
}

impl Quorums {
    pub(super) fn of(inner: &Inner, state: &FenceState, clouds: usize) -> Self {
        let acknowledged_by = inner.acknowledged_by(clouds);
        let now = inner.quorum(clouds, acknowledged_by);
        let before = state.quorum().map(|before| {
            let is_of = |i: &usize| now.clouds.get(*i).is_some_and(|c| before.clouds.contains(c));
            let of: Vec<usize> = (0..clouds).filter(is_of).collect();
            // What was removed cannot be asked any more.
            let count = before.acknowledged_by.min(of.len() as u32);
            Needed { of, count }
        });
        Self { now, all: Needed { of: (0..clouds).collect(), count: acknowledged_by }, before }
    }

    /// Whether what was wanted holds in as many clouds of a kind as are needed.
    pub(super) fn hold(
        &self,
        plan: &FencePlan,
        driven: &[Driven],
        is_of_kind: impl Fn(&Driven) -> bool,
    ) -> bool {
        self.each().all(|needed| needed.verdict(plan, driven, &is_of_kind).held >= needed.count)
    }

    /// Whether that can never be again, since others hold too many.
    pub(super) fn are_lost(&self, plan: &FencePlan, driven: &[Driven]) -> bool {
        self.each().any(|needed| {
            let verdict = needed.verdict(plan, driven, |_| true);
            verdict.is_deposed(needed.of.len() as u32, needed.count)
        })
    }

    fn each(&self) -> impl Iterator<Item = &Needed> {
        [&self.all].into_iter().chain(&self.before)
    }
}

impl Needed {
    pub(super) fn verdict(
        &self,
        plan: &FencePlan,
        driven: &[Driven],
        is_of_kind: impl Fn(&Driven) -> bool,
    ) -> Verdict {
        let of = self.of.iter().filter_map(|i| driven.get(*i)).filter(|one| is_of_kind(one));
        Verdict::of(plan, &of.map(|one| one.outcome.clone()).collect::<Vec<_>>())
    }
}

impl Inner {
    /// The clouds by their names, of which so many must have something.
    pub(super) fn quorum(&self, clouds: usize, acknowledged_by: u32) -> Quorum {
        let hash = |i| {
            let hash = ObjectHash::of(self.cloud_name(i).as_bytes());
            let [a, b, c, d, e, f, g, h, ..] = *hash.as_bytes();
            [a, b, c, d, e, f, g, h]
        };
        Quorum { acknowledged_by, clouds: (0..clouds).map(hash).collect() }
    }
}
