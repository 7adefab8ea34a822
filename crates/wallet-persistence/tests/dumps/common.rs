//! A device with a clock of its own, and a cloud that counts and can be told to fail.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use async_trait::async_trait;
use backup::ObjectName;
use bytes::Bytes;
use cloud::{CloudBackend, CloudError, Limits, MemCloud, ObjectMeta, PutMode, Result, Tag};
use kv_core::testing::ManualClock;
use kv_mem::{Medium, MemStore};
use wallet_persistence::{
    Batch, Key, KvStore, Namespace, RestoreAt, RestoreReport, RootSecret, Session, Settings,
    Timestamp, UnlockError, WalletPersistence,
};

pub(crate) const DAY: u64 = 24 * 60 * 60 * 1000;

pub(crate) fn root() -> RootSecret {
    RootSecret::from_bytes([9; 32])
}

pub(crate) struct Device {
    pub(crate) clock: Arc<ManualClock>,
    pub(crate) medium: Medium,
    pub(crate) wallet: WalletPersistence,
}

impl Device {
    /// An empty one at this time.
    pub(crate) fn new(cloud: &Arc<Watched>, time: u64) -> Self {
        Self::with(cloud, time, |_| ())
    }

    pub(crate) fn with(
        cloud: &Arc<Watched>,
        time: u64,
        change: impl FnOnce(&mut Settings),
    ) -> Self {
        Self::with_clouds(&[cloud], time, change)
    }

    pub(crate) fn with_clouds(
        clouds: &[&Arc<Watched>],
        time: u64,
        change: impl FnOnce(&mut Settings),
    ) -> Self {
        let (medium, clock) = (Medium::default(), Arc::new(ManualClock::at(Timestamp(time))));
        let opened = medium.clone();
        let open = move || Ok(Arc::new(MemStore::open(opened.clone())?) as Arc<dyn KvStore>);
        let mut settings = Settings::default();
        settings.replicate_every = None;
        change(&mut settings);
        let mut builder = WalletPersistence::over(open).clock(clock.clone()).settings(settings);
        for cloud in clouds {
            builder = builder.cloud(Arc::clone(cloud) as Arc<dyn CloudBackend>);
        }
        Self { clock, medium, wallet: builder.build() }
    }

    pub(crate) async fn create(&self) -> Session {
        self.wallet.create(&root()).await.unwrap()
    }
}

/// Restores into a new device and answers what it holds; an older moment is accepted.
pub(crate) async fn restored(
    cloud: &Arc<Watched>,
    at: RestoreAt,
) -> Result<(Contents, RestoreReport), UnlockError> {
    let device = Device::new(cloud, 4_000_000_000_000);
    let report = device.wallet.restore_stale_at(&root(), at, |_| ()).await?;
    let session = device.wallet.unlock(&root()).await?;
    let contents = contents(&session);
    session.lock().await.unwrap();
    Ok((contents, report))
}

pub(crate) type Contents = BTreeMap<(Namespace, Key), Vec<u8>>;

pub(crate) fn contents(session: &Session) -> Contents {
    let kv = session.kv().unwrap();
    let mut contents = Contents::new();
    for ns in kv.namespaces().unwrap() {
        if ns.primary() == "~settings" {
            continue;
        }
        for key in kv.list(&ns, None, usize::MAX).unwrap() {
            let value = kv.read(&ns, &key).unwrap().unwrap();
            contents.insert((ns.clone(), key), value.to_vec());
        }
    }
    contents
}

pub(crate) fn ns(name: &str) -> Namespace {
    Namespace::new(name, "").unwrap()
}

pub(crate) fn key(n: u64) -> Key {
    Key::new(&format!("k{n:07}")).unwrap()
}

/// Writes values that do not compress, `range` in one namespace.
pub(crate) async fn write(session: &Session, name: &str, range: std::ops::Range<u64>, salt: u64) {
    let kv = session.kv().unwrap();
    let mut random = kv_core::testing::Random::seeded(salt);
    let mut batch = Batch::new();
    for n in range {
        batch = batch.put(&ns(name), &key(n), random.bytes(300));
        if batch.len() == 1000 {
            kv.submit(std::mem::take(&mut batch)).await.unwrap();
        }
    }
    kv.submit(batch).await.unwrap();
}

