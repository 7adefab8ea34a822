//! What is known of one cloud, and what is kept for it.

use std::{collections::VecDeque, sync::Arc, time::Duration};

use backup::ObjectRef;
use cloud::{CloudBackend, CloudError};
use tokio::{task::AbortHandle, time::Instant};

use super::Batch;
use crate::{Error, error::chain, status::CloudStatus};

/// After a failure the next try of the background task comes later and later, up to this.
const MAX_BACK_OFF: Duration = Duration::from_secs(60);

/// A service that asks for more patience than this gets no more.
const LONGEST_WISH: Duration = Duration::from_secs(24 * 3600);

/// One cloud.
#[derive(Debug)]
pub(in crate::replicate) struct Line {
    pub(super) cloud: Arc<dyn CloudBackend>,
    /// It has everything up to this batch; 0: not even what was acknowledged before, or not known.
    pub(super) reached: u64,
    /// The newest head it surely has, with its time; if that is not known, the one to look for.
    pub(super) head: Option<(ObjectRef, u64)>,
    /// Whether it has taken that one, and nobody was told: see `Lines::take_news`.
    pub(super) is_news: bool,
    /// The heads that it has taken, oldest first, until somebody asks.
    pub(super) taken: Vec<ObjectRef>,
    /// It has not everything up to this batch, and it is no longer kept: others must give it.
    pub(super) missed: u64,
    /// Whether it is known if it has what was acknowledged before.
    pub(super) is_known: bool,
    /// What follows, next one first.
    pub(super) queue: VecDeque<(u64, Arc<Batch>)>,
    /// Which run is at work on it.
    pub(super) turn: Option<u64>,
    pub(super) run: Option<AbortHandle>,
    /// It takes far longer than another one.
    pub(super) is_slow: bool,
    failing: Option<Failing>,
}

/// A cloud that fails.
#[derive(Debug)]
struct Failing {
    tries: u32,
    error: Option<Error>,
    reason: String,
    again: Instant,
    lacks: Lacks,
}

/// What a cloud that fails lacks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Lacks {
    /// Nothing that is known of: it fails by itself.
    Nothing,
    /// What no cloud can give it that answers now.
    Source,
    /// What no cloud has any more.
    All,
}

impl Line {
    /// A cloud, and the newest head that was acknowledged, with its time, if there is one. `has_it`:
    /// it is known that this cloud has it; else it is asked.
    pub(in crate::replicate) fn new(
        cloud: &Arc<dyn CloudBackend>,
        head: Option<(ObjectRef, u64)>,
        has_it: bool,
    ) -> Self {
        let is_known = has_it || head.is_none();
        Self {
            cloud: cloud.clone(),
            reached: u64::from(is_known),
            head,
            is_news: false,
            taken: Vec::new(),
            missed: 0,
            is_known,
            queue: VecDeque::new(),
            turn: None,
            run: None,
            is_slow: false,
            failing: None,
        }
    }

    /// What is kept no longer holds everything up to this batch.
    pub(super) fn misses(&mut self, number: u64) {
        self.missed = self.missed.max(number);
        self.queue.retain(|(queued, _)| *queued > number);
    }

    /// Nothing before this batch is needed, though it may not be there.
    pub(super) fn begins_before(&mut self, number: u64) {
        self.has(number - 1);
        // Nobody can copy from here up to then.
        (self.head, self.is_news) = (None, false);
        self.stop();
        self.goes_well();
    }

    /// What is under way comes to no end.
    pub(super) fn stop(&mut self) {
        self.turn = None;
        if let Some(run) = self.run.take() {
            run.abort();
        }
    }

    /// It has taken everything up to this batch, and this head.
    pub(super) fn took(&mut self, number: u64, head: (ObjectRef, u64)) {
        self.has(number);
        (self.head, self.is_news) = (Some(head), true);
        self.taken.push(head.0);
    }

    /// It has everything up to this batch.
    pub(super) fn has(&mut self, number: u64) {
        (self.reached, self.is_known) = (self.reached.max(number), true);
        self.queue.retain(|(queued, _)| *queued > self.reached);
    }

    pub(super) fn kept_bytes(&self) -> u64 {
        self.queue.iter().map(|(_, batch)| batch.bytes()).sum()
    }

