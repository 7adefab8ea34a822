//! Takeover and handover, from the outside: who may write data that has a single writer.

#![expect(clippy::unwrap_used, reason = "helpers of tests panic")]

use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use cloud::{
    CloudBackend, CloudError, DirCloud, MemCloud,
    testing::{Failure, FlakyCloud, Weather},
};
use kv_core::{Key, KvStoreExt, Namespace, testing::ManualClock};
use tokio::sync::Notify;
use wallet_persistence::{
    AccountId, CloudUrl, DumpKind, Error, Event, Refusal, RootSecret, Session, Settings,
    SingleWriter, UnlockError, WalletPersistence,
};

type Cloud = Arc<dyn CloudBackend>;

fn root() -> RootSecret {
    RootSecret::from_bytes([7; 32])
}

fn settings() -> Settings {
    let mut settings = Settings::default();
    settings.replicate_every = None;
    settings
}

fn wallet(folder: &Path, clouds: &[Cloud]) -> WalletPersistence {
    let mut builder = WalletPersistence::builder(folder).settings(settings());
    for cloud in clouds {
        builder = builder.cloud(cloud.clone());
    }
    builder.clock(Arc::new(ManualClock::default())).build()
}

fn place(key: &str) -> (Namespace, Key) {
    (Namespace::new("channels", "").unwrap(), Key::new(key).unwrap())
}

fn write(session: &Session, key: &str, value: &[u8]) -> Result<(), kv_core::Error> {
    let (ns, key) = place(key);
    session.kv().unwrap().write(&ns, &key, value)
}

fn read(session: &Session, key: &str) -> Option<Vec<u8>> {
    let (ns, key) = place(key);
    session.kv().unwrap().read(&ns, &key).unwrap().map(|value| value.to_vec())
}

fn refusal(outcome: Result<(), kv_core::Error>) -> Option<Refusal> {
    Refusal::behind(&outcome.unwrap_err())
}

async fn account(session: &Session, n: u8) {
    let id = format!("eip155:1:0x{n:040x}").parse::<AccountId>().unwrap();
    session.add_account(id, None).await.unwrap();
}

async fn restored(folder: &Path, clouds: &[Cloud]) -> Session {
    let wallet = wallet(folder, clouds);
    wallet.restore(&root(), |_| ()).await.unwrap();
    wallet.unlock(&root()).await.unwrap()
}

