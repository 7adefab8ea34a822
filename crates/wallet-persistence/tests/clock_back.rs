//! A clock that was set back makes no honest device and no honest cloud suspicious.

#![expect(clippy::unwrap_used, reason = "a test panics")]

use std::sync::Arc;

use cloud::{
    CloudBackend, CloudError, MemCloud, ObjectName,
    testing::{Failure, FlakyCloud, Weather},
};
use kv_core::testing::ManualClock;
use kv_mem::{Medium, MemStore};
use wallet_persistence::{
    KvStore, PollReport, ProfileField, RootSecret, Session, Settings, Timestamp, WalletPersistence,
};

const NOW: u64 = 1_700_000_000_000;
const DAY: u64 = 86_400_000;

fn device(cloud: Arc<dyn CloudBackend>) -> (WalletPersistence, Arc<ManualClock>) {
    let (medium, clock) = (Medium::default(), Arc::new(ManualClock::at(Timestamp(NOW))));
    let open = move || Ok(Arc::new(MemStore::open(medium.clone())?) as Arc<dyn KvStore>);
    let mut settings = Settings::default();
    settings.replicate_every = None;
    let builder = WalletPersistence::over(open).cloud(cloud).settings(settings);
    (builder.clock(clock.clone()).build(), clock)
}

async fn heads(cloud: &MemCloud) -> Vec<ObjectName> {
    let all = cloud::poll_backups(cloud, &ObjectName::new("sr1").unwrap()).await.unwrap();
    let names = all.into_iter().map(|meta| meta.name);
    names.filter(|name| name.as_str().contains("/h/")).collect()
}

/// When the newest head of another device was put.
fn time(report: &PollReport) -> u64 {
    report.heads.iter().find(|head| !head.mine).unwrap().time
}

fn findings(session: &Session) -> usize {
    session.status().unwrap().findings.len()
}

#[tokio::test]
async fn two_heads_of_one_change_and_a_clock_set_back_between_them_are_no_rollback() {
    let root = RootSecret::from_bytes([8; 32]);
    let (truth, weather) = (MemCloud::new(), Weather::fair());
    let shaky = FlakyCloud::new(Arc::new(truth.clone()), weather.clone());
    let (wallet, clock) = device(Arc::new(shaky));
    let writer = wallet.create(&root).await.unwrap();
    writer.set_profile(ProfileField::GivenName, "Ada").await.unwrap();
    writer.post_backup().await.unwrap();
    let (other, _) = device(Arc::new(truth.clone()));
    other.restore(&root, |_| ()).await.unwrap();
    let other = other.unlock(&root).await.unwrap();
    other.poll_backups().await.unwrap();

    // Its clock is a day ahead. The head of a change lands, and the writer never hears of it.
    clock.set(Timestamp(NOW + DAY));
    writer.set_profile(ProfileField::GivenName, "Grace").await.unwrap();
    clock.advance(3_600_000);
    let before = heads(&truth).await;
    weather.answer(CloudError::Unauthorized { source: Arc::from(Box::from("signed out")) });
    weather.fail_nth(2, Failure::AnswerLost);
    writer.post_backup().await.unwrap_err();
    weather.clear_up();
    let landed: Vec<_> =
        heads(&truth).await.into_iter().filter(|name| !before.contains(name)).collect();
    assert_eq!(landed.len(), 1, "a head is there that was not acknowledged");
    let first = time(&other.poll_backups().await.unwrap());
    writer.lock().await.unwrap();

    // The clock is put right, and the same change goes up again.
    clock.set(Timestamp(NOW));
    let writer = wallet.unlock(&root).await.unwrap();
    writer.post_backup().await.unwrap();
    let second = time(&other.poll_backups().await.unwrap());
    assert!(second > first, "the later head says a later time: {first}, {second}");
    // The older head is replaced, and goes.
    cloud::CloudBackend::delete(&truth, landed.first().unwrap()).await.unwrap();
    other.poll_backups().await.unwrap();
    assert_eq!((findings(&writer), findings(&other)), (0, 0));
    let name = other.profile(ProfileField::GivenName).unwrap();
    assert_eq!(name.as_deref(), Some("Grace"));
    for session in [writer, other] {
        session.lock().await.unwrap();
    }
}
