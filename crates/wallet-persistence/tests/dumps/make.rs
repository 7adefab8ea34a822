//! Making dumps.

use std::sync::atomic::{AtomicBool, Ordering};

use kv_core::testing::Random;
use wallet_persistence::{Batch, DumpKind, Error, KvStore, KvStoreExt, RestoreAt};

use crate::common::{Answer, Call, Device, Watched, contents, key, ns, restored, write};

#[tokio::test(flavor = "multi_thread")]
async fn a_delta_dump_after_one_percent_puts_at_most_three_percent_of_a_full_one() {
    let cloud = Watched::new();
    let device = Device::new(&cloud, 1_000_000);
    let session = device.create().await;
    write(&session, "bulk", 0..20_000, 1).await;
    session.post_backup().await.unwrap();
    let before = cloud.bytes();
    session.dump(DumpKind::Full).await.unwrap();
    let full = cloud.bytes() - before;
    // Any 1%: spread over all, in several backups.
    for i in 0..4 {
        for n in (i * 25..20_000).step_by(400) {
            session.kv().unwrap().write(&ns("bulk"), &key(n), vec![i as u8; 300]).unwrap();
        }
        session.post_backup().await.unwrap();
    }
    let before = cloud.bytes();
    let report = session.dump(DumpKind::Delta).await.unwrap();
    let delta = cloud.bytes() - before;
    assert_eq!((report.kind, report.entries), (DumpKind::Delta, 200));
    assert!(delta * 100 <= full * 3, "{delta} of {full} bytes");
    assert_eq!(restored(&cloud, RestoreAt::Newest).await.unwrap().0, contents(&session));
}

