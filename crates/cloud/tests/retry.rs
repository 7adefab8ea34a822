//! Retries, in paused time: what is tried again, how long, and how a lost answer is settled.

#![expect(clippy::unwrap_used, reason = "helpers of tests panic")]

use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use bytes::Bytes;
use cloud::{
    CloudBackend, CloudError, Limits, MemCloud, ObjectMeta, ObjectName, Progress, PutMode,
    RetrySettings, Retrying, Tag,
    testing::{Failure, FlakyCloud, Weather},
};
use tokio::time::{Instant, sleep};

const SECOND: Duration = Duration::from_secs(1);

const SETTINGS: RetrySettings = RetrySettings {
    first_wait: SECOND,
    longest_wait: Duration::from_secs(8),
    budget: Duration::from_secs(60),
};

fn name() -> ObjectName {
    ObjectName::new("a/b").unwrap()
}

fn flaky(settings: RetrySettings) -> (MemCloud, Arc<Weather>, Retrying) {
    let (mem, weather) = (MemCloud::new(), Weather::fair());
    let flaky = FlakyCloud::new(Arc::new(mem.clone()), weather.clone());
    (mem, weather, Retrying::new(Arc::new(flaky), settings))
}

#[tokio::test(start_paused = true)]
async fn every_call_is_tried_again_until_it_works() {
    let (_, weather, cloud) = flaky(SETTINGS);
    let two_fail = || weather.set(|call| (call <= 2).then_some(Failure::Lost));
    two_fail();
    let tag = cloud.put(&name(), "x".into(), PutMode::CreateOnly).await;
    assert_eq!((tag.is_ok(), weather.calls()), (true, 3));
    two_fail();
    assert!(cloud.get(&name()).await.unwrap().is_some());
    two_fail();
    let prefix = ObjectName::new("a").unwrap();
    assert_eq!(cloud.list(&prefix, None).await.unwrap().len(), 1);
    two_fail();
    cloud.delete(&name()).await.unwrap();
    assert_eq!((weather.calls(), weather.failures()), (3, 2));
}