    pub(super) fn failed(&mut self, error: Error, lacks: Lacks) {
        let tries = self.tries().saturating_add(1);
        let wait =
            Duration::from_millis(500).saturating_mul(1 << (tries - 1).min(16)).min(MAX_BACK_OFF);
        let wish = match &error {
            Error::Cloud(CloudError::Unavailable { retry_after, .. }) => *retry_after,
            _ => None,
        };
        let reason = chain(&error);
        let again = Instant::now() + wait.max(wish.unwrap_or_default().min(LONGEST_WISH));
        self.failing = Some(Failing { tries, error: Some(error), reason, again, lacks });
        self.turn = None;
    }

    /// How often it has failed in a row.
    pub(super) fn tries(&self) -> u32 {
        self.failing.as_ref().map_or(0, |failing| failing.tries)
    }

    /// Whether only a new dump helps it, as far as is known after so many tries.
    pub(super) fn wants_dump(&self, tries: u32) -> bool {
        let lacks = self.failing.as_ref().map_or(Lacks::Nothing, |failing| failing.lacks);
        let is_sure = lacks == Lacks::All || (lacks == Lacks::Source && self.tries() >= tries);
        self.missed > self.reached && is_sure
    }

    /// Whether it has not failed just now.
    pub(super) fn may_be_tried(&self, now: Instant) -> bool {
        self.failing.as_ref().is_none_or(|failing| failing.again <= now)
    }

    /// Why it failed last; the second time only in words.
    pub(super) fn take_error(&mut self) -> Option<Error> {
        let failing = self.failing.as_mut()?;
        let again = || CloudError::unavailable(failing.reason.clone()).into();
        Some(failing.error.take().unwrap_or_else(again))
    }

    /// Whether it does what it is asked, though it may lack something.
    pub(super) fn is_well(&self) -> bool {
        let failing = self.failing.as_ref();
        failing.is_none_or(|failing| failing.lacks != Lacks::Nothing) && !self.is_slow
    }

    pub(super) fn goes_well(&mut self) {
        (self.failing, self.is_slow) = (None, false);
    }

    /// How it is with a cloud, of which nothing is known yet without a line.
    pub(super) fn status(line: Option<&Self>, name: String, newest: u64) -> CloudStatus {
        let failing = line.and_then(|line| line.failing.as_ref());
        let has = line.filter(|line| line.is_known && line.reached > 0).and_then(|line| line.head);
        CloudStatus {
            name,
            has: has.map(|(head, _)| head.id.to),
            is_behind: line.is_some_and(|line| line.reached < newest),
            copies: line.is_some_and(|line| line.missed > line.reached),
            kept_bytes: line.map_or(0, Self::kept_bytes),
            is_slow: line.is_some_and(|line| line.is_slow),
            tries: failing.map_or(0, |failing| failing.tries),
            failing: failing.map(|failing| failing.reason.clone()),
        }
    }
}

#[cfg(test)]
mod tests {
    use cloud::MemCloud;

    use super::*;

    /// A service that is asked sooner than it said may ask for still more patience.
    #[tokio::test(start_paused = true)]
    async fn the_wait_that_a_service_asks_for_is_kept_by_the_background_task() {
        let cloud: Arc<dyn CloudBackend> = Arc::new(MemCloud::new());
        let hours = |n: u64| Duration::from_secs(n * 3600);
        for (wish, kept) in [
            (None, Duration::from_millis(500)),
            (Some(Duration::ZERO), Duration::from_millis(500)),
            (Some(hours(1)), hours(1)),
            (Some(Duration::MAX), hours(24)),
        ] {
            let mut line = Line::new(&cloud, None, true);
            let source =
                Arc::<dyn std::error::Error + Send + Sync>::from(Box::<
                    dyn std::error::Error + Send + Sync,
                >::from("busy"));
            let error = CloudError::Unavailable { source, retry_after: wish };
            line.failed(error.into(), Lacks::Nothing);
            let now = Instant::now();
            let a_moment = Duration::from_millis(1);
            assert!(!line.may_be_tried(now + kept - a_moment), "{wish:?}");
            assert!(line.may_be_tried(now + kept), "{wish:?}");
        }
    }
}
