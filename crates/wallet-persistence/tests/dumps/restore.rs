//! Restoring: at any point, in any order of troubles.

use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use backup::{Class, DumpPart, ObjectHash, ObjectRef, ObjectSealer};
use cloud::CloudBackend;
use kv_core::testing::{Fault, FaultyStore, Landing};
use kv_mem::{Medium, MemStore};
use vault::Keys;
use wallet_persistence::{
    DumpKind, Error, KvStore, KvStoreExt, RestoreAt, RestoreProgress, Settings, UnlockError,
    WalletPersistence,
};

use crate::common::{Answer, Call, Device, Watched, contents, key, ns, restored, root, write};

#[tokio::test(flavor = "multi_thread")]
async fn a_restore_at_a_time_or_a_sequence_says_which_point_it_is() {
    let cloud = Watched::new();
    let device = Device::new(&cloud, 1_000_000);
    let session = device.create().await;
    let mut points = Vec::new();
    for i in 0..12u64 {
        device.clock.advance(10_000);
        for n in 0..=i % 3 {
            session.kv().unwrap().write(&ns("s"), &key(n), format!("{i}")).unwrap();
        }
        session.post_backup().await.unwrap();
        match i {
            4 => drop(session.dump(DumpKind::Delta).await.unwrap()),
            7 => drop(session.dump(DumpKind::Full).await.unwrap()),
            9 => drop(session.dump(DumpKind::Delta).await.unwrap()),
            _ => {}
        }
        let time = kv_core::Clock::now(&*device.clock).0;
        points.push((session.status().unwrap().sequence, time, contents(&session)));
    }
    for (i, (sequence, time, expected)) in points.iter().enumerate() {
        let next = points.get(i + 1);
        for at in [
            RestoreAt::Sequence(*sequence),
            RestoreAt::Sequence(next.map_or(u64::MAX, |next| next.0 - 1)),
            RestoreAt::Time(*time + 1),
            RestoreAt::Time(next.map_or(u64::MAX, |next| next.1 - 1)),
        ] {
            let (found, report) = restored(&cloud, at).await.unwrap();
            assert_eq!(found, *expected, "{at:?}");
            assert_eq!((report.sequence, report.at), (*sequence, at));
            assert!(report.time.abs_diff(*time) < 10_000 && report.age_ms > 0);
            assert_eq!((report.clouds, report.clouds_agreeing, report.heads.len()), (1, 1, 1));
        }
    }
    let early = restored(&cloud, RestoreAt::Time(5)).await;
    let Err(UnlockError::Other(Error::Backup(backup::Error::NoRestorePoint { .. }))) = early else {
        panic!("{early:?}");
    };
}

#[tokio::test(flavor = "multi_thread")]
async fn a_time_before_a_restore_is_in_the_chain_of_the_lost_device() {
    let cloud = Watched::new();
    let lost = Device::new(&cloud, 1_000_000);
    let session = lost.create().await;
    write(&session, "s", 0..3, 1).await;
    session.post_backup().await.unwrap();
    let before = contents(&session);
    let writer = session.status().unwrap().writer;
    session.lock().await.unwrap();
    let new = Device::new(&cloud, 9_000_000);
    new.wallet.restore(&root(), |_| ()).await.unwrap();
    let session = new.wallet.unlock(&root()).await.unwrap();
    session.set_profile(wallet_persistence::ProfileField::GivenName, "Ada").await.unwrap();
    session.post_backup().await.unwrap();
    let (found, report) = restored(&cloud, RestoreAt::Time(2_000_000)).await.unwrap();
    assert_eq!((found, report.writer), (before, writer));
    assert_eq!(report.heads.len(), 2);
}

