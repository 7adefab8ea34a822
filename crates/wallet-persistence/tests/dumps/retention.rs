//! Keeping restore points for some days, and deleting the rest.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use cloud::ObjectName;
use kv_core::{
    Batch, Capabilities, Commit, Durability, Key, KvStore, Namespace, Result, Value,
    testing::ManualClock,
};
use kv_mem::{Medium, MemStore};
use wallet_persistence::{
    DumpKind, KvStoreExt, RestoreAt, Session, Settings, Timestamp, WalletPersistence,
};

use crate::common::{
    Answer, Call, Contents, DAY, Device, Watched, contents, key, ns, restored, root, write,
};

/// One change a day, and a backup; what the wallet held then, by its sequence number.
async fn live(
    device: &Device,
    session: &Session,
    days: std::ops::Range<u64>,
    points: &mut BTreeMap<u64, (u64, Contents)>,
) {
    for day in days {
        device.clock.set(Timestamp(1_000_000_000 + day * DAY));
        session.kv().unwrap().write(&ns("s"), &key(day % 5), format!("day {day}")).unwrap();
        session.post_backup().await.unwrap();
        match day % 10 {
            3 => drop(session.dump(DumpKind::Delta).await.unwrap()),
            8 => drop(session.dump(DumpKind::Full).await.unwrap()),
            _ => {}
        }
        let now = device.clock.now_ms();
        points.insert(session.status().unwrap().sequence, (now, contents(session)));
    }
}

trait Now {
    fn now_ms(&self) -> u64;
}

