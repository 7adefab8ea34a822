//! Replication behind a session: what waits for the cloud, what does not, and what an outage does.

#![expect(clippy::unwrap_used, reason = "a test panics")]

use std::{sync::Arc, time::Duration};

use cloud::{
    CloudBackend, CloudError, MemCloud,
    testing::{Failure, FlakyCloud, Weather},
};
use kv_mem::{Medium, MemStore};
use wallet_persistence::{
    Batch, Error, Event, Key, KvStore, KvStoreExt, Namespace, Policies, Policy, RootSecret,
    Session, Settings, WalletPersistence,
};

struct Bed {
    medium: Medium,
    cloud: Arc<MemCloud>,
    weather: Arc<Weather>,
}

impl Bed {
    fn new() -> Self {
        let weather = Weather::fair();
        // Not to be tried again by the cloud's own retries: the background task must.
        let source = Arc::new(std::io::Error::other("injected"));
        weather.answer(CloudError::Unauthorized { source });
        Self { medium: Medium::default(), cloud: Arc::new(MemCloud::new()), weather }
    }

    fn wallet(&self, settings: Settings) -> WalletPersistence {
        let medium = self.medium.clone();
        let open = move || Ok(Arc::new(MemStore::open(medium.clone())?) as Arc<dyn KvStore>);
        let cloud: Arc<dyn CloudBackend> = self.cloud.clone();
        let cloud = Arc::new(FlakyCloud::new(cloud, self.weather.clone()));
        WalletPersistence::over(open).cloud(cloud).settings(settings).build()
    }
}

fn often() -> Settings {
    let mut settings = Settings::default();
    settings.replicate_every = Some(Duration::from_millis(5));
    settings
}

/// Backs up when asked only.
fn by_hand() -> Settings {
    let mut settings = Settings::default();
    settings.replicate_every = None;
    settings
}

fn root() -> RootSecret {
    RootSecret::from_bytes([5; 32])
}

fn place(key: &str) -> (Namespace, Key) {
    (Namespace::new("n", "").unwrap(), Key::new(key).unwrap())
}

async fn failed(session: &Session) {
    let mut events = session.events();
    while !matches!(events.recv().await.unwrap(), Event::BackupFailed { .. }) {}
}

#[tokio::test]
async fn an_outage_makes_replicated_commits_wait_and_nothing_else() {
    let bed = Bed::new();
    let session = bed.wallet(often()).create(&root()).await.unwrap();
    let (ns, key) = place("first");
    let kv = session.kv_replicated().unwrap();
    kv.submit(Batch::new().put(&ns, &key, b"1")).await.unwrap();
    assert_eq!(session.status().unwrap().lag_records, 0, "the clouds have it");

    bed.weather.fail_from(1, Failure::Lost);
    let waits = kv.submit(Batch::new().put(&ns, &place("second").1, b"2"));
    let local = session.kv().unwrap();
    local.submit(Batch::new().put(&ns, &place("local").1, b"3")).await.unwrap();
    failed(&session).await;
    let mut waits = std::pin::pin!(waits);
    assert!(futures_now(waits.as_mut()).is_none(), "no cloud has it");
    let status = session.status().unwrap();
    assert_eq!((status.waiting, status.lag_records), (1, 2));
    assert!(status.failing.is_some_and(|reason| !reason.is_empty()));
    let mut events = session.events();
    bed.weather.clear_up();
    waits.await.unwrap();
    while !matches!(events.recv().await.unwrap(), Event::BackedUp { .. }) {}
    let status = session.status().unwrap();
    assert_eq!((status.waiting, status.lag_records, status.failing), (0, 0, None));
    session.lock().await.unwrap();
}

/// What a future says when it is looked at once.
fn futures_now<T>(future: std::pin::Pin<&mut impl Future<Output = T>>) -> Option<T> {
    let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
    match future.poll(&mut cx) {
        std::task::Poll::Ready(value) => Some(value),
        std::task::Poll::Pending => None,
    }
}