fn wallet(folder: &Path, cloud: &Arc<Watched>) -> WalletPersistence {
    let mut settings = Settings::default();
    settings.replicate_every = None;
    settings.fetch_at_once = 2;
    WalletPersistence::builder(folder).cloud(cloud.clone()).settings(settings).build()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restore_tells_bytes_and_the_time_left() {
    let cloud = Watched::new();
    let device = Device::new(&cloud, 1_000_000);
    let session = device.create().await;
    write(&session, "bulk", 0..60_000, 1).await;
    session.post_backup().await.unwrap();
    write(&session, "bulk", 5..20, 2).await;
    let report = session.post_backup().await.unwrap();
    assert!(report.bytes > 0);
    let new = Device::with(&cloud, 2_000_000, |settings| settings.fetch_at_once = 1);
    let (clock, mut told) = (new.clock.clone(), Vec::new());
    let report = new
        .wallet
        .restore(&root(), |now| {
            // The next object takes as many milliseconds as this one has bytes.
            let before = told.last().map_or(0, |last: &RestoreProgress| last.bytes_done);
            clock.advance(now.bytes_done - before);
            told.push(now);
        })
        .await
        .unwrap();
    assert!(told.is_sorted_by_key(|now| now.bytes_done) && told.len() > 5, "{told:?}");
    let last = *told.last().unwrap();
    assert_eq!((last.bytes_done, last.bytes_total), (report.bytes, report.bytes));
    assert_eq!(last.left_ms, Some(0));
    assert_eq!(told[0].left_ms, None, "no time has passed");
    // The total is known once the dump's index is, and one millisecond a byte is the pace since the
    // object before.
    for two in told.windows(2).skip(2) {
        assert_eq!(two[1].bytes_total, report.bytes, "{told:?}");
        let elapsed = u128::from(two[0].bytes_done);
        let left = u128::from(report.bytes - two[1].bytes_done) * elapsed;
        let left = left / u128::from(two[1].bytes_done);
        assert_eq!(two[1].left_ms.map(u128::from), Some(left));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_interrupted_restore_goes_on_where_it_was() {
    let cloud = Watched::new();
    let device = Device::new(&cloud, 1_000_000);
    let session = device.create().await;
    // Five parts or more.
    write(&session, "bulk", 0..60_000, 1).await;
    session.post_backup().await.unwrap();
    write(&session, "bulk", 5..20, 2).await;
    session.post_backup().await.unwrap();
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("wallet");
    let gets = Arc::new(AtomicU64::new(0));
    let counted = gets.clone();
    cloud.rule(move |call| match call {
        Call::Get(name) if name.as_str().contains("/d/") => {
            if counted.fetch_add(1, Ordering::SeqCst) < 3 { Answer::AsIs } else { Answer::Fails }
        }
        _ => Answer::AsIs,
    });
    wallet(&folder, &cloud).restore(&root(), |_| ()).await.unwrap_err();
    assert!(!folder.exists(), "half a wallet");
    assert!(matches!(wallet(&folder, &cloud).unlock(&root()).await, Err(UnlockError::Empty)));
    cloud.honest();
    // Meanwhile the device goes on: keys change, come and go, over the same dump.
    write(&session, "bulk", 100..110, 3).await;
    for n in 0..50 {
        session.kv().unwrap().remove(&ns("bulk"), &key(n)).unwrap();
    }
    session.post_backup().await.unwrap();
    let before = cloud.gets.load(Ordering::SeqCst);
    let mut last = RestoreProgress::default();
    let report = wallet(&folder, &cloud).restore(&root(), |now| last = now).await.unwrap();
    assert_eq!((last.bytes_done, last.bytes_total), (report.bytes, report.bytes));
    let parts = cloud.names("/d/").await.len() as u64;
    let fetched = cloud.gets.load(Ordering::SeqCst) - before;
    assert!(parts >= 5 && fetched <= parts + 4, "{fetched} objects for {parts} parts");
    assert!(report.changes < 60_000);
    let restored = wallet(&folder, &cloud).unlock(&root()).await.unwrap();
    assert!(contents(&restored) == contents(&session));
    let left: Vec<_> = std::fs::read_dir(dir.path()).unwrap().flatten().collect();
    assert_eq!(left.len(), 1, "nothing is left beside it: {left:?}");
}

/// What the newer point has, and the older one has not, would stay.
#[tokio::test(flavor = "multi_thread")]
async fn an_interrupted_restore_leaves_nothing_in_one_of_an_earlier_moment() {
    let cloud = Watched::new();
    let device = Device::new(&cloud, 1_000_000);
    let session = device.create().await;
    write(&session, "bulk", 0..60_000, 1).await;
    session.post_backup().await.unwrap();
    write(&session, "bulk", 5..20, 2).await;
    session.post_backup().await.unwrap();
    let (earlier, then) = (session.status().unwrap().sequence, contents(&session));
    write(&session, "bulk", 10..30, 3).await;
    write(&session, "bulk", 60_000..60_010, 3).await;
    for n in 40..50 {
        session.kv().unwrap().remove(&ns("bulk"), &key(n)).unwrap();
    }
    session.post_backup().await.unwrap();
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("wallet");
    let gets = AtomicU64::new(0);
    cloud.rule(move |call| match call {
        Call::Get(name) if name.as_str().contains("/d/") => {
            if gets.fetch_add(1, Ordering::SeqCst) < 4 { Answer::AsIs } else { Answer::Fails }
        }
        _ => Answer::AsIs,
    });
    wallet(&folder, &cloud).restore(&root(), |_| ()).await.unwrap_err();
    cloud.honest();
    let at = wallet_persistence::RestoreAt::Sequence(earlier);
    wallet(&folder, &cloud).restore_stale_at(&root(), at, |_| ()).await.unwrap();
    let restored = wallet(&folder, &cloud).unlock(&root()).await.unwrap();
    assert!(contents(&restored) == then, "two moments are mixed");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_another_dump_left_half_restored_is_begun_again() {
    let cloud = Watched::new();
    let device = Device::new(&cloud, 1_000_000);
    let session = device.create().await;
    write(&session, "bulk", 0..50_000, 1).await;
    session.post_backup().await.unwrap();
    let target = Device::new(&cloud, 1_000_000);
    let gets = AtomicU64::new(0);
    cloud.rule(move |call| match call {
        Call::Get(name) if name.as_str().contains("/d/") => {
            if gets.fetch_add(1, Ordering::SeqCst) < 3 { Answer::AsIs } else { Answer::Fails }
        }
        _ => Answer::AsIs,
    });
    target.wallet.restore(&root(), |_| ()).await.unwrap_err();
    cloud.honest();
    assert!(target.wallet.unlock(&root()).await.is_err(), "half a wallet");
    for n in 0..50_000 {
        drop(
            session
                .kv()
                .unwrap()
                .submit(wallet_persistence::Batch::new().remove(&ns("bulk"), &key(n)).lazy()),
        );
    }
    write(&session, "other", 0..10, 1).await;
    session.dump(DumpKind::Full).await.unwrap();
    target.wallet.restore(&root(), |_| ()).await.unwrap();
    let restored = target.wallet.unlock(&root()).await.unwrap();
    assert_eq!(contents(&restored), contents(&session));
}

#[tokio::test(flavor = "multi_thread")]
async fn small_namespaces_come_before_bulk() {
    let cloud = Watched::new();
    let device = Device::new(&cloud, 1_000_000);
    let session = device.create().await;
    write(&session, "a-bulk", 0..40_000, 1).await;
    write(&session, "monitors", 0..10, 2).await;
    session.kv().unwrap().write(&ns("z-manager"), &key(1), vec![7; 5 << 20]).unwrap();
    session.post_backup().await.unwrap();
    let sealer = ObjectSealer::new(Keys::derive(&root()));
    let mut bulk_from = None;
    for name in cloud.names("/d/").await {
        let object = ObjectRef::parse(&sealer.tag(), &name).unwrap();
        assert_eq!(object.id.class, Class::DumpPart);
        let bytes = cloud.inner.get(&name).await.unwrap().unwrap().0;
        let part: DumpPart = sealer.open(&object, ObjectHash::NONE, &bytes).unwrap();
        let has_bulk = part.entries.iter().any(|entry| entry.name.primary == "a-bulk");
        let has_small = part.entries.iter().any(|entry| entry.name.primary != "a-bulk");
        assert!(!(has_bulk && has_small), "mixed");
        if has_bulk {
            bulk_from.get_or_insert(object.id.part);
        } else {
            assert!(bulk_from.is_none(), "part {} is small and behind bulk", object.id.part);
        }
    }
    assert!(bulk_from.is_some_and(|from| from >= 3));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restore_reads_from_another_cloud_what_one_lacks() {
    let clouds = [Watched::new(), Watched::new()];
    let over_both = || {
        let medium = kv_mem::Medium::default();
        let open = move || {
            let store = kv_mem::MemStore::open(medium.clone())?;
            Ok(Arc::new(store) as Arc<dyn wallet_persistence::KvStore>)
        };
        let mut settings = Settings::default();
        settings.replicate_every = None;
        let builder = WalletPersistence::over(open).settings(settings);
        builder.cloud(clouds[0].clone()).cloud(clouds[1].clone()).build()
    };
    let wallet = over_both();
    let session = wallet.create(&root()).await.unwrap();
    write(&session, "s", 0..30_000, 1).await;
    session.post_backup().await.unwrap();
    write(&session, "s", 0..10, 2).await;
    session.post_backup().await.unwrap();
    // Each cloud loses something else; no head.
    clouds[0].inner.delete(&clouds[0].names("/d/").await[1]).await.unwrap();
    clouds[1].inner.delete(&clouds[1].names("/d/").await[0]).await.unwrap();
    clouds[1].inner.delete(&clouds[1].names("/s/").await[0]).await.unwrap();
    let report = over_both().restore(&root(), |_| ()).await.unwrap();
    assert_eq!((report.clouds, report.clouds_agreeing, report.changes), (2, 2, 30_000));
}

/// An own store in which a restore was cut off is no empty wallet, wherever that was: not while the
/// store is made, nor while what leads elsewhere is cleared away.
#[tokio::test(flavor = "multi_thread")]
async fn a_restore_cut_off_at_any_operation_leaves_no_wallet_that_opens() {
    let cloud = Watched::new();
    let device = Device::new(&cloud, 1_000_000);
    let session = device.create().await;
    write(&session, "s", 0..3, 1).await;
    session.post_backup().await.unwrap();
    let (earlier, then) = (session.status().unwrap().sequence, contents(&session));
    write(&session, "s", 2..5, 2).await;
    session.post_backup().await.unwrap();
    let now = contents(&session);
    for landing in [Landing::Absent, Landing::Landed] {
        for has_begun in [false, true] {
            for nth in 1.. {
                let (medium, fault) = (Medium::default(), Arc::new(Fault::default()));
                let opened = (medium.clone(), fault.clone());
                let open = move || {
                    let store = Arc::new(MemStore::open(opened.0.clone())?);
                    Ok(Arc::new(FaultyStore::new(store, opened.1.clone())) as Arc<dyn KvStore>)
                };
                let mut settings = Settings::default();
                settings.replicate_every = None;
                let wallet = WalletPersistence::over(open).cloud(cloud.clone()).settings(settings);
                let wallet = wallet.build();
                let (at, expected) = match has_begun {
                    false => (RestoreAt::Newest, &now),
                    true => (RestoreAt::Sequence(earlier), &then),
                };
                if has_begun {
                    // Something of the newest state is there, and not all.
                    cloud.rule(|call| match call {
                        Call::Get(name) if name.as_str().contains("/d/") => Answer::Fails,
                        _ => Answer::AsIs,
                    });
                    wallet.restore(&root(), |_| ()).await.unwrap_err();
                    cloud.honest();
                }
                fault.fail_nth(nth, landing);
                let outcome = wallet.restore_stale_at(&root(), at, |_| ()).await;
                let is_over = !fault.fired();
                fault.fail_nth(0, landing);
                let at_which = format!("operation {nth}, {landing:?}, begun {has_begun}");
                match wallet.unlock(&root()).await {
                    Ok(session) => {
                        assert!(contents(&session) == *expected, "half a wallet: {at_which}");
                        session.lock().await.unwrap();
                    }
                    Err(_) => {
                        assert!(outcome.is_err(), "{at_which}");
                        wallet.restore_stale_at(&root(), at, |_| ()).await.unwrap();
                        let session = wallet.unlock(&root()).await.unwrap();
                        assert!(contents(&session) == *expected, "{at_which}");
                        session.lock().await.unwrap();
                    }
                }
                if is_over {
                    assert!(nth > 8, "{nth} operations");
                    break;
                }
            }
        }
    }
}

/// While it was wrong its changes are said to be of that time; before and after it nothing is lost, and a
/// restore says what it cannot know.
#[tokio::test(flavor = "multi_thread")]
async fn a_clock_that_was_far_ahead_hides_no_restore_point_and_is_told() {
    const FAR: u64 = 9_000_000_000_000;
    let cloud = Watched::new();
    let device = Device::new(&cloud, 1_000_000);
    let session = device.create().await;
    let mut held = Vec::new();
    for (salt, time) in [(1, 1_000_000), (2, FAR), (3, 2_000_000)] {
        device.clock.set(wallet_persistence::Timestamp(time));
        write(&session, "s", 0..3, salt).await;
        session.post_backup().await.unwrap();
        held.push(contents(&session));
    }
    for (at, expected) in [
        (RestoreAt::Time(1_500_000), &held[0]),
        (RestoreAt::Time(2_500_000), &held[2]),
        (RestoreAt::Time(u64::MAX), &held[2]),
    ] {
        let (found, report) = restored(&cloud, at).await.unwrap();
        assert!(found == *expected, "{at:?}: {report:?}");
        // The newest head comes after all before it, whatever the clock said then.
        let ahead =
            matches!(at, RestoreAt::Time(u64::MAX)).then(|| report.time - 4_000_000_000_000);
        assert_eq!((report.clock_ahead_ms, ahead.is_some()), (ahead, report.age_ms == 0));
    }
}
