//! A device that stayed away for too long: the others tell it, and it comes back.

#![expect(clippy::unwrap_used, reason = "a test panics")]

use std::sync::Arc;

use cloud::MemCloud;
use kv_core::testing::ManualClock;
use kv_mem::{Medium, MemStore};
use wallet_persistence::{
    AccountId, DumpKind, Event, KvStore, PollReport, ProfileField, RootSecret, Session, Settings,
    Timestamp, WalletPersistence,
};

const NOW: u64 = 1_700_000_000_000;
const DAY: u64 = 86_400_000;

struct Device {
    wallet: WalletPersistence,
    clock: Arc<ManualClock>,
}

impl Device {
    fn new(cloud: &Arc<MemCloud>) -> Self {
        let (medium, clock) = (Medium::default(), Arc::new(ManualClock::at(Timestamp(NOW))));
        let open = move || Ok(Arc::new(MemStore::open(medium.clone())?) as Arc<dyn KvStore>);
        let mut settings = Settings::default();
        settings.replicate_every = None;
        let wallet = WalletPersistence::over(open)
            .cloud(cloud.clone())
            .clock(clock.clone())
            .settings(settings)
            .build();
        Self { wallet, clock }
    }
}

fn root() -> RootSecret {
    RootSecret::from_bytes([4; 32])
}

fn account(n: u8) -> AccountId {
    format!("eip155:1:0x{}", format!("{n:02x}").repeat(20)).parse().unwrap()
}

/// Two devices that know each other, and hold accounts 1 to 3.
async fn two(cloud: &Arc<MemCloud>) -> [(Device, Session); 2] {
    let a = Device::new(cloud);
    let first = a.wallet.create(&root()).await.unwrap();
    for n in 1..4 {
        first.add_account(account(n), None).await.unwrap();
    }
    first.post_backup().await.unwrap();
    let b = Device::new(cloud);
    b.wallet.restore(&root(), |_| ()).await.unwrap();
    let second = b.wallet.unlock(&root()).await.unwrap();
    for _ in 0..2 {
        second.post_backup().await.unwrap();
        poll(&first).await;
        first.post_backup().await.unwrap();
        poll(&second).await;
    }
    [(a, first), (b, second)]
}

async fn poll(session: &Session) -> PollReport {
    let report = session.poll_backups().await.unwrap();
    assert!(report.writers.iter().all(|writer| writer.failure.is_none()), "{report:?}");
    report
}

fn accounts(session: &Session) -> Vec<AccountId> {
    session.accounts().unwrap().into_iter().map(|account| account.id).collect()
}

#[tokio::test]
async fn a_device_that_was_away_for_too_long_is_told_and_rejoins() {
    let cloud = Arc::new(MemCloud::new());
    let [(device, here), (_, away)] = two(&cloud).await;
    away.add_account(account(9), Some("never sent")).await.unwrap();
    here.remove_account(&account(1)).await.unwrap();
    here.set_profile(ProfileField::GivenName, "Ada").await.unwrap();
    here.post_backup().await.unwrap();
    device.clock.advance(200 * DAY);
    // It retires the other one, forgets the removal, and says so with its next backup although
    // nothing else has changed ...
    poll(&here).await;
    let said = here.post_backup().await.unwrap();
    assert_eq!((said.changes, said.objects), (0, 1), "one head");
    assert_eq!(here.post_backup().await.unwrap().objects, 0, "and one is enough");
    assert!(away.rejoin().await.unwrap().is_none(), "it does not know yet");
    // ... so the other one hears of it when it looks.
    assert!(poll(&away).await.retired && away.status().unwrap().retired);
    assert_eq!(accounts(&away).len(), 4, "nothing is merged yet");
    let writer = away.status().unwrap().writer;
    let mut events = away.events();
    let report = away.rejoin().await.unwrap().unwrap();
    assert_eq!(report.from, here.status().unwrap().writer);
    assert!(report.writer != writer && report.writer == away.status().unwrap().writer);
    assert_eq!(report.changes, 2, "an account went, a field came");
    assert!(matches!(events.try_recv(), Ok(Event::Merged { changes: 2, .. })));
    // The indexes follow, and what was never sent stays.
    assert_eq!(accounts(&away), [account(2), account(3), account(9)]);
    assert_eq!(away.status().unwrap().accounts, 3);
    assert_eq!(away.profile(ProfileField::GivenName).unwrap().as_deref(), Some("Ada"));
    assert!(!away.status().unwrap().retired && away.rejoin().await.unwrap().is_none(), "once");
    // From now on it counts again.
    away.post_backup().await.unwrap();
    poll(&here).await;
    assert_eq!(accounts(&here), accounts(&away));
    assert!(!away.verify(true).await.unwrap().is_damaged());
    let restored = Device::new(&cloud);
    restored.wallet.restore(&root(), |_| ()).await.unwrap();
    let restored = restored.wallet.unlock(&root()).await.unwrap();
    assert_eq!(accounts(&restored), accounts(&away));
}