#[tokio::test]
async fn a_commit_that_waits_for_the_cloud_does_not_wait_for_the_interval() {
    let bed = Bed::new();
    let mut settings = Settings::default();
    settings.replicate_every = Some(Duration::from_secs(3600));
    settings.policies = Policies::default().with("n", Policy::Replicated);
    let session = bed.wallet(settings).create(&root()).await.unwrap();
    let (ns, key) = place("k");
    let kv = session.kv().unwrap();
    for i in 0..3u8 {
        kv.submit(Batch::new().put(&ns, &key, &[i])).await.unwrap();
    }
    // Nobody waits, but a segment's worth has gathered.
    let mut events = session.events();
    let big = Namespace::new("big", "").unwrap();
    kv.submit(Batch::new().put(&big, &key, vec![0; 2 << 20])).await.unwrap();
    while !matches!(events.recv().await.unwrap(), Event::BackedUp { .. }) {}
    session.lock().await.unwrap();
}

#[tokio::test]
async fn a_restart_goes_on_with_what_was_not_replicated() {
    let bed = Bed::new();
    let wallet = bed.wallet(often());
    let session = wallet.create(&root()).await.unwrap();
    bed.weather.fail_from(1, Failure::Lost);
    let (ns, key) = place("k");
    let waits = session.kv_replicated().unwrap().submit(Batch::new().put(&ns, &key, b"1"));
    failed(&session).await;
    session.lock().await.unwrap();
    assert!(waits.await.is_err(), "it is not known to be in a cloud");
    drop(session);

    // Opening says so, and whoever asks for that waits.
    let session = wallet.unlock(&root()).await.unwrap();
    let opened = session.open_replicated().unwrap();
    assert_eq!(opened.not_yet_replicated.as_ref().map(|left| left.lag.records), Some(1));
    assert_eq!(opened.kv.read(&ns, &key).unwrap().as_deref(), Some(&b"1"[..]));
    let mut opening = Box::pin(opened.when_replicated());
    while session.status().unwrap().failing.is_none() {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    assert!(futures_now(opening.as_mut()).is_none(), "no cloud has it");
    bed.weather.clear_up();
    let kv = opening.await.unwrap();
    assert_eq!(session.status().unwrap().lag_records, 0);
    assert!(session.open_replicated().unwrap().not_yet_replicated.is_none());
    kv.submit(Batch::new().put(&ns, &key, b"2")).await.unwrap();
    session.lock().await.unwrap();
}

#[tokio::test]
async fn after_a_failure_the_same_bytes_go_up_again() {
    let bed = Bed::new();
    let session = bed.wallet(by_hand()).create(&root()).await.unwrap();
    let (ns, key) = place("k");
    let kv = session.kv().unwrap();
    kv.write(&ns, &key, b"first").unwrap();
    session.post_backup().await.unwrap();
    let segments = || {
        let listed = session.list_backups();
        async {
            listed.await.unwrap().objects.iter().find(|o| o.class == "segment").unwrap().objects
        }
    };
    assert_eq!(segments().await, 0);
    // The segment lands, each time, and its head does not.
    kv.write(&ns, &key, vec![7; 5 << 20]).unwrap();
    for _ in 0..3 {
        bed.weather.fail_from(3, Failure::Lost);
        assert!(session.post_backup().await.is_err());
        bed.weather.clear_up();
        assert_eq!(segments().await, 2, "one segment of two objects, however often it is tried");
    }
    kv.write(&ns, &key, b"later").unwrap();
    let report = session.post_backup().await.unwrap();
    assert_eq!(report.changes, 2, "what was tried before counts once it is there");
    assert_eq!(segments().await, 3, "what came later is in a segment of its own");
    assert!(!session.verify(true).await.unwrap().is_damaged());
    session.lock().await.unwrap();
}

#[tokio::test]
async fn without_a_cloud_nothing_can_be_replicated() {
    let medium = Medium::default();
    let open = move || Ok(Arc::new(MemStore::open(medium.clone())?) as Arc<dyn KvStore>);
    let session = WalletPersistence::over(open).build().create(&root()).await.unwrap();
    assert!(matches!(session.kv_replicated(), Err(Error::NoCloud)));
    assert!(matches!(session.open_replicated(), Err(Error::NoCloud)));
    session.lock().await.unwrap();
}
