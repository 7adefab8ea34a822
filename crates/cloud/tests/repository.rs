//! Putting, polling and fetching backups, over clouds that fail, lie and answer late.

#![expect(clippy::unwrap_used, reason = "helpers of tests panic")]

use std::{
    collections::VecDeque,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};

use async_trait::async_trait;
use bytes::Bytes;
use cloud::{
    CloudBackend, CloudError, Limits, MemCloud, ObjectMeta, ObjectName, PutMode, PutOutcome,
    Result, Sealed, Tag, fetch, fetch_many, poll_backups, put_backup,
    testing::{Failure, FlakyCloud, Weather},
};

fn name(name: &str) -> ObjectName {
    ObjectName::new(name).unwrap()
}

fn sealed(text: &'static str) -> Sealed {
    Sealed::for_tests(name("sr1/tag/h/w/1"), text.into())
}

fn flaky() -> (MemCloud, Arc<Weather>, FlakyCloud) {
    let (mem, weather) = (MemCloud::new(), Weather::fair());
    let flaky = FlakyCloud::new(Arc::new(mem.clone()), weather.clone());
    (mem, weather, flaky)
}

#[tokio::test]
async fn put_backup_again_changes_nothing() {
    let cloud = MemCloud::new();
    let (first, again) = (sealed("bytes"), sealed("bytes"));
    assert_eq!(put_backup(&cloud, &first).await.unwrap(), PutOutcome::Stored);
    let before = cloud.get(first.name()).await.unwrap();
    assert_eq!(put_backup(&cloud, &again).await.unwrap(), PutOutcome::AlreadyThere);
    assert_eq!(cloud.get(first.name()).await.unwrap(), before);
}

#[tokio::test]
async fn put_backup_bears_a_lost_answer() {
    let (mem, weather, flaky) = flaky();
    weather.fail_nth(1, Failure::AnswerLost);
    let put = put_backup(&flaky, &sealed("bytes")).await;
    assert!(put.unwrap_err().is_transient());
    assert_eq!(put_backup(&flaky, &sealed("bytes")).await.unwrap(), PutOutcome::AlreadyThere);
    assert_eq!(fetch(&mem, sealed("").name()).await.unwrap(), "bytes");
}

#[tokio::test]
async fn put_backup_bears_a_failure_at_any_call() {
    for how in [Failure::Lost, Failure::AnswerLost] {
        for nth in 1.. {
            let (mem, weather, flaky) = flaky();
            // As long as a put ends in a failure, it is asked again, as an outbox does.
            weather.fail_nth(nth, how);
            let mut failed = 0;
            while put_backup(&flaky, &sealed("bytes")).await.is_err() {
                failed += 1;
            }
            let again = put_backup(&flaky, &sealed("bytes")).await;
            assert_eq!(again.is_err(), failed == 0 && weather.failures() == 1);
            assert_eq!(fetch(&mem, sealed("").name()).await.unwrap(), "bytes");
            if weather.failures() == 0 {
                break;
            }
        }
    }
}

#[tokio::test]
async fn put_backup_never_replaces_a_damaged_object() {
    let cloud = MemCloud::new();
    let object = sealed("bytes");
    for found in ["other", "byte", "bytes and more", ""] {
        cloud.put(object.name(), found.into(), PutMode::Overwrite).await.unwrap();
        let put = put_backup(&cloud, &object).await;
        assert!(
            matches!(&put, Err(CloudError::Damaged { name }) if name == object.name()),
            "{put:?}"
        );
        assert_eq!(fetch(&cloud, object.name()).await.unwrap(), found);
    }
}

#[tokio::test]
async fn a_conflict_about_nothing_is_transient() {
    let (mem, weather, flaky) = flaky();
    let object = sealed("bytes");
    weather.answer(CloudError::Conflict { name: object.name().clone() });
    weather.fail_nth(1, Failure::Lost);
    assert!(put_backup(&flaky, &object).await.unwrap_err().is_transient());
    assert!(mem.get(object.name()).await.unwrap().is_none());
}

