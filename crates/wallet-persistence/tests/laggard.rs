//! A cloud that has yet to get what others have is no damaged one.

#![expect(clippy::unwrap_used, reason = "a test panics")]

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use async_trait::async_trait;
use bytes::Bytes;
use cloud::{
    CloudBackend, CloudError, Limits, MemCloud, ObjectMeta, ObjectName, PutMode, Result, Tag,
};
use kv_core::Severity;
use kv_mem::{Medium, MemStore};
use wallet_persistence::{
    CloudReport, Key, KvStore, KvStoreExt, Namespace, ProfileField, RootSecret, Session, Settings,
    SingleWriter, WalletPersistence,
};

/// A cloud that takes everything but, for a while, the fencing head.
#[derive(Debug, Default)]
struct Fenceless {
    truth: MemCloud,
    takes_fences: AtomicBool,
}

#[async_trait]
impl CloudBackend for Fenceless {
    async fn put(&self, name: &ObjectName, bytes: Bytes, how: PutMode) -> Result<Tag> {
        if name.as_str().ends_with("/f") && !self.takes_fences.load(Ordering::SeqCst) {
            return Err(CloudError::Full { source: Arc::new(std::io::Error::other("told to")) });
        }
        self.truth.put(name, bytes, how).await
    }

    async fn get(&self, name: &ObjectName) -> Result<Option<(Bytes, Tag)>> {
        self.truth.get(name).await
    }

    async fn list(
        &self,
        prefix: &ObjectName,
        after: Option<&ObjectName>,
    ) -> Result<Vec<ObjectMeta>> {
        self.truth.list(prefix, after).await
    }

    async fn delete(&self, name: &ObjectName) -> Result<()> {
        self.truth.delete(name).await
    }

    fn limits(&self) -> Limits {
        self.truth.limits()
    }
}

fn root() -> RootSecret {
    RootSecret::from_bytes([6; 32])
}

fn wallet(medium: &Medium, clouds: &[Arc<dyn CloudBackend>]) -> WalletPersistence {
    let medium = medium.clone();
    let open = move || Ok(Arc::new(MemStore::open(medium.clone())?) as Arc<dyn KvStore>);
    let mut settings = Settings::default();
    settings.replicate_every = None;
    settings.acknowledged_by = Some(1);
    let mut builder = WalletPersistence::over(open).settings(settings);
    for cloud in clouds {
        builder = builder.cloud(cloud.clone());
    }
    builder.build()
}

async fn verified(session: &Session) -> Vec<CloudReport> {
    session.verify(true).await.unwrap().clouds
}

fn notices(report: &CloudReport) -> usize {
    let findings = report.report.findings.iter();
    findings.filter(|finding| finding.severity == Severity::Notice).count()
}

async fn delete(cloud: &MemCloud, which: &str) {
    let all = cloud::poll_backups(cloud, &ObjectName::new("sr1").unwrap()).await.unwrap();
    let mut names = all.into_iter().map(|meta| meta.name);
    let newest = names.rfind(|name| name.as_str().contains(which)).unwrap();
    cloud.delete(&newest).await.unwrap();
}

#[tokio::test]
async fn a_cloud_that_is_new_lacks_the_newest_head_and_is_not_damaged() {
    let (medium, old, new) = (Medium::default(), MemCloud::new(), MemCloud::new());
    let clouds: [Arc<dyn CloudBackend>; 2] = [Arc::new(old.clone()), Arc::new(new)];
    let session = wallet(&medium, &clouds[..1]).create(&root()).await.unwrap();
    session.set_profile(ProfileField::GivenName, "Ada").await.unwrap();
    session.post_backup().await.unwrap();
    session.lock().await.unwrap();
    drop(session);
    let session = wallet(&medium, &clouds).unlock(&root()).await.unwrap();
    let reports = verified(&session).await;
    assert!(!reports[0].report.is_damaged() && reports[0].whole.is_some(), "{reports:?}");
    assert!(!reports[1].report.is_damaged() && reports[1].whole.is_none(), "{reports:?}");
    assert_eq!((notices(&reports[0]), notices(&reports[1])), (0, 1), "{reports:?}");
    // What a cloud has acknowledged must be there.
    delete(&old, "/h/").await;
    let reports = verified(&session).await;
    assert!(reports[0].report.is_damaged() && !reports[1].report.is_damaged(), "{reports:?}");
    session.lock().await.unwrap();
}

#[tokio::test]
async fn a_cloud_that_did_not_take_the_fencing_head_is_not_damaged() {
    let second = Arc::new(Fenceless::default());
    let clouds: [Arc<dyn CloudBackend>; 2] = [Arc::new(MemCloud::new()), second.clone()];
    let session = wallet(&Medium::default(), &clouds).create(&root()).await.unwrap();
    let (ns, key) = (Namespace::new("channels", "").unwrap(), Key::new("k").unwrap());
    let kv = session.kv().unwrap();
    kv.write(&ns, &key, b"1").unwrap();
    let report = session.post_backup().await.unwrap();
    assert_eq!(report.single_writer, Some(SingleWriter::Acknowledged), "one of two is enough");
    let reports = verified(&session).await;
    assert!(!reports[1].report.is_damaged() && reports[1].whole.is_some(), "{reports:?}");
    assert_eq!((notices(&reports[0]), notices(&reports[1])), (0, 1), "{reports:?}");
    // It follows, and then it must stay.
    second.takes_fences.store(true, Ordering::SeqCst);
    kv.write(&ns, &key, b"2").unwrap();
    session.post_backup().await.unwrap();
    let reports = verified(&session).await;
    assert_eq!((notices(&reports[0]), notices(&reports[1])), (0, 0), "{reports:?}");
    delete(&second.truth, "/f").await;
    let reports = verified(&session).await;
    assert!(!reports[0].report.is_damaged() && reports[1].report.is_damaged(), "{reports:?}");
    session.lock().await.unwrap();
}
