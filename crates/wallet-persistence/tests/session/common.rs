//! Wallets in memory, over one cloud in memory, with clocks that are moved by hand.

use std::sync::Arc;

use cloud::MemCloud;
use kv_core::testing::ManualClock;
use wallet_persistence::{
    AccountId, PollReport, RootSecret, Session, Settings, Timestamp, WalletPersistence,
};

pub(crate) const NOW: u64 = 1_700_000_000_000;
pub(crate) const DAY: u64 = 86_400_000;

/// A device, unlocked.
pub(crate) struct Device {
    pub(crate) wallet: WalletPersistence,
    pub(crate) clock: Arc<ManualClock>,
    pub(crate) session: Session,
}

pub(crate) fn root() -> RootSecret {
    RootSecret::from_bytes([9; 32])
}

fn wallet(cloud: &Arc<MemCloud>) -> (WalletPersistence, Arc<ManualClock>) {
    let clock = Arc::new(ManualClock::at(Timestamp(NOW)));
    let mut settings = Settings::default();
    settings.replicate_every = None;
    let builder = WalletPersistence::in_memory().cloud(cloud.clone()).clock(clock.clone());
    (builder.settings(settings).build(), clock)
}

/// A wallet that is made here.
pub(crate) async fn first(cloud: &Arc<MemCloud>) -> Device {
    let (wallet, clock) = wallet(cloud);
    let session = wallet.create(&root()).await.unwrap();
    Device { wallet, clock, session }
}

/// A wallet alone.
pub(crate) async fn alone() -> Device {
    first(&Arc::new(MemCloud::new())).await
}

/// One that is restored from the cloud.
pub(crate) async fn restored(cloud: &Arc<MemCloud>) -> Device {
    let (wallet, clock) = wallet(cloud);
    wallet.restore(&root(), |_| ()).await.unwrap();
    let session = wallet.unlock(&root()).await.unwrap();
    Device { wallet, clock, session }
}

/// Two devices that know each other.
pub(crate) async fn two() -> (Device, Device) {
    let cloud = Arc::new(MemCloud::new());
    let a = first(&cloud).await;
    a.post().await;
    let b = restored(&cloud).await;
    for _ in 0..2 {
        b.post().await;
        a.poll().await;
        a.post().await;
        b.poll().await;
    }
    (a, b)
}

impl Device {
    pub(crate) async fn post(&self) {
        self.session.post_backup().await.unwrap();
    }

    pub(crate) async fn poll(&self) -> PollReport {
        let report = self.session.poll_backups().await.unwrap();
        assert!(report.writers.iter().all(|writer| writer.failure.is_none()), "{report:?}");
        report
    }

    pub(crate) async fn reopen(self) -> Self {
        self.session.lock().await.unwrap();
        let session = self.wallet.unlock(&root()).await.unwrap();
        Self { session, ..self }
    }

    pub(crate) async fn digest(&self) -> String {
        self.session.digest().await.unwrap().hex
    }
}

/// The nth account of a chain.
pub(crate) fn account(chain: u64, n: u8) -> AccountId {
    format!("eip155:{chain}:0x{}", format!("{n:02x}").repeat(20)).parse().unwrap()
}
