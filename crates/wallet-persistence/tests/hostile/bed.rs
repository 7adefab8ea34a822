//! A wallet on one device, two hostile clouds, and a second device that has only the words.

use std::sync::{
    Arc,
    atomic::{AtomicU8, Ordering},
};

use cloud::{
    CloudBackend, MemCloud, ObjectName,
    testing::{HostileCloud, Malice},
};
use kv_core::testing::ManualClock;
use kv_mem::{Medium, MemStore};
use wallet_persistence::{
    Error, KvStore, ProfileField, RestoreReport, RootSecret, Session, Settings, UnlockError,
    WalletPersistence,
};

pub(crate) struct Bed {
    /// The wills of the two clouds.
    pub(crate) malice: [Arc<Malice>; 2],
    truth: [MemCloud; 2],
    pub(crate) clock: Arc<ManualClock>,
    devices: AtomicU8,
}

impl Bed {
    pub(crate) fn new() -> Self {
        let truth = [MemCloud::new(), MemCloud::new()];
        let malice = [Malice::none(), Malice::none()];
        Self { malice, truth, clock: Arc::default(), devices: AtomicU8::new(0) }
    }

    pub(crate) fn handle(&self, cloud: usize, device: u8) -> HostileCloud {
        let truth = Arc::new(self.truth.get(cloud).unwrap().clone());
        HostileCloud::new(truth, self.malice.get(cloud).unwrap().clone(), device)
    }

    /// A wallet on a new device that uses these clouds.
    pub(crate) fn device(&self, clouds: &[usize]) -> WalletPersistence {
        self.device_with(clouds, Settings::default())
    }

    /// A session on a new device, restored; so many clouds are enough to acknowledge.
    pub(crate) async fn restored_acknowledged_by(
        &self,
        clouds: &[usize],
        enough: usize,
    ) -> Session {
        let mut settings = Settings::default();
        settings.acknowledged_by = Some(enough);
        let wallet = self.device_with(clouds, settings);
        wallet.restore(&root(), |_| ()).await.unwrap();
        wallet.unlock(&root()).await.unwrap()
    }

    /// Deletes all heads from a cloud.
    pub(crate) async fn lose_heads(&self, cloud: usize) {
        let truth = self.truth.get(cloud).unwrap();
        for object in cloud::poll_backups(truth, &ObjectName::new("sr1").unwrap()).await.unwrap() {
            if object.name.as_str().contains("/h/") {
                truth.delete(&object.name).await.unwrap();
            }
        }
    }

    /// The same with settings.
    pub(crate) fn device_with(
        &self,
        clouds: &[usize],
        mut settings: Settings,
    ) -> WalletPersistence {
        let medium = Medium::default();
        let number = self.devices.fetch_add(1, Ordering::SeqCst) + 1;
        settings.replicate_every = None;
        let open = move || Ok(Arc::new(MemStore::open(medium.clone())?) as Arc<dyn KvStore>);
        let mut builder =
            WalletPersistence::over(open).settings(settings).clock(self.clock.clone());
        for cloud in clouds {
            let handle: Arc<dyn CloudBackend> = Arc::new(self.handle(*cloud, number));
            builder = builder.cloud(handle);
        }
        builder.build()
    }

    /// A session on the first device, with the value `old` in the clouds.
    pub(crate) async fn old(&self, clouds: &[usize]) -> Session {
        let session = self.device(clouds).create(&root()).await.unwrap();
        set(&session, "old").await;
        session.post_backup().await.unwrap();
        self.clock.advance(60_000);
        session
    }

    /// The same, and then `new` in the clouds as well; and the moment between the two.
    pub(crate) async fn old_and_new(&self, clouds: &[usize]) -> (Session, u64) {
        let session = self.old(clouds).await;
        let between = self.malice[0].now();
        set(&session, "new").await;
        session.post_backup().await.unwrap();
        self.clock.advance(60_000);
        (session, between)
    }

    /// What a new device restores from these clouds with the words alone.
    pub(crate) async fn restore(
        &self,
        clouds: &[usize],
    ) -> Result<(Option<String>, RestoreReport), UnlockError> {
        let wallet = self.device(clouds);
        let report = wallet.restore(&root(), |_| ()).await?;
        let session = wallet.unlock(&root()).await?;
        let value = session.profile(ProfileField::GivenName)?;
        session.lock().await?;
        Ok((value, report))
    }

    /// The objects of a class in the first cloud, oldest first.
    pub(crate) fn objects(&self, class: &str) -> Vec<backup::ObjectName> {
        let mut names = self.malice[0].names();
        names.retain(|name| name.as_str().contains(&format!("/{class}/")));
        names
    }
}

pub(crate) fn root() -> RootSecret {
    RootSecret::from_bytes([9; 32])
}

pub(crate) async fn set(session: &Session, value: &str) {
    session.set_profile(ProfileField::GivenName, value).await.unwrap();
}

/// What a scrub of the clouds says, as one text.
pub(crate) async fn scrubbed(session: &Session) -> String {
    let report = session.verify(true).await.unwrap();
    assert!(!report.local.is_damaged());
    if report.is_damaged() { format!("{report:?}") } else { String::new() }
}

/// Whether a restore was refused because of what the cloud served.
pub(crate) fn is_damage(error: &UnlockError) -> bool {
    matches!(
        error,
        UnlockError::Other(Error::Backup(
            backup::Error::Missing { .. }
                | backup::Error::Damaged { .. }
                | backup::Error::BrokenChain { .. }
        ))
    )
}
