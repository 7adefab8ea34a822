//! The nth operation of the store or of the cloud fails, for every n: nothing acknowledged is lost,
//! nothing is half there, and what the clouds hold can be restored.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test panics")]

use std::sync::Arc;

use cloud::{
    CloudBackend, CloudError, MemCloud,
    testing::{Failure, FlakyCloud, Weather},
};
use kv_core::testing::{Fault, FaultyStore, Landing};
use kv_mem::{Medium, MemStore};
use wallet_persistence::{
    AccountId, Key, KvStore, KvStoreExt, Namespace, ProfileField, RootSecret, Session, Settings,
    WalletPersistence, parse_block,
};

const BLOCK: &str = include_str!("../../strongroom/data/eth-mainnet-block-15571241.json");

struct Device {
    medium: Medium,
    fault: Arc<Fault>,
    wallet: WalletPersistence,
}

impl Device {
    fn new(cloud: Arc<dyn CloudBackend>) -> Self {
        let (medium, fault) = (Medium::default(), Arc::new(Fault::default()));
        let parts = (medium.clone(), fault.clone());
        let open = move || {
            let store = Arc::new(MemStore::open(parts.0.clone())?);
            Ok(Arc::new(FaultyStore::new(store, parts.1.clone())) as Arc<dyn KvStore>)
        };
        let mut settings = Settings::default();
        settings.replicate_every = None;
        let wallet = WalletPersistence::over(open).cloud(cloud).settings(settings).build();
        Self { medium, fault, wallet }
    }
}

fn root() -> RootSecret {
    RootSecret::from_bytes([5; 32])
}

fn account() -> AccountId {
    "eip155:1:0x974CaA59e49682CdA0AD2bbe82983419A2ECC400".parse().unwrap()
}

/// Changes of every kind with backups in between; which of them were acknowledged.
async fn script(session: &Session) -> Vec<bool> {
    let (ns, key) = (Namespace::new("n", "").unwrap(), Key::new("k").unwrap());
    let transactions = parse_block(BLOCK, None).unwrap();
    let mut done = Vec::new();
    done.push(session.add_account(account(), Some("a")).await.is_ok());
    done.push(session.import(&transactions[..5]).await.is_ok());
    let _ = session.post_backup().await;
    done.push(session.set_profile(ProfileField::GivenName, "Ada").await.is_ok());
    done.push(session.kv().is_ok_and(|kv| kv.write(&ns, &key, b"value").is_ok()));
    done.push(session.import(&transactions[5..9]).await.is_ok());
    let _ = session.post_backup().await;
    done
}

/// What each step of the script leaves behind.
fn effects(session: &Session) -> Vec<bool> {
    let (ns, key) = (Namespace::new("n", "").unwrap(), Key::new("k").unwrap());
    let transactions = session.transactions(None, 100).unwrap().len();
    assert!([0, 4, 5, 9].contains(&transactions), "half a batch: {transactions}");
    vec![
        session.accounts().unwrap().len() == 1,
        transactions >= 5,
        session.profile(ProfileField::GivenName).unwrap().is_some(),
        session.kv().unwrap().read(&ns, &key).unwrap().is_some(),
        transactions == 9,
    ]
}

async fn restored_digest(cloud: Arc<dyn CloudBackend>) -> String {
    let device = Device::new(cloud);
    device.wallet.restore(&root(), |_| ()).await.unwrap();
    let session = device.wallet.unlock(&root()).await.unwrap();
    let digest = session.digest().await.unwrap().hex;
    session.lock().await.unwrap();
    digest
}

#[tokio::test]
async fn the_nth_operation_of_the_store_fails() {
    for nth in 1..500 {
        let cloud: Arc<dyn CloudBackend> = Arc::new(MemCloud::new());
        let device = Device::new(cloud.clone());
        device.wallet.create(&root()).await.unwrap().lock().await.unwrap();
        let landing = if nth % 2 == 0 { Landing::Landed } else { Landing::Absent };
        device.fault.fail_nth(nth, landing);
        let mut done = Vec::new();
        if let Ok(session) = device.wallet.unlock(&root()).await {
            done = script(&session).await;
            let _ = session.lock().await;
        }
        let fired = device.fault.fired();
        device.fault.fail_nth(0, Landing::Absent);
        device.medium.crash();

        let session = device.wallet.unlock(&root()).await.unwrap();
        for (step, (done, there)) in done.iter().zip(effects(&session)).enumerate() {
            assert!(there || !done, "operation {nth}: step {step} was acknowledged and is lost");
        }
        let report = session.verify(false).await.unwrap();
        assert!(!report.is_damaged(), "operation {nth}: {report:?}");
        session.post_backup().await.unwrap();
        assert_eq!(session.status().unwrap().lag_records, 0);
        let digest = session.digest().await.unwrap().hex;
        session.lock().await.unwrap();
        assert_eq!(restored_digest(cloud).await, digest, "operation {nth}");
        if !fired {
            assert!(nth > 20, "the sweep ended too soon");
            return;
        }
    }
    panic!("the injected failure never stopped firing");
}

#[tokio::test]
async fn the_nth_call_of_the_cloud_fails() {
    for how in [Failure::Lost, Failure::AnswerLost] {
        for nth in 1..500 {
            let weather = Weather::fair();
            weather.answer(CloudError::Unauthorized { source: Arc::from(Box::from("injected")) });
            let cloud: Arc<dyn CloudBackend> = Arc::new(MemCloud::new());
            let flaky: Arc<dyn CloudBackend> =
                Arc::new(FlakyCloud::new(cloud.clone(), weather.clone()));
            let device = Device::new(flaky);
            let session = device.wallet.create(&root()).await.unwrap();
            weather.fail_nth(nth, how);
            let done = script(&session).await;
            assert!(done.iter().all(|done| *done), "a failing cloud disturbed local work");
            let fired = weather.failures() > 0;
            weather.clear_up();

            session.post_backup().await.unwrap();
            let status = session.status().unwrap();
            assert_eq!((status.lag_records, status.lag_age_ms), (0, None));
            let report = session.verify(true).await.unwrap();
            assert!(!report.is_damaged(), "call {nth}: {report:?}");
            let digest = session.digest().await.unwrap().hex;
            session.lock().await.unwrap();
            assert_eq!(restored_digest(cloud).await, digest, "call {nth}, {how:?}");
            if !fired {
                assert!(nth > 5, "the sweep ended too soon");
                break;
            }
        }
    }
}
