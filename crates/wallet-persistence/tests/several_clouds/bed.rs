//! One device with two clouds, of which each can hang or fail.

use std::sync::{
    Arc,
    atomic::{AtomicU8, Ordering},
};

use async_trait::async_trait;
use backup::ObjectName;
use bytes::Bytes;
use cloud::{CloudBackend, CloudError, Limits, MemCloud, ObjectMeta, PutMode, Result, Tag};
use kv_mem::{Medium, MemStore};
use wallet_persistence::{
    Batch, Builder, Key, KvStore, KvStoreExt, Namespace, RootSecret, Session, Settings,
    WalletPersistence,
};

/// How a cloud is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Mood {
    Well,
    /// No call ever answers.
    Hangs,
    /// Every call fails, and not only for the moment.
    Fails,
    /// It takes everything but heads.
    FailsHeads,
    /// A part of a dump never arrives.
    HangsDumps,
    /// It fails where segments are asked for.
    FailsSegments,
    /// Every call panics.
    Panics,
}

/// A cloud with moods.
#[derive(Debug)]
pub(crate) struct Moody {
    pub(crate) truth: MemCloud,
    mood: AtomicU8,
}

impl Moody {
    pub(crate) fn set(&self, mood: Mood) {
        self.mood.store(mood as u8, Ordering::SeqCst);
    }

    async fn call<T>(&self, name: &ObjectName, call: impl Future<Output = Result<T>>) -> Result<T> {
        let mood = self.mood.load(Ordering::SeqCst);
        let is = |class: &str| name.as_str().contains(class);
        if mood == Mood::Hangs as u8 || (mood == Mood::HangsDumps as u8 && is("/d/")) {
            return std::future::pending().await;
        }
        if mood == Mood::Fails as u8
            || (mood == Mood::FailsHeads as u8 && is("/h/"))
            || (mood == Mood::FailsSegments as u8 && is("/s/"))
        {
            return Err(CloudError::Full { source: Arc::new(std::io::Error::other("told to")) });
        }
        assert!(mood != Mood::Panics as u8, "told to panic");
        call.await
    }
}

#[async_trait]
impl CloudBackend for Moody {
    async fn put(&self, name: &ObjectName, bytes: Bytes, how: PutMode) -> Result<Tag> {
        self.call(name, self.truth.put(name, bytes, how)).await
    }

    async fn get(&self, name: &ObjectName) -> Result<Option<(Bytes, Tag)>> {
        self.call(name, self.truth.get(name)).await
    }

    async fn list(
        &self,
        prefix: &ObjectName,
        after: Option<&ObjectName>,
    ) -> Result<Vec<ObjectMeta>> {
        self.call(prefix, self.truth.list(prefix, after)).await
    }

    async fn delete(&self, name: &ObjectName) -> Result<()> {
        self.call(name, self.truth.delete(name)).await
    }

    fn limits(&self) -> Limits {
        assert!(self.mood.load(Ordering::SeqCst) != Mood::Panics as u8, "told to panic");
        self.truth.limits()
    }
}

pub(crate) struct Bed {
    medium: Medium,
    pub(crate) clouds: Vec<Arc<Moody>>,
}

impl Bed {
    pub(crate) fn new() -> Self {
        let cloud = || {
            let mood = AtomicU8::new(Mood::Well as u8);
            Arc::new(Moody { truth: MemCloud::new(), mood })
        };
        Self { medium: Medium::default(), clouds: vec![cloud(), cloud()] }
    }

    pub(crate) fn wallet(&self, settings: Settings) -> WalletPersistence {
        self.builder(settings).build()
    }

    pub(crate) fn builder(&self, settings: Settings) -> Builder {
        let medium = self.medium.clone();
        let open = move || Ok(Arc::new(MemStore::open(medium.clone())?) as Arc<dyn KvStore>);
        let mut builder = WalletPersistence::over(open).settings(settings);
        for cloud in &self.clouds {
            builder = builder.cloud(cloud.clone());
        }
        builder
    }

    /// What one cloud alone brings back; it lacks nothing.
    pub(crate) async fn restored_from(&self, cloud: usize) -> Vec<(String, Vec<u8>)> {
        let session = restored([Arc::new(self.clouds[cloud].truth.clone()) as _]).await;
        let found = contents(&session);
        assert!(!session.verify(true).await.unwrap().is_damaged());
        session.lock().await.unwrap();
        found
    }

    /// What both bring back, in the moods they are in.
    pub(crate) async fn restored(&self) -> Vec<(String, Vec<u8>)> {
        let session = restored(self.clouds.iter().map(|cloud| cloud.clone() as _)).await;
        let found = contents(&session);
        session.lock().await.unwrap();
        found
    }
}

async fn restored(clouds: impl IntoIterator<Item = Arc<dyn CloudBackend>>) -> Session {
    let medium = Medium::default();
    let open = move || Ok(Arc::new(MemStore::open(medium.clone())?) as Arc<dyn KvStore>);
    let mut builder = WalletPersistence::over(open).settings(by_hand(None));
    for cloud in clouds {
        builder = builder.cloud(cloud);
    }
    let wallet = builder.build();
    wallet.restore(&root(), |_| ()).await.unwrap();
    wallet.unlock(&root()).await.unwrap()
}

pub(crate) fn root() -> RootSecret {
    RootSecret::from_bytes([6; 32])
}

/// Backs up when asked only; a change counts when so many clouds have it.
pub(crate) fn by_hand(acknowledged_by: Option<usize>) -> Settings {
    let mut settings = Settings::default();
    settings.replicate_every = None;
    settings.acknowledged_by = acknowledged_by;
    settings
}

/// Backs up each second.
pub(crate) fn by_itself(acknowledged_by: Option<usize>) -> Settings {
    let mut settings = Settings::default();
    settings.acknowledged_by = acknowledged_by;
    settings
}

pub(crate) fn ns() -> Namespace {
    Namespace::new("n", "").unwrap()
}

pub(crate) fn key(key: &str) -> Key {
    Key::new(key).unwrap()
}

pub(crate) fn write(session: &Session, name: &str, value: &[u8]) {
    session.kv().unwrap().write(&ns(), &key(name), value).unwrap();
}

pub(crate) fn put(name: &str, value: &[u8]) -> Batch {
    Batch::new().put(&ns(), &key(name), value)
}

pub(crate) fn contents(session: &Session) -> Vec<(String, Vec<u8>)> {
    let kv = session.kv().unwrap();
    let read = |key: Key| {
        let value = kv.read(&ns(), &key).unwrap().unwrap().to_vec();
        (key.as_str().to_owned(), value)
    };
    kv.list_all(&ns()).unwrap().into_iter().map(read).collect()
}