#[tokio::test(flavor = "multi_thread")]
async fn any_history_of_dumps_and_backups_restores() {
    for seed in 0..6 {
        let mut random = Random::seeded(seed);
        let cloud = Watched::new();
        let device = Device::new(&cloud, 1_000_000);
        let session = device.create().await;
        let kv = session.kv().unwrap();
        for step in 0..60 {
            device.clock.advance(1000 * (1 + random.below(100)));
            match random.below(10) {
                0 => drop(session.dump(DumpKind::Full).await.unwrap()),
                1 | 2 => drop(session.dump(DumpKind::Delta).await.unwrap()),
                3 | 4 => drop(session.post_backup().await.unwrap()),
                _ => {
                    let mut batch = Batch::new();
                    for _ in 0..1 + random.below(4) {
                        let name = ns(["a", "b"][random.below(2) as usize]);
                        let key = key(random.below(12));
                        batch = match random.below(12) {
                            0..4 => batch.remove(&name, &key),
                            // More than one part of a dump.
                            4 if seed == 0 => batch.put(&name, &key, random.bytes(9_000_001)),
                            _ => batch.put(&name, &key, random.bytes(50)),
                        };
                    }
                    kv.submit(batch).await.unwrap();
                    continue;
                }
            }
            let expected = contents(&session);
            session.post_backup().await.unwrap();
            let (found, _) = restored(&cloud, RestoreAt::Newest).await.unwrap();
            assert!(found == expected, "seed {seed}, step {step}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn removals_and_records_travel_in_a_delta() {
    let cloud = Watched::new();
    let device = Device::new(&cloud, 1_000_000);
    let session = device.create().await;
    let account = "eip155:1:0x974CaA59e49682CdA0AD2bbe82983419A2ECC400".parse().unwrap();
    session.add_account(account, Some("a")).await.unwrap();
    let account: wallet_persistence::AccountId =
        "eip155:1:0x1f9840a85d5aF5bf1D1762F925BDADdC4201F984".parse().unwrap();
    session.add_account(account.clone(), None).await.unwrap();
    session.post_backup().await.unwrap();
    session.remove_account(&account).await.unwrap();
    session.post_backup().await.unwrap();
    session.dump(DumpKind::Delta).await.unwrap();
    // A delta on a delta: what the first one held is in the second.
    session.set_profile(wallet_persistence::ProfileField::GivenName, "Ada").await.unwrap();
    session.dump(DumpKind::Delta).await.unwrap();
    let (found, _) = restored(&cloud, RestoreAt::Newest).await.unwrap();
    assert_eq!(found, contents(&session));
    assert!(!session.verify(true).await.unwrap().is_damaged());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dump_that_does_not_read_back_never_counts() {
    for class in ["/d/", "/i/"] {
        for kind in [DumpKind::Full, DumpKind::Delta] {
            let cloud = Watched::new();
            let device = Device::new(&cloud, 1_000_000);
            let session = device.create().await;
            write(&session, "bulk", 0..100, 1).await;
            session.post_backup().await.unwrap();
            write(&session, "bulk", 0..10, 2).await;
            session.post_backup().await.unwrap();
            let heads = cloud.names("/h/").await;
            cloud.rule(move |call| match call {
                Call::Put(name) if name.as_str().contains(class) => Answer::Damages,
                _ => Answer::AsIs,
            });
            let failed = session.dump(kind).await;
            assert!(matches!(failed, Err(Error::Backup(_))), "{failed:?}");
            cloud.honest();
            assert_eq!(cloud.names("/h/").await, heads, "no head names it");
            assert_eq!(restored(&cloud, RestoreAt::Newest).await.unwrap().0, contents(&session));
            // Backups go on, and so does the next dump.
            write(&session, "bulk", 5..15, 3).await;
            session.post_backup().await.unwrap();
            session.dump(kind).await.unwrap();
            assert_eq!(restored(&cloud, RestoreAt::Newest).await.unwrap().0, contents(&session));
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn backups_go_on_while_a_dump_is_made() {
    let cloud = Watched::new();
    let device = Device::new(&cloud, 1_000_000);
    let session = device.create().await;
    write(&session, "bulk", 0..20_000, 1).await;
    session.post_backup().await.unwrap();
    for kind in [DumpKind::Full, DumpKind::Delta] {
        write(&session, "bulk", 0..1000, 7).await;
        let dumping = tokio::spawn({
            let session = session.clone();
            async move { session.dump(kind).await }
        });
        let mut during = 0;
        for i in 0.. {
            session.kv().unwrap().write(&ns("bulk"), &key(i % 20_000), b"new").unwrap();
            session.kv().unwrap().remove(&ns("bulk"), &key(i + 10_000)).unwrap();
            session.post_backup().await.unwrap();
            if dumping.is_finished() {
                break;
            }
            during += 1;
        }
        dumping.await.unwrap().unwrap();
        // A delta may be too fast for that.
        assert!(during > 0 || kind == DumpKind::Delta, "no backup during the dump");
        let (found, _) = restored(&cloud, RestoreAt::Newest).await.unwrap();
        assert!(found == contents(&session), "{kind:?}");
        assert!(!session.verify(true).await.unwrap().is_damaged());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_dump_is_due_when_deltas_exceed_half_of_it() {
    let cloud = Watched::new();
    let device = Device::new(&cloud, 1_000_000);
    let session = device.create().await;
    write(&session, "bulk", 0..10_000, 1).await;
    assert_eq!(session.post_backup().await.unwrap().dumped, Some(10_000));
    let mut entries = Vec::new();
    for i in 0..8 {
        // Each time other keys: after four times more than half of them.
        write(&session, "bulk", i * 1300..(i + 1) * 1300, 10 + i).await;
        entries.extend(session.post_backup().await.unwrap().dumped);
    }
    assert!(entries.iter().any(|n| *n < 10_000), "no delta was due: {entries:?}");
    assert!(entries.iter().any(|n| *n >= 10_000), "no full dump was due: {entries:?}");
    assert_eq!(restored(&cloud, RestoreAt::Newest).await.unwrap().0, contents(&session));
}

/// It is dropped while a segment of before goes up, so what was to follow is in no cut; and again while
/// the dump is made that takes its place.
#[tokio::test(flavor = "multi_thread")]
async fn a_backup_during_which_the_log_is_dropped_holds_all_that_was_there_before_it() {
    let cloud = Watched::new();
    let device = Device::with(&cloud, 1_000_000, |settings| settings.max_lag_records = 20);
    let session = device.create().await;
    write(&session, "s", 0..3, 1).await;
    session.post_backup().await.unwrap();
    write(&session, "s", 0..3, 2).await;
    cloud.rule(|call| if matches!(call, Call::Put(_)) { Answer::Fails } else { Answer::AsIs });
    session.post_backup().await.unwrap_err();
    write(&session, "s", 3..6, 3).await;
    let (kv, done) = (session.kv().unwrap(), [AtomicBool::new(false), AtomicBool::new(false)]);
    cloud.rule(move |call| {
        if let Call::Put(name) = call
            && !done[usize::from(name.as_str().contains("/d/"))].swap(true, Ordering::SeqCst)
        {
            let put = |batch: Batch, n| batch.put(&ns("s"), &key(n), b"dropped".as_slice());
            kv.submit((100..200).fold(Batch::new(), put)).wait().unwrap();
        }
        Answer::AsIs
    });
    session.post_backup().await.unwrap();
    assert!(!session.status().unwrap().dump_needed);
    let (found, _) = restored(&cloud, RestoreAt::Newest).await.unwrap();
    assert!(found == contents(&session), "it has answered that all of it is there");
}
