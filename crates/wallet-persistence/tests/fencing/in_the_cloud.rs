//! The fencing head as it lies in a cloud: when it is there, what it keeps, who looks at it.

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicU64, Ordering},
};

use cloud::{
    CloudBackend, MemCloud,
    testing::{HostileCloud, Lie, Malice},
};
use kv_core::testing::ManualClock;
use wallet_persistence::{CloudUrl, DumpKind, SingleWriter, WalletPersistence};

use crate::bed::{Cloud, account, read, restored, root, settings, wallet, write};

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

/// A cloud that serves an older fencing head, or none, does not talk a device into deleting what the
/// true one names.
#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_deleted_while_a_cloud_serves_an_older_fence() {
    let dir = tempfile::tempdir().unwrap();
    let clock = Arc::new(ManualClock::default());
    let truth = MemCloud::new();
    let malice = Malice::none();
    let hostile = HostileCloud::new(Arc::new(truth.clone()), malice.clone(), 1);
    let wallet = WalletPersistence::builder(dir.path().join("a"))
        .settings(settings())
        .clock(clock.clone())
        .cloud(Arc::new(hostile))
        .build();
    let session = wallet.create(&root()).await.unwrap();
    account(&session, 1).await;
    session.post_backup().await.unwrap();
    let before = malice.now();
    write(&session, "one", b"1").unwrap();
    session.post_backup().await.unwrap();
    let all = cloud::ObjectName::new("sr1").unwrap();
    let listed = || async {
        let metas = truth.list(&all, None).await.unwrap();
        metas.into_iter().map(|meta| meta.name).collect::<std::collections::BTreeSet<_>>()
    };
    let needed = listed().await;
    let fence = needed.iter().find(|name| name.as_str().ends_with("/f")).unwrap();
    malice.lie(Lie::RollBackObject { name: fence.clone(), to: before });
    for n in 2..40 {
        clock.advance(2 * 86_400_000);
        account(&session, n).await;
        session.post_backup().await.unwrap();
        if n % 5 == 0 {
            session.dump(DumpKind::Full).await.unwrap();
        }
    }
    let gone: Vec<_> = needed.difference(&listed().await).cloned().collect();
    // Heads that were replaced are no sweep's.
    assert!(gone.iter().all(|name| name.as_str().contains("/h/")), "{gone:?}");
    let findings = format!("{:?}", session.status().unwrap().findings);
    assert!(findings.contains("fence-rolled-back"), "{findings}");
    let third = restored(&dir.path().join("third"), &[Arc::new(truth.clone())]).await;
    assert_eq!(read(&third, "one"), Some(b"1".into()));
    session.lock().await.unwrap();
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

/// A cloud that does not fence is not tried out again and again until it happens to: what was seen
/// holds as long as if it did.
#[tokio::test(flavor = "multi_thread")]
async fn what_a_cloud_does_not_honour_is_remembered_as_well() {
    let dir = tempfile::tempdir().unwrap();
    let clock = Arc::new(ManualClock::default());
    let folder = dir.path().join("cloud");
    let url = format!("dir:{}", folder.display());
    let wallet = WalletPersistence::builder(dir.path().join("a"))
        .settings(settings())
        .clock(clock.clone())
        .cloud_url(CloudUrl::parse(&url).unwrap())
        .build();
    // A file where the trial wants a folder: no put of it is taken.
    std::fs::create_dir(&folder).unwrap();
    std::fs::write(folder.join("probe"), "").unwrap();
    let session = wallet.create(&root()).await.unwrap();
    write(&session, "one", b"1").unwrap();
    assert_eq!(session.post_backup().await.unwrap().single_writer, Some(SingleWriter::Noted));
    session.lock().await.unwrap();
    std::fs::remove_file(folder.join("probe")).unwrap();
    for (days, becomes) in [(1, SingleWriter::Noted), (31, SingleWriter::Acknowledged)] {
        clock.advance(days * 86_400_000);
        let session = wallet.unlock(&root()).await.unwrap();
        write(&session, "one", b"2").unwrap();
        assert_eq!(session.post_backup().await.unwrap().single_writer, Some(becomes), "{days}");
        assert_eq!(folder.join("probe").exists(), becomes == SingleWriter::Acknowledged);
        session.lock().await.unwrap();
    }
}

/// The trial costs some thirty calls, and a lucky one counts for a month: so it is made once, though
/// what follows it fails.
#[tokio::test(flavor = "multi_thread")]
async fn what_a_cloud_honours_is_known_though_the_fence_fails() {
    let dir = tempfile::tempdir().unwrap();
    let cloud = Arc::new(NoFence::default());
    let clouds: [Cloud; 1] = [cloud.clone()];
    let session = wallet(&dir.path().join("a"), &clouds).create(&root()).await.unwrap();
    cloud.fails.store(true, Ordering::SeqCst);
    let mut tried = 0;
    for round in 0..3 {
        write(&session, "one", &[round]).unwrap();
        session.post_backup().await.unwrap_err();
        let calls = cloud.trials.load(Ordering::SeqCst);
        assert!(calls > 0 && (round == 0 || calls == tried), "{round}: {calls}");
        tried = calls;
    }
    cloud.fails.store(false, Ordering::SeqCst);
    let report = session.post_backup().await.unwrap();
    assert_eq!(report.single_writer, Some(SingleWriter::Acknowledged));
    assert_eq!(cloud.trials.load(Ordering::SeqCst), tried);
    session.lock().await.unwrap();
}

/// A cloud that takes everything but the fencing head, and counts the puts that try it out.
#[derive(Debug)]
struct NoFence {
    inner: MemCloud,
    fails: AtomicBool,
    trials: AtomicU64,
}

impl Default for NoFence {
    fn default() -> Self {
        let (fails, trials) = Default::default();
        Self { inner: MemCloud::new(), fails, trials }
    }
}

#[async_trait::async_trait]
impl CloudBackend for NoFence {
    async fn put(
        &self,
        name: &cloud::ObjectName,
        bytes: bytes::Bytes,
        how: cloud::PutMode,
    ) -> cloud::Result<cloud::Tag> {
        if name.as_str().starts_with("probe/") {
            self.trials.fetch_add(1, Ordering::SeqCst);
        }
        if name.as_str().ends_with("/f") && self.fails.load(Ordering::SeqCst) {
            let why = Box::<dyn std::error::Error + Send + Sync>::from("not this one");
            return Err(cloud::CloudError::Unauthorized { source: Arc::from(why) });
        }
        self.inner.put(name, bytes, how).await
    }

    async fn get(
        &self,
        name: &cloud::ObjectName,
    ) -> cloud::Result<Option<(bytes::Bytes, cloud::Tag)>> {
        self.inner.get(name).await
    }

    async fn list(
        &self,
        prefix: &cloud::ObjectName,
        after: Option<&cloud::ObjectName>,
    ) -> cloud::Result<Vec<cloud::ObjectMeta>> {
        self.inner.list(prefix, after).await
    }

    async fn delete(&self, name: &cloud::ObjectName) -> cloud::Result<()> {
        self.inner.delete(name).await
    }

    fn limits(&self) -> cloud::Limits {
        self.inner.limits()
    }
}