#[tokio::test(start_paused = true)]
async fn only_transient_errors_are_tried_again() {
    let (_, weather, cloud) = flaky(SETTINGS);
    let source = || Arc::from(Box::<dyn std::error::Error + Send + Sync>::from("x"));
    let begin = Instant::now();
    for error in [
        CloudError::Unauthorized { source: source() },
        CloudError::Full { source: source() },
        CloudError::Conflict { name: name() },
        CloudError::Damaged { name: name() },
        CloudError::NotFound { name: name() },
        CloudError::TooOld { source: source() },
        CloudError::BadAddress { source: source() },
        CloudError::Refused { name: name(), source: source() },
    ] {
        assert!(!error.is_transient());
        weather.answer(error.clone());
        weather.fail_from(1, Failure::Lost);
        let put = cloud.put(&name(), "x".into(), PutMode::CreateOnly).await;
        assert_eq!(put.unwrap_err().to_string(), error.to_string());
        assert_eq!(weather.calls(), 1);
    }
    assert_eq!(begin.elapsed(), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn waits_grow_are_bounded_and_spread() {
    let (mut short, mut long) = (0, 0);
    for _ in 0..100 {
        let (_, weather, cloud) = flaky(SETTINGS);
        // The fifth wait is the first that the ceiling cuts: 1, 2, 4, 8, 8 seconds.
        weather.set(|call| (call <= 5).then_some(Failure::Lost));
        let begin = Instant::now();
        cloud.get(&name()).await.unwrap();
        let waited = begin.elapsed();
        // Timers tick in milliseconds.
        assert!(waited <= 23 * SECOND + Duration::from_millis(5), "{waited:?}");
        short += usize::from(waited < 11 * SECOND);
        long += usize::from(waited > 12 * SECOND);
    }
    assert!(short > 0 && long > 0, "{short} short, {long} long");
}

#[tokio::test(start_paused = true)]
async fn the_budget_ends_the_attempts() {
    let (_, weather, cloud) = flaky(SETTINGS);
    weather.fail_from(1, Failure::Lost);
    let begin = Instant::now();
    let error = cloud.get(&name()).await.unwrap_err();
    assert!(error.is_transient());
    let waited = begin.elapsed();
    assert!(waited <= SETTINGS.budget && waited >= SETTINGS.budget - SETTINGS.longest_wait);
    assert!(weather.calls() > 8, "{} calls", weather.calls());
    // A new call has a new budget.
    weather.fail_nth(1, Failure::Lost);
    assert!(cloud.get(&name()).await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn the_wait_a_service_asks_for_is_kept() {
    let (_, weather, cloud) = flaky(SETTINGS);
    let wish = |seconds| CloudError::Unavailable {
        source: Arc::from(Box::<dyn std::error::Error + Send + Sync>::from("busy")),
        retry_after: Some(Duration::from_secs(seconds)),
    };
    weather.answer(wish(20));
    weather.fail_nth(1, Failure::Lost);
    let begin = Instant::now();
    cloud.get(&name()).await.unwrap();
    let waited = begin.elapsed();
    assert!(waited >= 20 * SECOND && waited <= 22 * SECOND, "{waited:?}");
    // What does not fit into the budget is answered at once.
    weather.answer(wish(61));
    weather.fail_nth(1, Failure::Lost);
    let begin = Instant::now();
    assert!(cloud.get(&name()).await.is_err());
    assert_eq!(begin.elapsed(), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn a_put_whose_answer_was_lost_is_settled_by_reading_back() {
    // Once with the put's own answer lost, once with that of the reading back as well.
    for lost in [1, 3] {
        let (mem, weather, cloud) = flaky(SETTINGS);
        weather.set(move |call| [1, lost].contains(&call).then_some(Failure::AnswerLost));
        let tag = cloud.put(&name(), "ours".into(), PutMode::CreateOnly).await;
        let (_, current) = mem.get(&name()).await.unwrap().unwrap();
        assert_eq!(tag.unwrap(), current);

        weather.set(move |call| [1, lost].contains(&call).then_some(Failure::AnswerLost));
        let how = PutMode::Replace(current);
        let tag = cloud.put(&name(), "newer".into(), how).await.unwrap();
        assert_eq!(mem.get(&name()).await.unwrap(), Some(("newer".into(), tag)));
    }
}

#[tokio::test(start_paused = true)]
async fn somebody_elses_object_stays_a_conflict_after_a_failure() {
    let (mem, weather, cloud) = flaky(SETTINGS);
    let theirs = mem.put(&name(), "theirs".into(), PutMode::CreateOnly).await;
    let theirs = theirs.unwrap();
    weather.fail_nth(1, Failure::Lost);
    let put = cloud.put(&name(), "ours".into(), PutMode::CreateOnly).await;
    assert!(matches!(put, Err(CloudError::Conflict { .. })), "{put:?}");
    let found = mem.get(&name()).await.unwrap();
    assert_eq!(found, Some(("theirs".into(), theirs)));
}

#[tokio::test(start_paused = true)]
async fn without_a_failure_equal_bytes_are_a_conflict() {
    let (mem, weather, cloud) = flaky(SETTINGS);
    mem.put(&name(), "same".into(), PutMode::CreateOnly).await.unwrap();
    let put = cloud.put(&name(), "same".into(), PutMode::CreateOnly).await;
    assert!(matches!(put, Err(CloudError::Conflict { .. })), "{put:?}");
    assert_eq!(weather.calls(), 1);
}

/// "As long as it takes" is a setting that people write as the longest there is.
#[tokio::test(start_paused = true)]
async fn patience_without_an_end_is_no_panic() {
    let (first_wait, longest_wait, budget) = (Duration::MAX, Duration::MAX, Duration::MAX);
    let (_, weather, cloud) = flaky(RetrySettings { first_wait, longest_wait, budget });
    weather.fail_nth(1, Failure::Lost);
    assert_eq!(cloud.get(&name()).await.unwrap(), None);
    let (_, weather, cloud) = flaky(RetrySettings { budget, ..SETTINGS });
    weather.fail_nth(1, Failure::Lost);
    assert_eq!(cloud.get(&name()).await.unwrap(), None);
}

/// A line that moves a byte each second for five minutes, and breaks so often.
#[derive(Debug)]
struct Slow {
    mem: MemCloud,
    breaks: AtomicU32,
    moves: bool,
}

#[async_trait]
impl CloudBackend for Slow {
    async fn put(&self, name: &ObjectName, bytes: Bytes, how: PutMode) -> Result<Tag, CloudError> {
        for _ in 0..300 {
            sleep(SECOND).await;
            if let Some(progress) = Progress::current().filter(|_| self.moves) {
                progress.note();
            }
        }
        let left = self.breaks.load(Ordering::Relaxed);
        self.breaks.store(left.saturating_sub(1), Ordering::Relaxed);
        match left {
            0 => self.mem.put(name, bytes, how).await,
            _ => Err(CloudError::unavailable("it broke")),
        }
    }

    async fn get(&self, name: &ObjectName) -> Result<Option<(Bytes, Tag)>, CloudError> {
        self.mem.get(name).await
    }

    async fn list(
        &self,
        prefix: &ObjectName,
        after: Option<&ObjectName>,
    ) -> Result<Vec<ObjectMeta>, CloudError> {
        self.mem.list(prefix, after).await
    }

    async fn delete(&self, name: &ObjectName) -> Result<(), CloudError> {
        self.mem.delete(name).await
    }

    fn limits(&self) -> Limits {
        self.mem.limits()
    }
}

/// Five minutes of moving bytes are no minute of waiting in vain; five minutes of nothing are.
#[tokio::test(start_paused = true)]
async fn only_time_without_progress_uses_up_the_budget() {
    for moves in [true, false] {
        let slow = Slow { mem: MemCloud::new(), breaks: AtomicU32::new(2), moves };
        let cloud = Retrying::new(Arc::new(slow), SETTINGS);
        let put = cloud.put(&name(), "x".into(), PutMode::CreateOnly).await;
        assert_eq!(put.is_ok(), moves, "{put:?}");
    }
    // There is an end, also where every attempt gets half way.
    let slow = Slow { mem: MemCloud::new(), breaks: AtomicU32::new(u32::MAX), moves: true };
    let cloud = Retrying::new(Arc::new(slow), SETTINGS);
    assert!(cloud.put(&name(), "x".into(), PutMode::CreateOnly).await.is_err());
}
