//! Two devices of one wallet over one cloud: what one writes the other one reads, through queries too.

#![expect(clippy::unwrap_used, reason = "a test panics")]

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use cloud::{
    CloudError, MemCloud,
    testing::{Failure, FlakyCloud, Weather},
};
use kv_core::testing::ManualClock;
use tempfile::TempDir;
use wallet_persistence::{
    AccountId, Clock, CloudUrl, Event, Key, KvStoreExt, Namespace, ProfileField, RootSecret,
    Session, Settings, Timestamp, WalletPersistence, parse_block,
};

const BLOCK: &str = include_str!("../../strongroom/data/eth-mainnet-block-15571241.json");
const NOW: u64 = 1_700_000_000_000;
const DAY: u64 = 86_400_000;

struct Device {
    wallet: WalletPersistence,
    clock: Arc<ManualClock>,
    session: Session,
}

/// Where the devices and their cloud lie.
struct Home(TempDir);

impl Home {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn wallet(&self, name: &str, clock: &Arc<ManualClock>) -> WalletPersistence {
        wallet(&self.path(name), &self.path("cloud"), clock.clone())
    }

    async fn create(&self, name: &str) -> Device {
        let clock = Arc::new(ManualClock::at(Timestamp(NOW)));
        let wallet = self.wallet(name, &clock);
        let session = wallet.create(&root()).await.unwrap();
        Device { wallet, clock, session }
    }

    async fn restore(&self, name: &str) -> Device {
        let clock = Arc::new(ManualClock::at(Timestamp(NOW)));
        let wallet = self.wallet(name, &clock);
        wallet.restore(&root(), |_| ()).await.unwrap();
        let session = wallet.unlock(&root()).await.unwrap();
        Device { wallet, clock, session }
    }

    /// Two devices that know each other.
    async fn two(&self) -> (Device, Device) {
        let a = self.create("a").await;
        a.post().await;
        let b = self.restore("b").await;
        for _ in 0..2 {
            b.post().await;
            a.poll().await;
            a.post().await;
            b.poll().await;
        }
        (a, b)
    }
}

fn wallet(folder: &Path, cloud: &Path, clock: Arc<dyn Clock>) -> WalletPersistence {
    let mut settings = Settings::default();
    settings.replicate_every = None;
    let url = CloudUrl::parse(&format!("dir:{}", cloud.display())).unwrap();
    WalletPersistence::builder(folder).cloud_url(url).clock(clock).settings(settings).build()
}

fn root() -> RootSecret {
    RootSecret::from_bytes([1; 32])
}

fn account(n: u8) -> AccountId {
    format!("eip155:1:0x{}", format!("{n:02x}").repeat(20)).parse().unwrap()
}

impl Device {
    async fn post(&self) {
        self.session.post_backup().await.unwrap();
    }

    async fn poll(&self) -> wallet_persistence::PollReport {
        let report = self.session.poll_backups().await.unwrap();
        assert!(report.writers.iter().all(|writer| writer.failure.is_none()), "{report:?}");
        report
    }

    async fn digest(&self) -> String {
        self.session.digest().await.unwrap().hex
    }

    async fn reopen(self) -> Self {
        self.session.lock().await.unwrap();
        let session = self.wallet.unlock(&root()).await.unwrap();
        Self { session, ..self }
    }
}

#[tokio::test]
async fn what_one_device_writes_the_other_one_finds() {
    let home = Home::new();
    let (a, b) = home.two().await;
    a.session.import(&parse_block(BLOCK, None).unwrap()).await.unwrap();
    a.session.add_account(account(1), Some("from a")).await.unwrap();
    a.session.set_profile(ProfileField::GivenName, "Ada").await.unwrap();
    b.session.add_account(account(2), Some("from b")).await.unwrap();
    a.post().await;
    let mut events = b.session.events();
    let report = b.poll().await;
    assert_eq!((report.writers.len(), report.writers[0].changes), (1, 60));
    assert!(matches!(events.try_recv(), Ok(Event::Merged { changes: 60, .. })));
    // Through the indexes, not only by key.
    let listed = |device: &Device| device.session.transactions(None, 100).unwrap();
    assert_eq!(listed(&b), listed(&a));
    assert_eq!(listed(&b).len(), 58);
    assert_eq!(b.session.accounts().unwrap().len(), 2);
    assert_eq!(b.session.profile(ProfileField::GivenName).unwrap().as_deref(), Some("Ada"));
    // And away again.
    assert!(b.session.remove_account(&account(1)).await.unwrap());
    b.post().await;
    a.poll().await;
    assert_eq!(a.session.accounts().unwrap().len(), 1);
    assert_eq!(a.session.status().unwrap().accounts, 1);
    assert_eq!(a.digest().await, b.digest().await);
    let digest = a.digest().await;
    let (a, b) = (a.reopen().await, b.reopen().await);
    assert_eq!((a.digest().await, b.digest().await), (digest.clone(), digest));
    assert_eq!(listed(&b).len(), 58);
}

