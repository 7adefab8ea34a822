//! How far the clouds are, and waiting for them.

use backup::ObjectRef;
use tokio::time::Instant;

use super::{Line, Lines, Sent, State};
use crate::{
    Result,
    replicate::race::{no_answer, patience},
};

impl Lines {
    /// Whether the newest batch is in no cloud yet: then nothing else is sealed.
    pub(in crate::replicate) fn is_undelivered(&self) -> bool {
        let state = self.shared.lock();
        state.reached_by(1) < state.newest
    }

    /// Whether some cloud has all that was sealed.
    pub(crate) fn goes_on(&self) -> bool {
        let state = self.shared.lock();
        state.newest > 0 && state.reached_by(1) >= state.newest
    }

    /// Whether some cloud surely lacks something; `None`: nothing was put in this session.
    pub(crate) fn is_behind(&self) -> Option<bool> {
        let state = self.shared.lock();
        let behind = state.lines.iter().any(|line| line.reached < state.newest);
        (!state.lines.is_empty()).then_some(behind)
    }

    /// Whether what is pending can be acknowledged.
    pub(crate) fn has_news(&self, needed: impl Fn(usize) -> usize) -> bool {
        let state = self.shared.lock();
        let reached = state.reached_by(needed(state.lines.len()));
        state.pending.front().is_some_and(|pending| pending.number <= reached)
    }

    /// Waits until `needed` clouds have the newest batch. An error: too few of them are on their way.
    pub(in crate::replicate) async fn wait(&self, needed: usize) -> Result<()> {
        let began = Instant::now();
        let mut changed = self.shared.changed.subscribe();
        let mut limit: Option<Instant> = None;
        loop {
            changed.borrow_and_update();
            {
                let mut state = self.shared.lock();
                let newest = state.newest;
                if state.reached_by(needed) >= newest {
                    return Ok(());
                }
                if state.reached_by(1) >= newest && limit.is_none() {
                    limit = Some(Instant::now() + patience(began.elapsed()));
                }
                if limit.is_some_and(|limit| limit <= Instant::now()) {
                    let late = state.lines.iter_mut().filter(|line| line.reached < newest);
                    late.for_each(|line| line.is_slow = true);
                }
                let hopeful =
                    |line: &&Line| line.reached >= newest || (line.turn.is_some() && !line.is_slow);
                if state.lines.iter().filter(hopeful).count() < needed {
                    let error = state.lines.iter_mut().find_map(Line::take_error);
                    return Err(error.unwrap_or_else(no_answer));
                }
            }
            let next = changed.changed();
            match limit {
                Some(limit) => drop(tokio::time::timeout_at(limit, next).await),
                None => drop(next.await),
            }
        }
    }

    /// What can be acknowledged now: the batches that `needed` clouds have, oldest first, and which
    /// clouds have all of them.
    pub(in crate::replicate) fn settled(&self, needed: usize) -> Option<(Vec<Sent>, Vec<usize>)> {
        let state = self.shared.lock();
        let reached = state.reached_by(needed);
        let settled = || state.pending.iter().take_while(|pending| pending.number <= reached);
        let last = settled().last()?.number;
        Some((settled().map(|pending| pending.sent.clone()).collect(), state.have(last)))
    }

    /// The clouds that have what is acknowledged, if that is all.
    pub(in crate::replicate) fn holders(&self) -> Vec<usize> {
        let state = self.shared.lock();
        if state.pending.is_empty() { state.have(state.newest) } else { Vec::new() }
    }

    /// The clouds that have everything that was sealed, acknowledged or not.
    pub(in crate::replicate) fn up_to_date(&self) -> Vec<usize> {
        let state = self.shared.lock();
        state.have(state.newest)
    }

    /// All heads that clouds have taken since this was last asked, oldest first.
    pub(in crate::replicate) fn take_heads(&self) -> Vec<(usize, Vec<ObjectRef>)> {
        let mut state = self.shared.lock();
        let lines = state.lines.iter_mut().enumerate();
        lines.map(|(i, line)| (i, std::mem::take(&mut line.taken))).collect()
    }

    /// The newest heads that clouds have taken since this was last asked, with their times.
    pub(in crate::replicate) fn take_news(&self) -> Vec<(usize, ObjectRef, u64)> {
        let mut state = self.shared.lock();
        let news = state.lines.iter_mut().enumerate().map(|(i, line)| {
            let head = line.head.filter(|_| std::mem::take(&mut line.is_news));
            head.map(|(head, time)| (i, head, time))
        });
        news.flatten().collect()
    }
}

impl State {
    /// The newest batch that so many clouds have.
    pub(super) fn reached_by(&self, needed: usize) -> u64 {
        let mut reached: Vec<u64> = self.lines.iter().map(|line| line.reached).collect();
        reached.sort_unstable_by(|a, b| b.cmp(a));
        reached.get(needed.saturating_sub(1)).copied().unwrap_or(0)
    }

    /// Which clouds have everything up to a batch.
    fn have(&self, number: u64) -> Vec<usize> {
        let has = self.lines.iter().enumerate().filter(|(_, line)| line.reached >= number);
        has.map(|(i, _)| i).collect()
    }
}