#[tokio::test]
async fn what_is_larger_than_the_limit_is_refused_unsent() {
    let cloud = Odd::new(Limits { largest_object: 4, full_page: None, ..MemCloud::new().limits() });
    let put = put_backup(&cloud, &sealed("bytes")).await;
    assert!(matches!(put, Err(CloudError::Refused { .. })), "{put:?}");
    assert_eq!(cloud.puts.load(Ordering::SeqCst), 0);
    assert!(put_backup(&cloud, &sealed("byte")).await.is_ok());
}

#[tokio::test]
async fn poll_backups_reads_every_page() {
    let cloud = MemCloud::new().with_page_limit(3);
    let mut expected = Vec::new();
    for n in 0..10 {
        let object = name(&format!("sr1/tag/h/{n}"));
        let elsewhere = name(&format!("sr1/tag/s/{n}"));
        for object in [&object, &elsewhere] {
            let bytes = Bytes::from(vec![0; n]);
            cloud.put(object, bytes, PutMode::CreateOnly).await.unwrap();
        }
        expected.push(ObjectMeta { name: object, size: n as u64 });
    }
    let prefix = name("sr1/tag/h");
    assert_eq!(poll_backups(&cloud, &prefix).await.unwrap(), expected);
    assert!(poll_backups(&cloud, &name("sr1/x")).await.unwrap().is_empty());
}

#[tokio::test]
async fn a_listing_that_lies_is_an_error() {
    let meta = |n: &str| ObjectMeta { name: name(n), size: 1 };
    for pages in [
        vec![vec![meta("h/1")], vec![meta("h/1")]], // `after` is ignored
        vec![vec![meta("h/2"), meta("h/1")]],       // not ascending
        vec![vec![meta("h/1"), meta("h/1")]],       // twice
        vec![vec![meta("h/2")], vec![meta("h/1")]], // not ascending over pages
        vec![vec![meta("x/1")]],                    // foreign
        vec![vec![meta("h/1"), meta("ha")]],        // foreign
    ] {
        let mut cloud = Odd::new(Limits { full_page: None, ..MemCloud::new().limits() });
        cloud.pages = Mutex::new(pages.into());
        let polled = poll_backups(&cloud, &name("h")).await;
        assert!(matches!(polled, Err(CloudError::TooOld { .. })), "{polled:?}");
    }
}

/// What a short page says is believed where it is known how many names a full one has.
#[tokio::test]
async fn a_poll_with_few_names_is_one_request() {
    let cloud = MemCloud::new();
    let asked = |cloud: MemCloud, weather: Arc<Weather>| async move {
        let cloud = FlakyCloud::new(Arc::new(cloud), weather.clone());
        let found = poll_backups(&cloud, &name("h")).await.unwrap().len();
        (found, weather.calls())
    };
    for n in 0..4 {
        let object = name(&format!("h/{n}"));
        cloud.put(&object, "x".into(), PutMode::CreateOnly).await.unwrap();
        assert_eq!(asked(cloud.clone(), Weather::fair()).await, (n + 1, 1));
    }
    // Pages of two: two full ones, and the empty one that says so.
    let paged = cloud.clone().with_page_limit(2);
    assert_eq!(asked(paged, Weather::fair()).await, (4, 3));
    cloud.delete(&name("h/3")).await.unwrap();
    assert_eq!(asked(cloud.with_page_limit(2), Weather::fair()).await, (3, 2));
}

#[tokio::test]
async fn poll_backups_is_whole_or_an_error() {
    let (mem, weather, flaky) = flaky();
    for n in 0..5 {
        let object = name(&format!("h/{n}"));
        mem.put(&object, "x".into(), PutMode::CreateOnly).await.unwrap();
    }
    for nth in 1.. {
        weather.fail_nth(nth, Failure::Lost);
        match poll_backups(&flaky, &name("h")).await {
            Err(e) => assert!(e.is_transient() && weather.failures() == 1),
            Ok(all) => {
                assert_eq!((all.len(), weather.failures()), (5, 0));
                break;
            }
        }
    }
}

#[tokio::test]
async fn fetching_what_is_not_there_is_an_error() {
    let cloud = MemCloud::new();
    let got = fetch(&cloud, &name("a/b")).await;
    assert!(
        matches!(&got, Err(CloudError::NotFound { name }) if name.as_str() == "a/b"),
        "{got:?}"
    );
}

