//! Merging meets what cannot be used: on this device, or in what another one has put.

#![expect(clippy::unwrap_used, reason = "a test panics")]

use std::sync::Arc;

use cloud::MemCloud;
use kv_core::testing::ManualClock;
use kv_mem::{Medium, MemStore};
use vault::{SealedStore, Secret};
use wallet_persistence::{
    AccountId, Key, KvStore, KvStoreExt as _, Namespace, RootSecret, Session, Settings, Timestamp,
    WalletPersistence,
};

struct Device {
    medium: Medium,
    wallet: WalletPersistence,
}

fn root() -> RootSecret {
    RootSecret::from_bytes([5; 32])
}

fn account(n: u8) -> AccountId {
    format!("eip155:1:0x{}", format!("{n:02x}").repeat(20)).parse().unwrap()
}

fn accounts() -> Namespace {
    Namespace::reserved("~records", "accounts").unwrap()
}

impl Device {
    fn new(cloud: &Arc<MemCloud>) -> Self {
        let medium = Medium::default();
        let opened = medium.clone();
        let mut settings = Settings::default();
        (settings.replicate_every, settings.poll_every) = (None, None);
        let open = move || Ok(Arc::new(MemStore::open(opened.clone())?) as Arc<dyn KvStore>);
        let wallet = WalletPersistence::over(open)
            .cloud(cloud.clone())
            .clock(Arc::new(ManualClock::at(Timestamp(1_700_000_000_000))))
            .settings(settings)
            .build();
        Self { medium, wallet }
    }

    /// Spoils the records of these names while the wallet is locked: what is below is no frame.
    async fn spoil(&self, session: Session, names: &[Key]) -> Session {
        session.lock().await.unwrap();
        let store = Arc::new(MemStore::open(self.medium.clone()).unwrap());
        let sealed = SealedStore::open(store, Secret::Root(root())).unwrap();
        for name in names {
            sealed.write(&accounts(), name, b"\0no frame").unwrap();
        }
        sealed.close().unwrap();
        drop(sealed);
        self.wallet.unlock(&root()).await.unwrap()
    }
}

/// Two devices that know each other.
async fn two() -> [(Device, Session); 2] {
    let cloud = Arc::new(MemCloud::new());
    let a = Device::new(&cloud);
    let at_a = a.wallet.create(&root()).await.unwrap();
    at_a.post_backup().await.unwrap();
    let b = Device::new(&cloud);
    b.wallet.restore(&root(), |_| ()).await.unwrap();
    let at_b = b.wallet.unlock(&root()).await.unwrap();
    at_b.post_backup().await.unwrap();
    at_a.poll_backups().await.unwrap();
    [(a, at_a), (b, at_b)]
}

fn names(session: &Session) -> Vec<Key> {
    session.kv().unwrap().list_all(&accounts()).unwrap()
}

#[tokio::test]
async fn a_damaged_record_holds_up_no_other_and_is_healed_by_what_merges() {
    let [(_a, at_a), (b, at_b)] = two().await;
    at_a.add_account(account(1), Some("old")).await.unwrap();
    at_a.post_backup().await.unwrap();
    at_b.poll_backups().await.unwrap();
    let damaged = names(&at_b);
    let at_b = b.spoil(at_b, &damaged).await;
    assert_eq!(at_b.accounts().unwrap(), []);
    at_a.add_account(account(1), Some("new")).await.unwrap();
    at_a.add_account(account(2), None).await.unwrap();
    at_a.post_backup().await.unwrap();
    let report = at_b.poll_backups().await.unwrap().writers.remove(0);
    assert_eq!(report.failure, None);
    assert_eq!(report.damaged, [format!("~records/accounts/{}", damaged[0].as_str())]);
    assert_eq!(at_b.accounts().unwrap(), at_a.accounts().unwrap());
    assert_eq!(at_b.digest().await.unwrap(), at_a.digest().await.unwrap());
}

/// The first of two backups is good, and is merged for good: queries must find it.
#[tokio::test]
async fn queries_find_what_was_merged_before_a_poll_failed() {
    let [(a, at_a), (_b, at_b)] = two().await;
    at_a.add_account(account(1), None).await.unwrap();
    at_a.post_backup().await.unwrap();
    let good = names(&at_a);
    at_a.add_account(account(2), None).await.unwrap();
    let bad: Vec<Key> = names(&at_a).into_iter().filter(|name| !good.contains(name)).collect();
    let at_a = a.spoil(at_a, &bad).await;
    at_a.post_backup().await.unwrap();
    for _ in 0..2 {
        let report = at_b.poll_backups().await.unwrap().writers.remove(0);
        assert!(report.failure.is_some(), "{report:?}");
        assert_eq!(names(&at_b), good, "it is durable");
        let found = at_b.accounts().unwrap();
        assert_eq!(found.into_iter().map(|account| account.id).collect::<Vec<_>>(), [account(1)]);
    }
}
