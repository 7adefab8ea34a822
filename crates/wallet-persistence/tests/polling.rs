//! What other devices put arrives without being asked for.

#![expect(clippy::unwrap_used, reason = "a test panics")]

use std::{sync::Arc, time::Duration};

use cloud::{
    CloudError, MemCloud,
    testing::{Failure, FlakyCloud, Weather},
};
use kv_core::testing::{Fault, FaultyStore, Landing, ManualClock};
use kv_mem::{Medium, MemStore};
use tokio::sync::broadcast::Receiver;
use wallet_persistence::{
    Event, KvStore, ProfileField, RootSecret, Session, Settings, Timestamp, WalletPersistence,
};

const NOW: u64 = 1_700_000_000_000;
const DAY: u64 = 86_400_000;

struct Device {
    wallet: WalletPersistence,
    weather: Arc<Weather>,
}

impl Device {
    fn new(cloud: &Arc<MemCloud>, poll_every: Option<Duration>) -> Self {
        Self::at(NOW, cloud, poll_every)
    }

    /// One whose clock stands at this time.
    fn at(now: u64, cloud: &Arc<MemCloud>, poll_every: Option<Duration>) -> Self {
        let (medium, weather) = (Medium::default(), Weather::fair());
        let source = Arc::new(std::io::Error::other("injected"));
        weather.answer(CloudError::Unauthorized { source });
        let open = move || Ok(Arc::new(MemStore::open(medium.clone())?) as Arc<dyn KvStore>);
        let mut settings = Settings::default();
        assert_eq!(settings.poll_every, Some(Duration::from_secs(60)), "unless told otherwise");
        settings.poll_every = poll_every;
        let wallet = WalletPersistence::over(open)
            .cloud(Arc::new(FlakyCloud::new(cloud.clone(), weather.clone())))
            .clock(Arc::new(ManualClock::at(Timestamp(now))))
            .settings(settings)
            .build();
        Self { wallet, weather }
    }
}

fn root() -> RootSecret {
    RootSecret::from_bytes([8; 32])
}

/// Two devices of one wallet; the second looks each so often.
async fn two(poll_every: Option<Duration>) -> (Session, Device, Session) {
    let cloud = Arc::new(MemCloud::new());
    let first = Device::new(&cloud, None).wallet.create(&root()).await.unwrap();
    first.set_profile(ProfileField::GivenName, "Ada").await.unwrap();
    first.post_backup().await.unwrap();
    let device = Device::new(&cloud, poll_every);
    device.wallet.restore(&root(), |_| ()).await.unwrap();
    let second = device.wallet.unlock(&root()).await.unwrap();
    // The first look comes soon.
    tokio::time::sleep(Duration::from_secs(5)).await;
    (first, device, second)
}

fn merged(events: &mut Receiver<Event>) -> u64 {
    let mut merged = 0;
    while let Ok(event) = events.try_recv() {
        if let Event::Merged { changes, .. } = event {
            merged += changes;
        }
    }
    merged
}