#[tokio::test]
async fn fetch_many_keeps_order_and_bound() {
    let mut cloud = Odd::new(MemCloud::new().limits());
    cloud.slow = true;
    let mut names: Vec<ObjectName> = (0..40).map(|n| name(&format!("a/{n}"))).collect();
    for object in &names {
        let bytes = object.to_string().into();
        cloud.put(object, bytes, PutMode::CreateOnly).await.unwrap();
    }
    names.insert(7, name("a/none"));
    let cloud = Arc::new(cloud);
    let mut many = fetch_many(cloud.clone(), names.clone(), 4);
    for expected in &names {
        let (got, bytes) = many.next().await.unwrap();
        assert_eq!(got, *expected);
        match bytes {
            Ok(bytes) => assert_eq!(bytes, expected.to_string()),
            Err(CloudError::NotFound { name }) => assert_eq!(name.as_str(), "a/none"),
            Err(e) => panic!("{e:?}"),
        }
    }
    assert!(many.next().await.is_none());
    assert_eq!(cloud.at_once.load(Ordering::SeqCst), 4);
}

#[tokio::test]
async fn fetch_many_stops_when_dropped_and_loses_nothing_when_interrupted() {
    let mut cloud = Odd::new(MemCloud::new().limits());
    cloud.slow = true;
    let names: Vec<ObjectName> = (0..9).map(|n| name(&format!("a/{n}"))).collect();
    for object in &names {
        cloud.put(object, "x".into(), PutMode::CreateOnly).await.unwrap();
    }
    let cloud = Arc::new(cloud);
    let mut many = fetch_many(cloud.clone(), names, 2);
    // Polled once and dropped, which is what a `select!` does.
    {
        let next = std::pin::pin!(many.next());
        let mut context = std::task::Context::from_waker(std::task::Waker::noop());
        assert!(next.poll(&mut context).is_pending());
    }
    for expected in ["a/0", "a/1"] {
        assert_eq!(many.next().await.unwrap().0, name(expected));
    }
    assert_eq!(format!("{many:?}"), "FetchMany(1 running, 6 waiting)");
    let ended = cloud.ended.load(Ordering::SeqCst);
    drop(many);
    for _ in 0..1000 {
        tokio::task::yield_now().await;
    }
    assert_eq!(cloud.ended.load(Ordering::SeqCst), ended);
}

/// A cloud with odd limits, odd listings, or slow answers.
#[derive(Debug)]
struct Odd {
    inner: MemCloud,
    limits: Limits,
    pages: Mutex<VecDeque<Vec<ObjectMeta>>>,
    slow: bool,
    puts: AtomicUsize,
    /// Gets.
    begun: AtomicUsize,
    ended: AtomicUsize,
    at_once: AtomicUsize,
}

impl Odd {
    fn new(limits: Limits) -> Self {
        Self {
            inner: MemCloud::new(),
            limits,
            pages: Mutex::default(),
            slow: false,
            puts: AtomicUsize::new(0),
            begun: AtomicUsize::new(0),
            ended: AtomicUsize::new(0),
            at_once: AtomicUsize::new(0),
        }
    }
}

#[async_trait]
impl CloudBackend for Odd {
    async fn put(&self, name: &ObjectName, bytes: Bytes, how: PutMode) -> Result<Tag> {
        self.puts.fetch_add(1, Ordering::SeqCst);
        self.inner.put(name, bytes, how).await
    }

    async fn get(&self, name: &ObjectName) -> Result<Option<(Bytes, Tag)>> {
        let begun = self.begun.fetch_add(1, Ordering::SeqCst) + 1;
        let now = begun - self.ended.load(Ordering::SeqCst);
        self.at_once.fetch_max(now, Ordering::SeqCst);
        if self.slow {
            // Later ones are faster.
            let hash: usize = name.as_str().bytes().map(usize::from).sum();
            for _ in 0..(200 - hash % 100) {
                tokio::task::yield_now().await;
            }
        }
        self.ended.fetch_add(1, Ordering::SeqCst);
        self.inner.get(name).await
    }

    async fn list(&self, _: &ObjectName, _: Option<&ObjectName>) -> Result<Vec<ObjectMeta>> {
        Ok(self.pages.lock().unwrap().pop_front().unwrap_or_default())
    }

    async fn delete(&self, name: &ObjectName) -> Result<()> {
        self.inner.delete(name).await
    }

    fn limits(&self) -> Limits {
        self.limits
    }
}