#[tokio::test]
async fn who_rejoins_takes_the_state_of_one_that_counts_though_its_own_head_is_newer() {
    let cloud = Arc::new(MemCloud::new());
    let [(device, here), (returned, away)] = two(&cloud).await;
    here.set_profile(ProfileField::GivenName, "Ada").await.unwrap();
    device.clock.advance(200 * DAY);
    poll(&here).await;
    here.post_backup().await.unwrap();
    assert!(poll(&away).await.retired);
    returned.clock.advance(201 * DAY);
    away.add_account(account(9), None).await.unwrap();
    away.post_backup().await.unwrap();
    let report = away.rejoin().await.unwrap().unwrap();
    assert_eq!(report.from, here.status().unwrap().writer);
    assert_eq!(accounts(&away), [account(1), account(2), account(3), account(9)]);
    assert_eq!(away.profile(ProfileField::GivenName).unwrap().as_deref(), Some("Ada"));
}

#[tokio::test]
async fn rejoining_reads_segments_delta_and_full_dump_newest_first() {
    let cloud = Arc::new(MemCloud::new());
    let [(device, here), (_, away)] = two(&cloud).await;
    device.clock.advance(200 * DAY);
    poll(&here).await;
    // In the full dump: 1 to 3. In the delta: 1 and 4 go and come. In a segment: 2 goes.
    here.dump(DumpKind::Full).await.unwrap();
    here.remove_account(&account(1)).await.unwrap();
    here.add_account(account(4), Some("delta")).await.unwrap();
    here.dump(DumpKind::Delta).await.unwrap();
    here.remove_account(&account(2)).await.unwrap();
    here.add_account(account(4), Some("segment")).await.unwrap();
    here.post_backup().await.unwrap();
    assert!(poll(&away).await.retired);
    away.rejoin().await.unwrap().unwrap();
    assert_eq!(accounts(&away), [account(3), account(4)]);
    assert_eq!(away.accounts().unwrap(), here.accounts().unwrap());
}

#[tokio::test]
async fn who_merges_only_now_takes_the_newer_of_delta_and_full_dump() {
    for late in [false, true] {
        let cloud = Arc::new(MemCloud::new());
        let [(_, here), (_, other)] = two(&cloud).await;
        here.add_account(account(1), Some("full")).await.unwrap();
        here.add_account(account(5), Some("full")).await.unwrap();
        here.dump(DumpKind::Full).await.unwrap();
        if !late {
            poll(&other).await;
        }
        here.add_account(account(1), Some("delta")).await.unwrap();
        here.remove_account(&account(2)).await.unwrap();
        here.remove_account(&account(5)).await.unwrap();
        here.dump(DumpKind::Delta).await.unwrap();
        // What the other one lacks begins before the delta, whose segments it cannot tell any more.
        here.add_account(account(6), Some("segment")).await.unwrap();
        here.post_backup().await.unwrap();
        let report = poll(&other).await;
        assert_eq!(report.writers.len(), 1, "{report:?}");
        assert_eq!(other.accounts().unwrap(), here.accounts().unwrap(), "late {late}");
        assert_eq!(other.status().unwrap().accounts, 3);
    }
}