/// A memory cloud, once open as a service.
fn memory() -> Cloud {
    Arc::new(MemCloud::new())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restored_device_takes_over_before_it_writes_and_the_old_one_is_stopped() {
    let dir = tempfile::tempdir().unwrap();
    let clouds: [Cloud; 1] = [Arc::new(DirCloud::open(dir.path().join("cloud")).unwrap())];
    let old = wallet(&dir.path().join("old"), &clouds).create(&root()).await.unwrap();
    write(&old, "one", b"1").unwrap();
    let report = old.post_backup().await.unwrap();
    assert_eq!(report.single_writer, Some(SingleWriter::Acknowledged));
    let status = old.status().unwrap();
    assert_eq!((status.epoch, status.single_writer), (1, "open"));
    assert_eq!(status.fenced_to, Some(report.sequence));

    let new = restored(&dir.path().join("new"), &clouds).await;
    assert_eq!(refusal(write(&new, "two", b"2")), Some(Refusal::TakeOverFirst));
    assert_eq!(new.status().unwrap().single_writer, "take-over-first");
    account(&new, 1).await;
    new.post_backup().await.unwrap();

    let taken = new.take_over().await.unwrap();
    assert_eq!((taken.epoch, taken.clouds, taken.needed), (2, 1, 1));
    assert_eq!(taken.deposed, Some(old.status().unwrap().writer));
    assert_eq!(taken.counts_to, report.sequence);
    write(&new, "two", b"2").unwrap();
    let report = new.post_backup().await.unwrap();
    assert_eq!(report.single_writer, Some(SingleWriter::Acknowledged));

    // The old device writes locally until it hears of it; nothing of that is acknowledged.
    let mut events = old.events();
    write(&old, "late", b"x").unwrap();
    let late = old.post_backup().await.unwrap();
    assert_eq!(late.single_writer, Some(SingleWriter::Stopped));
    assert!(matches!(refusal(write(&old, "later", b"x")), Some(Refusal::Fenced { epoch: 2, .. })));
    let stopped = std::iter::from_fn(|| events.try_recv().ok())
        .any(|event| matches!(event, Event::SingleWriterStopped { .. }));
    assert!(stopped, "it is told");
    account(&old, 2).await;
    let goes_on = old.post_backup().await.unwrap();
    assert_eq!(goes_on.single_writer, None, "data that merges goes on");
    assert_eq!(old.status().unwrap().lag_records, 0);

    // A restore takes the single-writer data of the new one only, and what merges of both.
    let third = restored(&dir.path().join("third"), &clouds).await;
    assert_eq!(read(&third, "two"), Some(b"2".into()));
    assert_eq!(read(&third, "late"), None, "what a deposed device wrote does not count");
    assert_eq!(third.accounts().unwrap().len(), 2);
    for session in [old, new, third] {
        session.lock().await.unwrap();
    }
    // The gate is closed after a reopening, too.
    let old = wallet(&dir.path().join("old"), &clouds).unlock(&root()).await.unwrap();
    assert!(matches!(refusal(write(&old, "later", b"x")), Some(Refusal::Fenced { epoch: 2, .. })));
    old.lock().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_takeover_never_loses_what_was_acknowledged_since_the_restore() {
    let dir = tempfile::tempdir().unwrap();
    let clouds = [memory()];
    let old = wallet(&dir.path().join("old"), &clouds).create(&root()).await.unwrap();
    write(&old, "one", b"1").unwrap();
    old.post_backup().await.unwrap();
    let new = restored(&dir.path().join("new"), &clouds).await;
    write(&old, "two", b"2").unwrap();
    let sequence = old.post_backup().await.unwrap().sequence;
    let refused = new.take_over().await.unwrap_err();
    let old_writer = old.status().unwrap().writer;
    assert!(
        matches!(&refused, Error::BehindTheFence { writer, sequence: at }
            if *writer == old_writer && *at == sequence),
        "{refused:?}"
    );
    write(&old, "three", b"3").unwrap();
    assert_eq!(
        old.post_backup().await.unwrap().single_writer,
        Some(SingleWriter::Acknowledged),
        "a refused takeover is in nobody's way"
    );
    old.lock().await.unwrap();
    new.lock().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_takeover_without_its_quorum_is_refused_and_names_the_missing_clouds() {
    let dir = tempfile::tempdir().unwrap();
    let weather = Weather::fair();
    let steady = [memory(), memory()];
    let shaky: Cloud = Arc::new(FlakyCloud::new(memory(), weather.clone()));
    let clouds = [steady[0].clone(), steady[1].clone(), shaky];
    let with = |folder: &str| {
        let mut settings = settings();
        // Any two of three: a takeover needs two.
        settings.acknowledged_by = Some(2);
        let mut builder = WalletPersistence::builder(dir.path().join(folder)).settings(settings);
        for cloud in &clouds {
            builder = builder.cloud(cloud.clone());
        }
        builder.build()
    };
    let old = with("old").create(&root()).await.unwrap();
    write(&old, "one", b"1").unwrap();
    old.post_backup().await.unwrap();
    let wallet = with("new");
    wallet.restore(&root(), |_| ()).await.unwrap();
    let new = wallet.unlock(&root()).await.unwrap();
    // One of three does not answer: two are enough.
    weather.answer(CloudError::Unauthorized {
        source: Arc::from(Box::<dyn std::error::Error + Send + Sync>::from("signed out")),
    });
    weather.fail_from(1, Failure::Lost);
    let taken = new.take_over().await.unwrap();
    assert_eq!((taken.clouds, taken.needed, taken.missing), (2, 2, vec!["cloud 3".to_owned()]));
    // The third one follows with the next backup.
    weather.clear_up();
    write(&new, "two", b"2").unwrap();
    let report = new.post_backup().await.unwrap();
    assert_eq!(report.single_writer, Some(SingleWriter::Acknowledged));
    let status = new.status().unwrap();
    assert_eq!(status.findings, []);
    for session in [old, new] {
        session.lock().await.unwrap();
    }

    // Acknowledged by one of three: all three are needed.
    let clouds = [steady[0].clone(), steady[1].clone(), clouds[2].clone()];
    let root = RootSecret::from_bytes([8; 32]);
    let with = |folder: &str| {
        let mut settings = settings();
        settings.acknowledged_by = Some(1);
        let mut builder = WalletPersistence::builder(dir.path().join(folder)).settings(settings);
        for cloud in &clouds {
            builder = builder.cloud(cloud.clone());
        }
        builder.build()
    };
    let old = with("old1").create(&root).await.unwrap();
    write(&old, "one", b"1").unwrap();
    old.post_backup().await.unwrap();
    let wallet = with("new1");
    wallet.restore(&root, |_| ()).await.unwrap();
    let new = wallet.unlock(&root).await.unwrap();
    weather.fail_from(1, Failure::Lost);
    let refused = new.take_over().await.unwrap_err();
    assert!(
        matches!(&refused, Error::TakeoverIncomplete { held: 0, needed: 3, missing }
            if missing == "cloud 3"),
        "{refused:?}"
    );
    assert_eq!(refusal(write(&new, "two", b"2")), Some(Refusal::TakeOverFirst));
    weather.clear_up();
    write(&old, "two", b"2").unwrap();
    let report = old.post_backup().await.unwrap();
    assert_eq!(report.single_writer, Some(SingleWriter::Acknowledged), "nothing was half taken");
    for session in [old, new] {
        session.lock().await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_handed_over_wallet_refuses_to_run_until_it_is_taken_back() {
    let dir = tempfile::tempdir().unwrap();
    let clouds = [memory()];
    let old = wallet(&dir.path().join("old"), &clouds);
    let session = old.create(&root()).await.unwrap();
    write(&session, "one", b"1").unwrap();
    account(&session, 1).await;
    let handed = session.hand_over().await.unwrap();
    assert_eq!(handed.epoch, 1);
    assert!(matches!(session.status(), Err(Error::Locked)));
    assert!(matches!(old.unlock(&root()).await, Err(UnlockError::HandedOver)));

    // Nobody has taken it over: it can be taken back.
    let (session, _) = old.take_back(&root()).await.unwrap();
    write(&session, "two", b"2").unwrap();
    session.hand_over().await.unwrap();

    let new = restored(&dir.path().join("new"), &clouds).await;
    assert_eq!(read(&new, "two"), Some(b"2".into()), "everything was flushed");
    new.take_over().await.unwrap();
    write(&new, "three", b"3").unwrap();
    new.post_backup().await.unwrap();
    // Now it is too late.
    let refused = old.take_back(&root()).await.unwrap_err();
    let taken = matches!(refused, UnlockError::Other(Error::TakenOverMeanwhile { epoch: 2, .. }));
    assert!(taken, "{refused:?}");
    assert!(matches!(old.unlock(&root()).await, Err(UnlockError::HandedOver)));
    new.lock().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_handover_that_cannot_flush_leaves_the_wallet_running() {
    let dir = tempfile::tempdir().unwrap();
    let weather = Weather::fair();
    let clouds: [Cloud; 1] = [Arc::new(FlakyCloud::new(memory(), weather.clone()))];
    let old = wallet(&dir.path().join("old"), &clouds);
    let session = old.create(&root()).await.unwrap();
    write(&session, "one", b"1").unwrap();
    session.post_backup().await.unwrap();
    write(&session, "two", b"2").unwrap();
    weather.answer(CloudError::Unauthorized {
        source: Arc::from(Box::<dyn std::error::Error + Send + Sync>::from("signed out")),
    });
    weather.fail_from(1, Failure::Lost);
    assert!(session.hand_over().await.is_err());
    write(&session, "three", b"3").unwrap();
    session.lock().await.unwrap();
    let session = old.unlock(&root()).await.unwrap();
    assert_eq!(read(&session, "three"), Some(b"3".into()));
    session.lock().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_answer_at_any_call_is_settled_and_neither_acknowledged_twice_nor_lost() {
    for nth in 1.. {
        let dir = tempfile::tempdir().unwrap();
        let weather = Weather::fair();
        let inner = memory();
        let clouds: [Cloud; 1] = [Arc::new(FlakyCloud::new(inner.clone(), weather.clone()))];
        let session = wallet(&dir.path().join("a"), &clouds).create(&root()).await.unwrap();
        write(&session, "one", b"1").unwrap();
        session.post_backup().await.unwrap();
        write(&session, "two", b"2").unwrap();
        weather.fail_nth(nth, Failure::AnswerLost);
        let report = session.post_backup().await.unwrap();
        assert_eq!(report.single_writer, Some(SingleWriter::Acknowledged), "call {nth}");
        assert_eq!(session.status().unwrap().single_writer, "open", "call {nth}");
        assert_eq!(session.status().unwrap().findings, [], "call {nth}");
        let failed = weather.failures();
        session.lock().await.unwrap();
        if failed == 0 {
            assert!(nth > 3, "nothing was tested");
            break;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn data_that_merges_needs_no_fence() {
    let dir = tempfile::tempdir().unwrap();
    let cloud = MemCloud::new();
    let clouds: [Cloud; 1] = [Arc::new(cloud.clone())];
    let first = wallet(&dir.path().join("first"), &clouds).create(&root()).await.unwrap();
    account(&first, 1).await;
    assert_eq!(first.post_backup().await.unwrap().single_writer, None);
    let second = restored(&dir.path().join("second"), &clouds).await;
    account(&second, 2).await;
    second.post_backup().await.unwrap();
    account(&first, 3).await;
    first.post_backup().await.unwrap();
    let names = format!("{cloud:?}");
    let fence = cloud.list(&cloud::ObjectName::new("sr1").unwrap(), None).await.unwrap();
    assert!(fence.iter().all(|meta| !meta.name.as_str().ends_with("/f")), "{names}");
    first.lock().await.unwrap();
    second.lock().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replicated_commit_waits_for_the_fence_and_not_only_for_the_segment() {
    let dir = tempfile::tempdir().unwrap();
    let weather = Weather::fair();
    let truth = MemCloud::new();
    let clouds: [Cloud; 1] = [Arc::new(FlakyCloud::new(Arc::new(truth.clone()), weather.clone()))];
    let session = wallet(&dir.path().join("a"), &clouds).create(&root()).await.unwrap();
    write(&session, "one", b"1").unwrap();
    session.post_backup().await.unwrap();
    weather.answer(CloudError::Unauthorized {
        source: Arc::from(Box::<dyn std::error::Error + Send + Sync>::from("signed out")),
    });
    let kv = session.kv_replicated().unwrap();
    let (ns, key) = place("two");
    let mut commit = kv.submit(kv_core::Batch::new().put(&ns, &key, b"2"));
    let before = truth.list(&cloud::ObjectName::new("sr1").unwrap(), None).await.unwrap().len();
    // The segment, the head, and then the fence, which does not come through.
    weather.fail_from(3, Failure::Lost);
    assert!(session.post_backup().await.is_err());
    let after = truth.list(&cloud::ObjectName::new("sr1").unwrap(), None).await.unwrap().len();
    assert_eq!(after, before + 2, "segment and head are there");
    assert!(now(&mut commit).is_none(), "that is no acknowledgement");
    assert_eq!(session.status().unwrap().waiting, 1);
    weather.clear_up();
    let report = session.post_backup().await.unwrap();
    assert_eq!(report.single_writer, Some(SingleWriter::Acknowledged));
    assert!(matches!(now(&mut commit), Some(Ok(()))));
    let heads = truth.list(&cloud::ObjectName::new("sr1").unwrap(), None).await.unwrap();
    assert_eq!(heads.len(), after, "the same head went up again");
    session.lock().await.unwrap();
}

/// What a future says when it is looked at once.
fn now<T>(future: &mut (impl Future<Output = T> + Unpin)) -> Option<T> {
    let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
    match std::pin::Pin::new(future).poll(&mut cx) {
        std::task::Poll::Ready(value) => Some(value),
        std::task::Poll::Pending => None,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deposed_session_refuses_replicated_commits_and_says_who_took_over() {
    let dir = tempfile::tempdir().unwrap();
    let clouds = [memory()];
    let old = wallet(&dir.path().join("old"), &clouds).create(&root()).await.unwrap();
    write(&old, "one", b"1").unwrap();
    old.post_backup().await.unwrap();
    let new = restored(&dir.path().join("new"), &clouds).await;
    new.take_over().await.unwrap();
    let writer = new.status().unwrap().writer;

    let kv = old.kv_replicated().unwrap();
    let (ns, key) = place("late");
    let commit = kv.submit(kv_core::Batch::new().put(&ns, &key, b"x"));
    old.post_backup().await.unwrap();
    let error = commit.await.unwrap_err();
    assert!(matches!(error, kv_core::Error::NotReplicated { .. }), "{error:?}");
    let Some(Refusal::Fenced { epoch: 2, writer: by }) = Refusal::behind(&error) else {
        panic!("{error:?}")
    };
    assert_eq!(by.to_string(), writer);
    let refused = kv.submit(kv_core::Batch::new().put(&ns, &key, b"y")).await.unwrap_err();
    assert!(refused.is_refusal() && Refusal::behind(&refused).is_some(), "{refused:?}");
    assert_eq!(old.status().unwrap().waiting, 0, "nobody waits in vain");
    for session in [old, new] {
        session.lock().await.unwrap();
    }
}

/// A backup is dropped in the middle of its call to the fence, which lands later: the next one knows
/// it as its own.
#[tokio::test(flavor = "multi_thread")]
async fn a_backup_that_is_dropped_at_any_call_does_not_look_like_a_copy() {
    let mut dropped = 0;
    for calls in 0..8 {
        let dir = tempfile::tempdir().unwrap();
        let cloud = Arc::new(Stuck::default());
        let clouds: [Cloud; 1] = [cloud.clone()];
        let session = wallet(&dir.path().join("a"), &clouds).create(&root()).await.unwrap();
        write(&session, "one", b"1").unwrap();
        session.post_backup().await.unwrap();
        write(&session, "two", b"2").unwrap();
        cloud.answers.store(calls, Ordering::SeqCst);
        tokio::select! {
            posted = session.post_backup() => drop(posted.unwrap()),
            () = cloud.is_stuck.notified() => dropped += 1,
        }
        cloud.answers.store(u64::MAX, Ordering::SeqCst);
        let report = session.post_backup().await.unwrap();
        let status = session.status().unwrap();
        assert_eq!((status.single_writer, status.findings), ("open", Vec::new()), "{calls}");
        assert_ne!(report.single_writer, Some(SingleWriter::Stopped), "{calls}");
        session.lock().await.unwrap();
    }
    assert!(dropped >= 3, "segment, head and fence are three calls: {dropped}");
}

/// A cloud whose calls land, and whose answers stop coming after a number of them.
#[derive(Debug)]
struct Stuck {
    inner: MemCloud,
    /// How many answers still come; `u64::MAX`: all.
    answers: AtomicU64,
    /// One will never come.
    is_stuck: Notify,
}

impl Default for Stuck {
    fn default() -> Self {
        let (inner, is_stuck) = (MemCloud::new(), Notify::new());
        Self { inner, answers: AtomicU64::new(u64::MAX), is_stuck }
    }
}

impl Stuck {
    async fn answer<T>(&self, answer: T) -> T {
        let left = self.answers.load(Ordering::SeqCst);
        if left == 0 {
            self.is_stuck.notify_one();
            std::future::pending::<()>().await;
        }
        self.answers.store(if left == u64::MAX { left } else { left - 1 }, Ordering::SeqCst);
        answer
    }
}

#[async_trait::async_trait]
impl CloudBackend for Stuck {
    async fn put(
        &self,
        name: &cloud::ObjectName,
        bytes: bytes::Bytes,
        how: cloud::PutMode,
    ) -> cloud::Result<cloud::Tag> {
        self.answer(self.inner.put(name, bytes, how).await).await
    }

    async fn get(
        &self,
        name: &cloud::ObjectName,
    ) -> cloud::Result<Option<(bytes::Bytes, cloud::Tag)>> {
        self.answer(self.inner.get(name).await).await
    }

    async fn list(
        &self,
        prefix: &cloud::ObjectName,
        after: Option<&cloud::ObjectName>,
    ) -> cloud::Result<Vec<cloud::ObjectMeta>> {
        self.answer(self.inner.list(prefix, after).await).await
    }

    async fn delete(&self, name: &cloud::ObjectName) -> cloud::Result<()> {
        self.answer(self.inner.delete(name).await).await
    }

    fn limits(&self) -> cloud::Limits {
        self.inner.limits()
    }
}

/// Whose data was taken over goes on with what merges, and tidies up: never what the fence names.
#[tokio::test(flavor = "multi_thread")]
async fn what_the_fence_names_is_never_deleted() {
    let dir = tempfile::tempdir().unwrap();
    let clock = Arc::new(ManualClock::default());
    let truth = MemCloud::new();
    let with = |folder: &str| {
        WalletPersistence::builder(dir.path().join(folder))
            .settings(settings())
            .clock(clock.clone())
            .cloud(Arc::new(truth.clone()))
            .build()
    };
    let old = with("old").create(&root()).await.unwrap();
    account(&old, 1).await;
    old.post_backup().await.unwrap();
    write(&old, "one", b"1").unwrap();
    old.post_backup().await.unwrap();
    let wallet = with("new");
    wallet.restore(&root(), |_| ()).await.unwrap();
    let new = wallet.unlock(&root()).await.unwrap();
    new.take_over().await.unwrap();
    new.lock().await.unwrap();
    let all = cloud::ObjectName::new("sr1").unwrap();
    let names = |metas: Vec<cloud::ObjectMeta>| {
        metas.into_iter().map(|meta| meta.name).collect::<std::collections::BTreeSet<_>>()
    };
    let before = names(truth.list(&all, None).await.unwrap());
    for n in 2..60 {
        clock.advance(2 * 86_400_000);
        account(&old, n).await;
        old.post_backup().await.unwrap();
        if n % 5 == 0 {
            old.dump(DumpKind::Full).await.unwrap();
        }
    }
    let after = names(truth.list(&all, None).await.unwrap());
    assert!(before.difference(&after).count() > 0, "nothing was deleted, so nothing was tested");
    let third = with("third");
    third.restore(&root(), |_| ()).await.unwrap();
    let third = third.unlock(&root()).await.unwrap();
    assert_eq!(read(&third, "one"), Some(b"1".into()));
    assert!(!old.verify(true).await.unwrap().is_damaged());
    old.lock().await.unwrap();
    third.lock().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_scrub_reports_a_fencing_head_that_is_missing_or_damaged() {
    let dir = tempfile::tempdir().unwrap();
    let truth = MemCloud::new();
    let clouds: [Cloud; 1] = [Arc::new(truth.clone())];
    let session = wallet(&dir.path().join("a"), &clouds).create(&root()).await.unwrap();
    write(&session, "one", b"1").unwrap();
    session.post_backup().await.unwrap();
    assert!(!session.verify(true).await.unwrap().is_damaged());
    let all = truth.list(&cloud::ObjectName::new("sr1").unwrap(), None).await.unwrap();
    let fence = all.into_iter().find(|meta| meta.name.as_str().ends_with("/f")).unwrap().name;
    let (good, _) = truth.get(&fence).await.unwrap().unwrap();
    truth.put(&fence, "nonsense".into(), cloud::PutMode::Overwrite).await.unwrap();
    let report = format!("{:?}", session.verify(true).await.unwrap());
    assert!(report.contains("the fencing head: "), "{report}");
    truth.delete(&fence).await.unwrap();
    let report = format!("{:?}", session.verify(true).await.unwrap());
    assert!(report.contains("the fencing head is missing"), "{report}");
    truth.put(&fence, good, cloud::PutMode::Overwrite).await.unwrap();
    assert!(!session.verify(true).await.unwrap().is_damaged());
    session.lock().await.unwrap();
}

/// What a cloud honours is remembered by its address, and tried out again after a while.
#[tokio::test(flavor = "multi_thread")]
async fn what_a_cloud_honours_is_remembered() {
    let dir = tempfile::tempdir().unwrap();
    let clock = Arc::new(ManualClock::default());
    let url = format!("dir:{}", dir.path().join("cloud").display());
    let wallet = WalletPersistence::builder(dir.path().join("a"))
        .settings(settings())
        .clock(clock.clone())
        .cloud_url(CloudUrl::parse(&url).unwrap())
        .build();
    let session = wallet.create(&root()).await.unwrap();
    let probed = || dir.path().join("cloud/probe").exists();
    write(&session, "one", b"1").unwrap();
    session.post_backup().await.unwrap();
    assert!(probed(), "it is tried out before anything relies on it");
    std::fs::remove_dir_all(dir.path().join("cloud/probe")).unwrap();
    for (days, again) in [(1, false), (31, true)] {
        clock.advance(days * 86_400_000);
        session.lock().await.unwrap();
        let session = wallet.unlock(&root()).await.unwrap();
        write(&session, "one", b"2").unwrap();
        let report = session.post_backup().await.unwrap();
        assert_eq!(report.single_writer, Some(SingleWriter::Acknowledged));
        assert_eq!(probed(), again, "after {days} days");
        session.lock().await.unwrap();
    }
}