#[tokio::test]
async fn a_conflict_is_resolved_the_same_on_both_devices_and_told() {
    let home = Home::new();
    let (a, b) = home.two().await;
    a.session.set_profile(ProfileField::Location, "London").await.unwrap();
    b.clock.advance(1000);
    b.session.set_profile(ProfileField::Location, "Paris").await.unwrap();
    a.post().await;
    b.post().await;
    let (mut at_a, mut at_b) = (a.session.events(), b.session.events());
    assert_eq!(a.poll().await.writers[0].conflicts, 1);
    assert_eq!(b.poll().await.writers[0].conflicts, 1);
    for (events, winner_is_mine) in [(&mut at_a, false), (&mut at_b, true)] {
        let Ok(Event::ConflictResolved { namespace, key, mine, .. }) = events.try_recv() else {
            panic!("no event");
        };
        assert_eq!((namespace.as_str(), key.as_str()), ("~fields/", "location"));
        assert_eq!(mine, winner_is_mine);
    }
    for device in [&a, &b] {
        let value = device.session.profile(ProfileField::Location).unwrap();
        assert_eq!(value.as_deref(), Some("Paris"));
    }
}

#[tokio::test]
async fn a_second_change_within_one_second_reaches_the_other_device() {
    let home = Home::new();
    let (a, b) = home.two().await;
    a.session.add_account(account(1), Some("first")).await.unwrap();
    a.session.add_account(account(1), Some("second")).await.unwrap();
    a.post().await;
    b.poll().await;
    assert_eq!(b.session.accounts().unwrap()[0].label.as_deref(), Some("second"));
    b.session.add_account(account(1), Some("third")).await.unwrap();
    b.session.remove_account(&account(1)).await.unwrap();
    b.post().await;
    a.poll().await;
    assert_eq!(a.session.accounts().unwrap(), [], "added and removed within one second");
}

#[tokio::test]
async fn a_restart_does_not_forget_when_a_field_was_set() {
    let home = Home::new();
    let (a, b) = home.two().await;
    a.session.set_profile(ProfileField::Email, "old@example.org").await.unwrap();
    a.post().await;
    b.clock.advance(1000);
    b.session.set_profile(ProfileField::Email, "new@example.org").await.unwrap();
    let b = b.reopen().await;
    b.poll().await;
    let email = b.session.profile(ProfileField::Email).unwrap();
    assert_eq!(email.as_deref(), Some("new@example.org"), "an older value came back");
}

#[tokio::test]
async fn clocks_that_are_days_apart_lose_nothing() {
    let home = Home::new();
    let (a, b) = home.two().await;
    a.clock.advance(3 * DAY);
    b.clock.set(Timestamp(NOW - 3 * DAY));
    a.session.set_profile(ProfileField::Location, "London").await.unwrap();
    a.post().await;
    let report = b.poll().await;
    assert!(report.writers[0].clock_ahead_ms >= 6 * DAY, "{report:?}");
    b.session.set_profile(ProfileField::Location, "Paris").await.unwrap();
    b.post().await;
    a.poll().await;
    let value = a.session.profile(ProfileField::Location).unwrap();
    assert_eq!(value.as_deref(), Some("Paris"), "b had seen London and wrote after it");
    assert_eq!(a.digest().await, b.digest().await);
}

#[tokio::test]
async fn a_restore_holds_what_every_device_has_put() {
    let home = Home::new();
    let (a, b) = home.two().await;
    a.session.add_account(account(1), None).await.unwrap();
    a.post().await;
    b.clock.advance(DAY);
    b.session.add_account(account(2), None).await.unwrap();
    b.post().await;
    // Neither has merged the other's last change, and both are lost.
    let c = home.restore("c").await;
    assert_eq!(c.session.accounts().unwrap().len(), 2);
    assert_eq!(c.poll().await.writers, [], "nothing is left to merge");
}

#[tokio::test]
async fn what_has_a_single_writer_does_not_merge() {
    let home = Home::new();
    let (a, b) = home.two().await;
    let (ns, key) = (Namespace::new("monitors", "").unwrap(), Key::new("channel").unwrap());
    a.session.kv().unwrap().write(&ns, &key, b"of a").unwrap();
    a.post().await;
    assert_eq!(b.poll().await.writers, []);
    assert_eq!(b.session.kv().unwrap().read(&ns, &key).unwrap(), None);
}

#[tokio::test]
async fn a_poll_goes_on_with_the_clouds_that_answer() {
    let home = Home::new();
    let (a, b) = home.two().await;
    a.session.add_account(account(1), None).await.unwrap();
    a.post().await;
    b.session.lock().await.unwrap();
    let weather = Weather::fair();
    weather.answer(CloudError::Unauthorized { source: Arc::new(std::fmt::Error) });
    weather.fail_from(1, Failure::Lost);
    let broken = FlakyCloud::new(Arc::new(MemCloud::new()), weather);
    let mut settings = Settings::default();
    settings.replicate_every = None;
    let both = WalletPersistence::builder(home.path("b"))
        .cloud(Arc::new(broken))
        .settings(settings)
        .build();
    let session = both.unlock(&root()).await.unwrap();
    let report = session.poll_backups().await.unwrap();
    assert_eq!((report.unreachable.len(), report.writers.len()), (1, 1));
    assert_eq!(session.accounts().unwrap().len(), 1);
    session.lock().await.unwrap();
}