type Rule = Box<dyn Fn(&Call<'_>) -> Answer + Send>;

/// What is asked of the cloud.
pub(crate) enum Call<'a> {
    Put(&'a ObjectName),
    Get(&'a ObjectName),
    List,
    Delete(&'a ObjectName),
}

/// What becomes of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Answer {
    AsIs,
    Fails,
    /// It is stored with one bit turned.
    Damages,
}

/// A cloud in memory that counts, and fails or lies by rule.
pub(crate) struct Watched {
    pub(crate) inner: MemCloud,
    rule: Mutex<Rule>,
    pub(crate) put_bytes: AtomicU64,
    pub(crate) gets: AtomicU64,
    pub(crate) deletes: AtomicU64,
}

impl std::fmt::Debug for Watched {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Watched")
    }
}

impl Watched {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self {
            inner: MemCloud::new(),
            rule: Mutex::new(Box::new(|_| Answer::AsIs)),
            put_bytes: AtomicU64::new(0),
            gets: AtomicU64::new(0),
            deletes: AtomicU64::new(0),
        })
    }

    pub(crate) fn rule(&self, rule: impl Fn(&Call<'_>) -> Answer + Send + 'static) {
        *self.rule.lock().unwrap_or_else(PoisonError::into_inner) = Box::new(rule);
    }

    pub(crate) fn honest(&self) {
        self.rule(|_| Answer::AsIs);
    }

    fn answer(&self, call: &Call<'_>) -> Result<Answer> {
        let rule = self.rule.lock().unwrap_or_else(PoisonError::into_inner);
        match rule(call) {
            Answer::Fails => Err(CloudError::Full {
                source: Arc::from(Box::<dyn std::error::Error + Send + Sync>::from("told to fail")),
            }),
            other => Ok(other),
        }
    }

    /// The names of all objects of a class, such as `/h/`.
    pub(crate) async fn names(&self, class: &str) -> Vec<ObjectName> {
        let all = cloud::poll_backups(&self.inner, &ObjectName::new("sr1").unwrap()).await.unwrap();
        let names = all.into_iter().map(|meta| meta.name);
        names.filter(|name| name.as_str().contains(class)).collect()
    }

    /// The bytes of all objects that are there now.
    pub(crate) async fn stored_bytes(&self) -> u64 {
        let all = cloud::poll_backups(&self.inner, &ObjectName::new("sr1").unwrap()).await.unwrap();
        all.iter().map(|meta| meta.size).sum()
    }

    pub(crate) fn bytes(&self) -> u64 {
        self.put_bytes.load(Ordering::SeqCst)
    }
}

#[async_trait]
impl CloudBackend for Watched {
    async fn put(&self, name: &ObjectName, bytes: Bytes, how: PutMode) -> Result<Tag> {
        let mut stored = bytes.to_vec();
        if self.answer(&Call::Put(name))? == Answer::Damages
            && let Some(last) = stored.last_mut()
        {
            *last ^= 1;
        }
        self.put_bytes.fetch_add(stored.len() as u64, Ordering::SeqCst);
        self.inner.put(name, stored.into(), how).await
    }

    async fn get(&self, name: &ObjectName) -> Result<Option<(Bytes, Tag)>> {
        self.answer(&Call::Get(name))?;
        self.gets.fetch_add(1, Ordering::SeqCst);
        self.inner.get(name).await
    }

    async fn list(
        &self,
        prefix: &ObjectName,
        after: Option<&ObjectName>,
    ) -> Result<Vec<ObjectMeta>> {
        self.answer(&Call::List)?;
        self.inner.list(prefix, after).await
    }

    async fn delete(&self, name: &ObjectName) -> Result<()> {
        if name.as_str().starts_with("probe/") {
            return self.inner.delete(name).await;
        }
        self.answer(&Call::Delete(name))?;
        self.deletes.fetch_add(1, Ordering::SeqCst);
        self.inner.delete(name).await
    }

    fn limits(&self) -> Limits {
        self.inner.limits()
    }
}
