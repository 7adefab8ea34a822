//! Suspending: within a second whatever a cloud does, the store free for others, and on again without
//! words.

use std::{
    future::pending,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use async_trait::async_trait;
use bytes::Bytes;
use cloud::{CloudBackend, CloudError, Limits, MemCloud, ObjectMeta, ObjectName, PutMode, Tag};
use wallet_persistence::{
    Error, Event, EvmTransaction, RootSecret, Settings, TxHash, U256, UnlockError,
    WalletPersistence, parse_block,
};

use crate::common::{account, root};

const BLOCK: &str = include_str!("../../../strongroom/data/eth-mainnet-block-15571241.json");

/// A cloud that takes a call and never answers it.
#[derive(Debug, Default)]
struct Silent(AtomicUsize);

impl Silent {
    async fn asked<T>(&self) -> T {
        self.0.fetch_add(1, Ordering::SeqCst);
        pending().await
    }
}

#[async_trait]
impl CloudBackend for Silent {
    async fn put(&self, _: &ObjectName, _: Bytes, _: PutMode) -> Result<Tag, CloudError> {
        self.asked().await
    }

    async fn get(&self, _: &ObjectName) -> Result<Option<(Bytes, Tag)>, CloudError> {
        self.asked().await
    }

    async fn list(
        &self,
        _: &ObjectName,
        _: Option<&ObjectName>,
    ) -> Result<Vec<ObjectMeta>, CloudError> {
        self.asked().await
    }

    async fn delete(&self, _: &ObjectName) -> Result<(), CloudError> {
        self.asked().await
    }

    fn limits(&self) -> Limits {
        MemCloud::new().limits()
    }
}

/// As long as a phone waits before it kills.
const PATIENCE: Duration = Duration::from_secs(1);

#[tokio::test]
async fn a_cloud_that_never_answers_does_not_hold_up_suspending() {
    let silent = Arc::new(Silent::default());
    let mut settings = Settings::default();
    settings.replicate_every = Some(Duration::from_millis(1));
    let folder = tempfile::tempdir().unwrap();
    let wallet = WalletPersistence::builder(folder.path().join("wallet"))
        .cloud(silent.clone())
        .settings(settings)
        .build();
    let session = wallet.create(&root()).await.unwrap();
    session.add_account(account(1, 1), None).await.unwrap();
    // The background task has asked the cloud, and so does the program itself.
    while silent.0.load(Ordering::SeqCst) == 0 {
        tokio::task::yield_now().await;
    }
    let asking = session.clone();
    let asked = tokio::spawn(async move { asking.post_backup().await });
    tokio::task::yield_now().await;
    let start = Instant::now();
    let suspended = session.suspend().await.unwrap();
    let took = start.elapsed();
    assert!(took < PATIENCE, "{took:?}");
    let asked = tokio::time::timeout(PATIENCE, asked).await.unwrap().unwrap();
    assert!(matches!(asked, Err(Error::Locked)));
    assert!(matches!(session.accounts(), Err(Error::Locked)));
    let resumed = suspended.resume().await.unwrap();
    assert!(!resumed.changed);
    assert_eq!(resumed.session.accounts().unwrap().len(), 1);
    let _ = resumed.session.suspend().await.unwrap();
}

/// What may have been half done in the clouds is done when it is asked for again.
#[tokio::test]
async fn a_takeover_under_way_does_not_hold_up_suspending() {
    let silent = Arc::new(Silent::default());
    let mut settings = Settings::default();
    settings.replicate_every = None;
    let folder = tempfile::tempdir().unwrap();
    let wallet = WalletPersistence::builder(folder.path().join("wallet"))
        .cloud(silent.clone())
        .settings(settings)
        .build();
    let session = wallet.create(&root()).await.unwrap();
    let asking = session.clone();
    let asked = tokio::spawn(async move { asking.take_over().await });
    while silent.0.load(Ordering::SeqCst) == 0 {
        tokio::task::yield_now().await;
    }
    let start = Instant::now();
    let suspended = session.suspend().await.unwrap();
    let took = start.elapsed();
    assert!(took < PATIENCE, "{took:?}");
    let asked = tokio::time::timeout(PATIENCE, asked).await.unwrap().unwrap();
    assert!(matches!(asked, Err(Error::Locked)));
    let _ = suspended.resume().await.unwrap().session.suspend().await.unwrap();
}

/// Nothing is sealed before the last backup is in the clouds; so it is asked for again.
#[tokio::test]
async fn a_handover_under_way_does_not_hold_up_suspending() {
    let silent = Arc::new(Silent::default());
    let mut settings = Settings::default();
    settings.replicate_every = None;
    let folder = tempfile::tempdir().unwrap();
    let wallet = WalletPersistence::builder(folder.path().join("wallet"))
        .cloud(silent.clone())
        .settings(settings)
        .build();
    let session = wallet.create(&root()).await.unwrap();
    session.add_account(account(1, 1), None).await.unwrap();
    let asking = session.clone();
    let asked = tokio::spawn(async move { asking.hand_over().await });
    while silent.0.load(Ordering::SeqCst) == 0 {
        tokio::task::yield_now().await;
    }
    let suspended = tokio::time::timeout(PATIENCE, session.suspend()).await.unwrap().unwrap();
    let asked = tokio::time::timeout(PATIENCE, asked).await.unwrap().unwrap();
    assert!(matches!(asked, Err(Error::Locked)));
    let session = suspended.resume().await.unwrap().session;
    session.add_account(account(1, 2), None).await.unwrap();
    let _ = session.suspend().await.unwrap();
}

#[tokio::test]
async fn a_suspended_wallet_is_free_for_others_and_tells_what_they_did() {
    let folder = tempfile::tempdir().unwrap();
    let wallet = || WalletPersistence::builder(folder.path().join("wallet")).build();
    let mine = wallet();
    let session = mine.create(&root()).await.unwrap();
    session.add_account(account(1, 1), None).await.unwrap();
    let other = wallet();
    assert!(matches!(other.unlock(&root()).await, Err(UnlockError::InUse)));
    let suspended = session.suspend().await.unwrap();
    // A notification extension, for instance.
    let theirs = other.unlock(&root()).await.unwrap();
    assert!(matches!(suspended.resume().await, Err(UnlockError::InUse)), "and can be tried again");
    theirs.add_account(account(1, 2), None).await.unwrap();
    theirs.lock().await.unwrap();
    let resumed = suspended.resume().await.unwrap();
    assert!(resumed.changed);
    assert_eq!(resumed.session.accounts().unwrap().len(), 2);
}

/// Not every change gets an entry in the log: neither one's own nor theirs.
#[tokio::test]
async fn a_change_that_the_log_does_not_note_again_is_told_if_it_is_theirs() {
    let folder = tempfile::tempdir().unwrap();
    let wallet = || WalletPersistence::builder(folder.path().join("wallet")).build();
    let session = wallet().create(&root()).await.unwrap();
    let label = |n: u8| format!("label {n}");
    for n in 0..3 {
        session.add_account(account(1, 1), Some(&label(n))).await.unwrap();
    }
    let suspended = session.suspend().await.unwrap();
    let resumed = suspended.resume().await.unwrap();
    assert!(!resumed.changed, "nobody else was there");
    resumed.session.add_account(account(1, 1), Some(&label(3))).await.unwrap();
    let suspended = resumed.session.suspend().await.unwrap();
    let theirs = wallet().unlock(&root()).await.unwrap();
    theirs.add_account(account(1, 1), Some(&label(4))).await.unwrap();
    theirs.lock().await.unwrap();
    let resumed = suspended.resume().await.unwrap();
    assert!(resumed.changed);
    let found = resumed.session.accounts().unwrap().remove(0);
    assert_eq!(found.label, Some(label(4)));
}

#[tokio::test]
async fn who_waits_gets_the_session_that_goes_on() {
    let wallet = WalletPersistence::in_memory().build();
    let mut events = wallet.events();
    let session = wallet.create(&root()).await.unwrap();
    let suspended = session.suspend().await.unwrap();
    let wallet = Arc::new(wallet);
    let waiting = {
        let wallet = wallet.clone();
        tokio::spawn(async move { wallet.unlocked().await })
    };
    let resumed = suspended.resume().await.unwrap();
    resumed.session.add_account(account(1, 1), None).await.unwrap();
    assert_eq!(waiting.await.unwrap().accounts().unwrap().len(), 1);
    for expected in [Event::Unlocked, Event::Locked, Event::Unlocked] {
        assert_eq!(events.try_recv().unwrap(), expected);
    }
}

/// The keys that were kept fit one wallet only.
#[tokio::test]
async fn another_wallet_in_its_place_is_not_resumed() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("wallet");
    let wallet = WalletPersistence::builder(&path).build();
    let suspended = wallet.create(&root()).await.unwrap().suspend().await.unwrap();
    std::fs::remove_dir_all(&path).unwrap();
    let stranger = WalletPersistence::builder(&path).build();
    let other = stranger.create(&RootSecret::from_bytes([8; 32])).await.unwrap();
    other.lock().await.unwrap();
    assert!(matches!(suspended.resume().await, Err(UnlockError::OtherWallet)));
}

/// Nothing is lost and nothing has to be typed with 10,000 records; how long it takes is measured
/// by the benchmark.
#[tokio::test]
async fn ten_thousand_records_are_there_again() {
    let folder = tempfile::tempdir().unwrap();
    let wallet = WalletPersistence::builder(folder.path().join("wallet")).build();
    let session = wallet.create(&root()).await.unwrap();
    let real = parse_block(BLOCK, None).unwrap();
    let copies: Vec<EvmTransaction> = (0..10_000_u64)
        .zip(real.iter().cycle())
        .map(|(n, tx)| EvmTransaction { hash: TxHash::from(U256::from(n)), ..tx.clone() })
        .collect();
    session.import(&copies).await.unwrap();
    let digest = session.digest().await.unwrap().hex;
    let suspended = session.suspend().await.unwrap();
    let start = Instant::now();
    let resumed = suspended.resume().await.unwrap();
    println!("resumed 10,000 records in {:?}", start.elapsed());
    assert!(!resumed.changed);
    assert_eq!(resumed.session.status().unwrap().transactions, 10_000);
    assert_eq!(resumed.session.digest().await.unwrap().hex, digest);
}