#[tokio::test(start_paused = true)]
async fn what_another_device_puts_arrives_within_the_interval_and_is_told() {
    let (first, _device, second) = two(Some(Duration::from_secs(60))).await;
    let mut events = second.events();
    first.set_profile(ProfileField::GivenName, "Grace").await.unwrap();
    first.post_backup().await.unwrap();
    tokio::time::sleep(Duration::from_secs(40)).await;
    assert_eq!(second.profile(ProfileField::GivenName).unwrap().as_deref(), Some("Ada"));
    assert_eq!(merged(&mut events), 0);
    tokio::time::sleep(Duration::from_secs(25)).await;
    assert_eq!(second.profile(ProfileField::GivenName).unwrap().as_deref(), Some("Grace"));
    assert_eq!(merged(&mut events), 1);
    // Nothing new is nothing to tell.
    tokio::time::sleep(Duration::from_secs(300)).await;
    assert_eq!(merged(&mut events), 0);
    second.lock().await.unwrap();
    first.lock().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn what_was_put_before_unlocking_arrives_soon_after_it() {
    let (first, device, second) = two(Some(Duration::from_secs(3600))).await;
    second.lock().await.unwrap();
    first.set_profile(ProfileField::GivenName, "Grace").await.unwrap();
    first.post_backup().await.unwrap();
    let second = device.wallet.unlock(&root()).await.unwrap();
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert_eq!(second.profile(ProfileField::GivenName).unwrap().as_deref(), Some("Grace"));
    second.lock().await.unwrap();
    first.lock().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_look_that_fails_is_told_and_done_again() {
    let (first, device, second) = two(Some(Duration::from_secs(60))).await;
    first.set_profile(ProfileField::GivenName, "Grace").await.unwrap();
    first.post_backup().await.unwrap();
    let mut events = second.events();
    device.weather.fail_from(1, Failure::Lost);
    tokio::time::sleep(Duration::from_secs(130)).await;
    let mut failed = 0;
    while let Ok(event) = events.try_recv() {
        failed += u32::from(matches!(event, Event::PollFailed { .. }));
    }
    assert_eq!(failed, 2);
    device.weather.clear_up();
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(second.profile(ProfileField::GivenName).unwrap().as_deref(), Some("Grace"));
    second.lock().await.unwrap();
    first.lock().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn who_does_not_want_to_be_looked_for_asks() {
    let (first, device, second) = two(None).await;
    first.set_profile(ProfileField::GivenName, "Grace").await.unwrap();
    first.post_backup().await.unwrap();
    device.weather.clear_up();
    tokio::time::sleep(Duration::from_secs(600)).await;
    assert_eq!(device.weather.calls(), 0, "nothing to put, nothing to look for");
    assert_eq!(second.profile(ProfileField::GivenName).unwrap().as_deref(), Some("Ada"));
    second.poll_backups().await.unwrap();
    assert_eq!(second.profile(ProfileField::GivenName).unwrap().as_deref(), Some("Grace"));
    second.lock().await.unwrap();
    first.lock().await.unwrap();
}

/// Of the many heads that lie there none is asked for twice, nor the fencing head while they are the
/// same.
#[tokio::test(start_paused = true)]
async fn a_look_that_finds_nothing_new_is_one_request_to_each_cloud() {
    let (first, device, second) = two(Some(Duration::from_secs(60))).await;
    for n in 0..6 {
        for session in [&first, &second] {
            session.set_profile(ProfileField::FamilyName, &format!("{n}")).await.unwrap();
            session.post_backup().await.unwrap();
        }
    }
    first.take_over().await.unwrap();
    first.post_backup().await.unwrap();
    // The first look that comes after so many heads also tidies them up.
    tokio::time::sleep(Duration::from_secs(301)).await;
    device.weather.clear_up();
    tokio::time::sleep(Duration::from_secs(600)).await;
    assert_eq!(device.weather.calls(), 10, "ten looks");
    second.poll_backups().await.unwrap();
    assert_eq!(device.weather.calls(), 11);
    // What is new is found nevertheless.
    first.set_profile(ProfileField::GivenName, "Grace").await.unwrap();
    first.post_backup().await.unwrap();
    tokio::time::sleep(Duration::from_secs(61)).await;
    assert_eq!(second.profile(ProfileField::GivenName).unwrap().as_deref(), Some("Grace"));
    second.lock().await.unwrap();
    first.lock().await.unwrap();
}

#[tokio::test]
async fn polling_with_nothing_new_is_one_request_to_each_cloud() {
    let weathers = [Weather::fair(), Weather::fair()];
    let mut builder = WalletPersistence::in_memory();
    for weather in &weathers {
        let cloud = FlakyCloud::new(Arc::new(MemCloud::new()), weather.clone());
        builder = builder.cloud(Arc::new(cloud));
    }
    let mut settings = Settings::default();
    settings.replicate_every = None;
    let session = builder.settings(settings).build().create(&root()).await.unwrap();
    for n in 0..3 {
        session.set_profile(ProfileField::GivenName, &format!("{n}")).await.unwrap();
        session.post_backup().await.unwrap();
    }
    session.poll_backups().await.unwrap();
    weathers.iter().for_each(|weather| weather.clear_up());
    let report = session.poll_backups().await.unwrap();
    assert_eq!(weathers.map(|weather| weather.calls()), [1, 1]);
    assert_eq!(report.heads.len(), 1);
    session.lock().await.unwrap();
}

/// Who never polls by hand hears of it, too.
#[tokio::test(start_paused = true)]
async fn a_clock_that_is_days_ahead_is_told_once_and_stays_in_the_status() {
    for (ahead, is_told) in [(6 * DAY, true), (DAY / 48, false)] {
        let cloud = Arc::new(MemCloud::new());
        let wrong = Device::at(NOW + ahead, &cloud, None).wallet.create(&root()).await.unwrap();
        wrong.post_backup().await.unwrap();
        let device = Device::new(&cloud, Some(Duration::from_secs(60)));
        device.wallet.restore(&root(), |_| ()).await.unwrap();
        let second = device.wallet.unlock(&root()).await.unwrap();
        let mut events = second.events();
        for name in ["Ada", "Grace"] {
            wrong.set_profile(ProfileField::GivenName, name).await.unwrap();
            wrong.post_backup().await.unwrap();
            tokio::time::sleep(Duration::from_secs(65)).await;
            assert_eq!(second.profile(ProfileField::GivenName).unwrap().as_deref(), Some(name));
        }
        let mut told = Vec::new();
        while let Ok(event) = events.try_recv() {
            if let Event::ClockAhead { writer, ahead_ms } = event {
                told.push((writer, ahead_ms >= 6 * DAY));
            }
        }
        let writer = wrong.status().unwrap().writer;
        assert_eq!(told, if is_told { vec![(writer, true)] } else { vec![] });
        second.lock().await.unwrap();
        let second = device.wallet.unlock(&root()).await.unwrap();
        let status = second.status().unwrap();
        assert_eq!(status.clock_ahead_ms.is_some_and(|ms| ms >= 6 * DAY), is_told, "{status:?}");
        assert_eq!(wrong.status().unwrap().clock_ahead_ms, None, "it is right by its own clock");
        second.lock().await.unwrap();
        wrong.lock().await.unwrap();
    }
}

/// Whatever the device's own disk fails at: what is merged is found with the next poll at the latest.
#[tokio::test]
async fn a_poll_that_cannot_read_its_own_store_leaves_no_list_stale() {
    let cloud = Arc::new(MemCloud::new());
    let mut settings = Settings::default();
    settings.replicate_every = None;
    let first = WalletPersistence::in_memory().cloud(cloud.clone()).settings(settings.clone());
    let first = first.build().create(&root()).await.unwrap();
    first.post_backup().await.unwrap();
    let (medium, fault) = (Medium::default(), Arc::new(Fault::default()));
    let faults = fault.clone();
    let open = move || {
        let store = Arc::new(MemStore::open(medium.clone())?);
        Ok(Arc::new(FaultyStore::new(store, faults.clone())) as Arc<dyn KvStore>)
    };
    let wallet = WalletPersistence::over(open).cloud(cloud).settings(settings).build();
    wallet.restore(&root(), |_| ()).await.unwrap();
    let mut second = wallet.unlock(&root()).await.unwrap();
    let mut stale = 0;
    for nth in 1.. {
        let address = format!("eip155:1:0x{nth:040x}");
        first.add_account(address.parse().unwrap(), None).await.unwrap();
        first.post_backup().await.unwrap();
        fault.fail_nth(nth, Landing::Absent);
        let _ = second.poll_backups().await;
        let has_failed = fault.fired();
        fault.fail_nth(0, Landing::Absent);
        stale += u64::from(second.accounts().unwrap().len() as u64 != nth);
        let again = second.poll_backups().await;
        if !again.is_ok_and(|report| report.writers.iter().all(|writer| writer.failure.is_none())) {
            // It takes nothing more since a write has failed.
            let _ = second.lock().await;
            second = wallet.unlock(&root()).await.unwrap();
            second.poll_backups().await.unwrap();
        }
        assert_eq!(second.accounts().unwrap().len() as u64, nth, "operation {nth}");
        if !has_failed {
            assert!(stale > 3, "some of {nth} failures were in the way");
            break;
        }
    }
    second.lock().await.unwrap();
    first.lock().await.unwrap();
}