impl Now for kv_core::testing::ManualClock {
    fn now_ms(&self) -> u64 {
        kv_core::Clock::now(self).0
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn restore_points_of_the_last_thirty_days_are_kept_and_older_ones_go() {
    let cloud = Watched::new();
    let device = Device::new(&cloud, 1_000_000_000);
    let session = device.create().await;
    let mut points = BTreeMap::new();
    live(&device, &session, 0..80, &mut points).await;
    let now = device.clock.now_ms();
    assert!(cloud.deletes.load(Ordering::SeqCst) > 0);
    let mut gone = 0;
    for (sequence, (time, expected)) in &points {
        for at in [RestoreAt::Sequence(*sequence), RestoreAt::Time(*time)] {
            let found = restored(&cloud, at).await;
            if *time + 30 * DAY >= now {
                let (found, report) = found.unwrap();
                assert_eq!(report.sequence, *sequence, "{at:?}");
                assert_eq!(found, *expected, "{at:?}");
            } else if let Ok((found, _)) = found {
                assert_eq!(found, *expected, "older ones may be there, but never others: {at:?}");
            } else {
                gone += 1;
            }
        }
    }
    assert!(gone > 2 * 25, "of 50 days that were too old only {gone} / 2 went");
    let heads = cloud.names("/h/").await.len();
    assert!(heads <= 16, "{heads} heads are left");
    assert!(!session.verify(true).await.unwrap().is_damaged());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_devices_chain_stays_as_it_was() {
    let cloud = Watched::new();
    let lost = Device::new(&cloud, 1_000_000_000);
    let session = lost.create().await;
    write(&session, "s", 0..5000, 1).await;
    // A hundredth of it changes each day.
    for day in 1..=60 {
        lost.clock.set(Timestamp(1_000_000_000 + day * DAY));
        write(&session, "s", day * 50..day * 50 + 50, day).await;
        session.post_backup().await.unwrap();
    }
    let left = session.list_backups().await.unwrap().chains.remove(0);
    let (value_bytes, writer) = (5000 * 300, session.status().unwrap().writer);
    println!(
        "a wallet of {value_bytes} bytes, of which a hundredth changes each day, leaves {} bytes in \
         {} objects: {} dumps, {} bytes of segments",
        left.bytes,
        left.objects,
        left.dumps.len(),
        left.segment_bytes
    );
    session.lock().await.unwrap();
    let mut objects = Vec::new();
    // The fencing head belongs to whoever writes now.
    let names = cloud.names("").await;
    for name in names.into_iter().filter(|name| !name.as_str().ends_with("/f")) {
        let bytes = cloud::CloudBackend::get(&cloud.inner, &name).await.unwrap().unwrap().0;
        objects.push((name, bytes));
    }
    let new = Device::new(&cloud, 1_000_000_000 + 61 * DAY);
    new.wallet.restore(&crate::common::root(), |_| ()).await.unwrap();
    let session = new.wallet.unlock(&crate::common::root()).await.unwrap();
    session.take_over().await.unwrap();
    let mut points = BTreeMap::new();
    live(&new, &session, 62..140, &mut points).await;
    session.poll_backups().await.unwrap();
    assert!(cloud.deletes.load(Ordering::SeqCst) > 30, "its own old objects go");
    for (name, bytes) in objects {
        let now = cloud::CloudBackend::get(&cloud.inner, &name).await.unwrap();
        assert!(now.is_some_and(|(now, _)| now == bytes), "{name}");
    }
    let listed = session.list_backups().await.unwrap();
    let still = listed.chains.iter().find(|chain| chain.writer == writer).unwrap();
    assert_eq!((still.bytes, still.objects), (left.bytes, left.objects));
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_goes_before_its_grace() {
    let cloud = Watched::new();
    let device = Device::with(&cloud, 1_000_000_000, |settings| {
        settings.keep_restore_points_for = Duration::ZERO;
    });
    let session = device.create().await;
    write(&session, "s", 0..10, 1).await;
    session.post_backup().await.unwrap();
    let first = cloud.names("/i/").await;
    device.clock.advance(1000);
    write(&session, "s", 0..10, 2).await;
    session.dump(DumpKind::Full).await.unwrap();
    let before = cloud.names("sr1").await;
    device.clock.advance(DAY - 1000);
    session.post_backup().await.unwrap();
    // This made a dump that no longer keeps the first one.
    let left = cloud.names("sr1").await;
    let is_left = |name: &&ObjectName| left.contains(name) || name.as_str().contains("/h/");
    assert!(before.iter().all(|name| is_left(&name)), "a restore may still read the old dump");
    let has_first = async || cloud.names("/i/").await.iter().any(|name| first.contains(name));
    device.clock.advance(DAY - 1);
    session.post_backup().await.unwrap();
    assert!(has_first().await);
    device.clock.advance(1);
    session.post_backup().await.unwrap();
    assert!(!has_first().await);
    assert_eq!(cloud.names("/s/").await.len(), 0);
    assert_eq!(restored(&cloud, RestoreAt::Newest).await.unwrap().0, contents(&session));
}

#[tokio::test(flavor = "multi_thread")]
async fn deleting_harms_nothing_wherever_it_is_interrupted() {
    let mut interrupted = 0;
    for stop in 0.. {
        let cloud = Watched::new();
        let device = Device::with(&cloud, 1_000_000_000, |settings| {
            settings.keep_restore_points_for = Duration::from_secs(60);
        });
        let session = device.create().await;
        let mut points = BTreeMap::new();
        live(&device, &session, 0..4, &mut points).await;
        let old = cloud.names("/d/").await;
        session.dump(DumpKind::Full).await.unwrap();
        // The next one no longer keeps those of the days before.
        device.clock.advance(DAY / 24);
        session.dump(DumpKind::Full).await.unwrap();
        device.clock.advance(2 * DAY);
        let calls = Arc::new(AtomicU64::new(0));
        let counted = calls.clone();
        cloud.rule(move |call| match call {
            Call::Delete(_) if counted.fetch_add(1, Ordering::SeqCst) >= stop => Answer::Fails,
            _ => Answer::AsIs,
        });
        let outcome = session.post_backup().await;
        assert_eq!(outcome.is_err(), calls.load(Ordering::SeqCst) > stop);
        let was_interrupted = outcome.is_err();
        // The device dies here; another one restores, and the same one goes on.
        session.lock().await.unwrap();
        cloud.honest();
        let session = device.wallet.unlock(&root()).await.unwrap();
        assert_eq!(restored(&cloud, RestoreAt::Newest).await.unwrap().0, contents(&session));
        assert!(!session.verify(true).await.unwrap().is_damaged(), "stopped after {stop}");
        session.post_backup().await.unwrap();
        let left = cloud.names("/d/").await;
        assert!(!left.iter().any(|name| old.contains(name)), "the next sweep ends what was begun");
        assert_eq!(restored(&cloud, RestoreAt::Newest).await.unwrap().0, contents(&session));
        if !was_interrupted {
            break;
        }
        interrupted += 1;
    }
    assert!(interrupted > 5, "only {interrupted} deletes");
}

#[tokio::test(start_paused = true)]
async fn nothing_is_deleted_in_any_cloud_while_one_of_them_is_away() {
    let clouds = [Watched::new(), Watched::new()];
    let device = Device::with_clouds(&[&clouds[0], &clouds[1]], 1_000_000_000, |settings| {
        settings.keep_restore_points_for = Duration::from_secs(60);
        settings.acknowledged_by = Some(1);
    });
    let session = device.create().await;
    write(&session, "s", 0..10, 1).await;
    session.post_backup().await.unwrap();
    device.clock.advance(DAY / 24);
    session.dump(DumpKind::Full).await.unwrap();
    device.clock.advance(DAY / 24);
    session.dump(DumpKind::Full).await.unwrap();
    device.clock.advance(2 * DAY);
    // Whether it fails, or takes everything and does not say what its fencing head is.
    let rules: [fn(&Call<'_>) -> bool; 2] =
        [|_| true, |call| matches!(call, Call::Get(name) if name.as_str().ends_with("/f"))];
    for rule in rules {
        clouds[1].rule(move |call| if rule(call) { Answer::Fails } else { Answer::AsIs });
        write(&session, "s", 0..10, 2).await;
        session.post_backup().await.unwrap();
        let deletes = |cloud: &Watched| cloud.deletes.load(Ordering::SeqCst);
        assert_eq!((deletes(&clouds[0]), deletes(&clouds[1])), (0, 0));
        assert_eq!(restored(&clouds[0], RestoreAt::Newest).await.unwrap().0, contents(&session));
    }
    clouds[1].honest();
    for _ in 0..3 {
        write(&session, "s", 0..10, 3).await;
        session.post_backup().await.unwrap();
        // What is not waited for goes on by itself.
        tokio::time::sleep(Duration::from_secs(5)).await;
    }
    for cloud in &clouds {
        assert!(cloud.deletes.load(Ordering::SeqCst) > 0, "it goes once all are there again");
        assert_eq!(restored(cloud, RestoreAt::Newest).await.unwrap().0, contents(&session));
    }
    assert!(!session.verify(true).await.unwrap().is_damaged());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_an_interrupted_backup_left_goes_and_what_others_reach_stays() {
    let cloud = Watched::new();
    let first = Device::with(&cloud, 1_000_000_000, |settings| {
        settings.keep_restore_points_for = Duration::from_secs(60);
    });
    let session = first.create().await;
    write(&session, "s", 0..50, 1).await;
    session.post_backup().await.unwrap();
    // Another device of the same wallet, with a chain of its own.
    let second = Device::new(&cloud, 1_000_000_000);
    second.wallet.restore(&root(), |_| ()).await.unwrap();
    let other = second.wallet.unlock(&root()).await.unwrap();
    let account = "eip155:1:0x0000000000000000000000000000000000000009".parse().unwrap();
    other.add_account(account, None).await.unwrap();
    other.post_backup().await.unwrap();
    let writer = other.status().unwrap().writer;
    let theirs = cloud.names(&format!("/{writer}/")).await;
    assert!(theirs.len() >= 3);
    // A segment and parts of a dump that no head will ever reach.
    cloud.rule(|call| match call {
        Call::Put(name) if name.as_str().contains("/h/") => Answer::Fails,
        _ => Answer::AsIs,
    });
    write(&session, "s", 0..5, 2).await;
    session.post_backup().await.unwrap_err();
    // The program ends: else the very same segment would go up again and be reached.
    session.lock().await.unwrap();
    let session = first.wallet.unlock(&root()).await.unwrap();
    cloud.rule(|call| match call {
        Call::Put(name) if name.as_str().contains("/i/") => Answer::Fails,
        _ => Answer::AsIs,
    });
    session.dump(DumpKind::Full).await.unwrap_err();
    cloud.honest();
    session.post_backup().await.unwrap();
    let before = cloud.names("/d/").await.len() + cloud.names("/s/").await.len();
    let notices = session.verify(true).await.unwrap();
    assert!(!notices.clouds[0].report.findings.is_empty(), "garbage is told of");
    for _ in 0..2 {
        first.clock.advance(120_000);
        session.dump(DumpKind::Full).await.unwrap();
    }
    first.clock.advance(2 * DAY);
    write(&session, "s", 0..5, 3).await;
    session.post_backup().await.unwrap();
    assert!(cloud.names("/d/").await.len() + cloud.names("/s/").await.len() < before);
    let after = session.verify(true).await.unwrap();
    assert!(after.clouds[0].report.findings.is_empty(), "{:?}", after.clouds[0].report.findings);
    assert_eq!(cloud.names(&format!("/{writer}/")).await, theirs, "not one of the other's went");
    session.poll_backups().await.unwrap();
    assert_eq!(restored(&cloud, RestoreAt::Newest).await.unwrap().0, contents(&session));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_old_copy_of_a_device_deletes_nothing() {
    let cloud = Watched::new();
    let device = Device::with(&cloud, 1_000_000_000, |settings| {
        settings.keep_restore_points_for = Duration::ZERO;
    });
    let session = device.create().await;
    write(&session, "s", 0..10, 1).await;
    session.post_backup().await.unwrap();
    device.clock.advance(1000);
    session.dump(DumpKind::Full).await.unwrap();
    session.lock().await.unwrap();
    // The same installation twice, as after copying its folder.
    let copy = Device::with(&cloud, 1_000_000_000, |settings| {
        settings.keep_restore_points_for = Duration::ZERO;
    });
    copy_store(&device, &copy);
    let session = device.wallet.unlock(&root()).await.unwrap();
    write(&session, "s", 0..10, 2).await;
    session.post_backup().await.unwrap();
    let newest = contents(&session);
    let before = cloud.names("sr1").await.len();
    let old = copy.wallet.unlock(&root()).await.unwrap();
    copy.clock.advance(3 * DAY);
    // Whatever it says, it may not delete: what it does not know of may need it.
    let _ = old.post_backup().await;
    assert_eq!(cloud.deletes.load(Ordering::SeqCst), 0);
    assert!(cloud.names("sr1").await.len() >= before);
    assert_eq!(restored(&cloud, RestoreAt::Newest).await.unwrap().0, newest);
}

fn copy_store(from: &Device, to: &Device) {
    use wallet_persistence::{Batch, KvStore};
    let (from, to) = (
        kv_mem::MemStore::open(from.medium.clone()).unwrap(),
        kv_mem::MemStore::open(to.medium.clone()).unwrap(),
    );
    for ns in from.namespaces().unwrap() {
        for key in from.list(&ns, None, usize::MAX).unwrap() {
            let value = from.read(&ns, &key).unwrap().unwrap();
            to.submit(Batch::new().put(&ns, &key, value.to_vec())).wait().unwrap();
        }
    }
}

/// A store that knows whether a crash would take anything back.
#[derive(Debug)]
struct Noting {
    inner: MemStore,
    is_durable: Arc<AtomicBool>,
}

impl KvStore for Noting {
    fn read(&self, ns: &Namespace, key: &Key) -> Result<Option<Value>> {
        self.inner.read(ns, key)
    }

    fn list(&self, ns: &Namespace, after: Option<&Key>, limit: usize) -> Result<Vec<Key>> {
        self.inner.list(ns, after, limit)
    }

    fn namespaces(&self) -> Result<Vec<Namespace>> {
        self.inner.namespaces()
    }

    fn submit(&self, batch: Batch) -> Commit {
        self.is_durable.store(batch.durability() != Durability::Lazy, Ordering::SeqCst);
        self.inner.submit(batch)
    }

    fn capabilities(&self) -> Capabilities<'_> {
        self.inner.capabilities()
    }

    fn close(&self) -> Result<()> {
        self.inner.close()
    }
}

/// What clouds acknowledged is noted lazily, so a crash may bring back a state that builds on an older
/// dump: only once that is durable may anything it names be deleted.
#[tokio::test(start_paused = true)]
async fn nothing_is_deleted_before_it_is_durable_that_nothing_builds_on_it() {
    let (medium, cloud) = (Medium::default(), Watched::new());
    let clock = Arc::new(ManualClock::at(Timestamp(1_000_000_000)));
    let is_durable = Arc::new(AtomicBool::new(true));
    let noted = is_durable.clone();
    let open = move || {
        let (inner, is_durable) = (MemStore::open(medium.clone())?, noted.clone());
        Ok(Arc::new(Noting { inner, is_durable }) as Arc<dyn KvStore>)
    };
    let mut settings = Settings::default();
    settings.replicate_every = None;
    settings.keep_restore_points_for = Duration::from_secs(60);
    let builder = WalletPersistence::over(open).clock(clock.clone()).settings(settings);
    let wallet = builder.cloud(cloud.clone()).build();
    let session = wallet.create(&root()).await.unwrap();
    write(&session, "s", 0..10, 1).await;
    session.post_backup().await.unwrap();
    for _ in 0..2 {
        clock.advance(DAY / 24);
        session.dump(DumpKind::Full).await.unwrap();
    }
    let durable = Arc::new(Mutex::new(Vec::new()));
    let seen = durable.clone();
    cloud.rule(move |call| {
        // Replaced heads go for another reason: nothing is built on them.
        if let Call::Delete(name) = call
            && !name.as_str().contains("/h/")
        {
            seen.lock().unwrap().push(is_durable.load(Ordering::SeqCst));
        }
        Answer::AsIs
    });
    clock.advance(2 * DAY);
    session.post_backup().await.unwrap();
    session.post_backup().await.unwrap();
    let durable = durable.lock().unwrap().clone();
    assert!(!durable.is_empty(), "nothing was deleted, so nothing was tested");
    assert!(durable.iter().all(|durable| *durable), "{durable:?}");
    session.lock().await.unwrap();
}
