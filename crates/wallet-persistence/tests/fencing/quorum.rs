//! Several clouds, of which some are away: what counts there of a backup and of a takeover.

use cloud::testing::Lie;
use kv_core::Batch;
use wallet_persistence::{DumpKind, Error, Session, SingleWriter, WalletPersistence};

use crate::bed::{Clouds, account, now, place, read, root, write};

async fn restored(wallet: WalletPersistence) -> Session {
    wallet.restore(&root(), |_| ()).await.unwrap();
    wallet.unlock(&root()).await.unwrap()
}

async fn acknowledged(session: &Session) {
    let report = session.post_backup().await.unwrap();
    assert_eq!(report.single_writer, Some(SingleWriter::Acknowledged));
}

async fn suspended(session: &Session) {
    let report = session.post_backup().await.unwrap();
    assert_eq!(report.single_writer, Some(SingleWriter::Suspended));
}

#[tokio::test(start_paused = true)]
async fn half_a_takeover_and_a_cloud_that_is_away_stop_nobody() {
    let dir = tempfile::tempdir().unwrap();
    let clouds = Clouds::new(3);
    let device = |n: u8| clouds.wallet((&dir.path().join(n.to_string()), n), &[0, 1, 2], 2);
    let old = device(1).create(&root()).await.unwrap();
    write(&old, "one", b"1").unwrap();
    acknowledged(&old).await;
    let new = restored(device(2)).await;
    // It reaches one cloud of the two that it needs.
    clouds.refuse_fences(1, 2, "put");
    clouds.refuse_fences(2, 2, "put");
    let taken = new.take_over().await;
    assert!(
        matches!(taken, Err(Error::TakeoverIncomplete { held: 1, needed: 2, .. })),
        "{taken:?}"
    );

    clouds.is_away(1, false);
    clouds.is_away(2, true);
    let (ns, key) = place("two");
    let mut commit = old.kv_replicated().unwrap().submit(Batch::new().put(&ns, &key, b"2"));
    assert!(old.post_backup().await.is_err(), "one cloud of two is not enough");
    assert!(now(&mut commit).is_none(), "nothing is decided");
    assert_eq!(old.status().unwrap().single_writer, "open");
    clouds.is_away(2, false);
    acknowledged(&old).await;
    assert!(matches!(now(&mut commit), Some(Ok(()))));

    // What was acknowledged is what comes back, and what half a takeover says stands in no way.
    let behind = new.take_over().await;
    assert!(matches!(behind, Err(Error::BehindTheFence { .. })), "{behind:?}");
    let third = restored(device(3)).await;
    assert_eq!(read(&third, "two"), Some(b"2".into()));
    third.take_over().await.unwrap();
    write(&third, "three", b"3").unwrap();
    acknowledged(&third).await;
    // A whole takeover stops.
    write(&old, "late", b"x").unwrap();
    let report = old.post_backup().await.unwrap();
    assert_eq!(report.single_writer, Some(SingleWriter::Stopped));
    for session in [old, new, third] {
        session.lock().await.unwrap();
    }
}

/// Two clouds were needed, now one is: as long as the other one says two, it could be taken over
/// without the first.
#[tokio::test(start_paused = true)]
async fn a_smaller_number_of_clouds_counts_when_as_many_know_it_as_before() {
    let dir = tempfile::tempdir().unwrap();
    for is_taken_over in [true, false] {
        let clouds = Clouds::new(2);
        let folder = |n: u8| dir.path().join(format!("{n} {is_taken_over}"));
        let wallet = |n: u8, needed| clouds.wallet((&folder(n), n), &[0, 1], needed);
        let old = wallet(1, 2).create(&root()).await.unwrap();
        write(&old, "one", b"1").unwrap();
        acknowledged(&old).await;
        old.lock().await.unwrap();
        drop(old);
        let new = restored(wallet(2, 1)).await;
        let old = wallet(1, 1).unlock(&root()).await.unwrap();
        clouds.is_away(1, true);
        let (ns, key) = place("two");
        let mut commit = old.kv_replicated().unwrap().submit(Batch::new().put(&ns, &key, b"2"));
        suspended(&old).await;
        assert!(now(&mut commit).is_none(), "the cloud that is away has not heard of it");
        if is_taken_over {
            // By the cloud that is away for the old one.
            clouds.is_away(1, false);
            clouds.refuse_fences(0, 2, "get");
            new.take_over().await.unwrap();
            clouds.is_away(0, false);
            let report = old.post_backup().await.unwrap();
            assert_eq!(report.single_writer, Some(SingleWriter::Stopped));
            assert!(matches!(now(&mut commit), Some(Err(_))));
        } else {
            clouds.is_away(1, false);
            acknowledged(&old).await;
            assert!(matches!(now(&mut commit), Some(Ok(()))));
            // From now on one is enough, so a takeover needs both.
            clouds.is_away(1, true);
            write(&old, "three", b"3").unwrap();
            acknowledged(&old).await;
            clouds.is_away(1, false);
            clouds.is_away(0, true);
            let taken = new.take_over().await;
            assert!(taken.is_err(), "{taken:?}");
        }
        for session in [old, new] {
            session.lock().await.unwrap();
        }
    }
}

/// After a takeover the numbers of the device that was deposed count until as many clouds know the
/// new ones: else a second takeover would need too few.
#[tokio::test(start_paused = true)]
async fn after_a_takeover_the_old_number_of_clouds_counts_first() {
    let dir = tempfile::tempdir().unwrap();
    let clouds = Clouds::new(3);
    let wallet = |n: u8, k| clouds.wallet((&dir.path().join(n.to_string()), n), &[0, 1, 2], k);
    let old = wallet(1, 3).create(&root()).await.unwrap();
    write(&old, "one", b"1").unwrap();
    acknowledged(&old).await;
    let (second, third) = (restored(wallet(2, 1)).await, restored(wallet(3, 1)).await);
    // Where three are needed, a takeover of one cloud is enough.
    clouds.is_away(1, true);
    clouds.is_away(2, true);
    second.take_over().await.unwrap();
    write(&second, "two", b"2").unwrap();
    // The others may be taken over by a third device.
    suspended(&second).await;
    clouds.is_away(0, true);
    clouds.is_away(1, false);
    third.take_over().await.unwrap();
    write(&third, "three", b"3").unwrap();
    suspended(&third).await;
    for session in [old, second, third] {
        session.lock().await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn a_fence_that_cannot_be_read_is_not_taken_for_none_in_a_restore() {
    let dir = tempfile::tempdir().unwrap();
    let clouds = Clouds::new(2);
    let wallet = |n: u8, of: &[usize]| clouds.wallet((&dir.path().join(n.to_string()), n), of, 1);
    let old = wallet(1, &[0, 1]).create(&root()).await.unwrap();
    write(&old, "one", b"1").unwrap();
    acknowledged(&old).await;
    let new = restored(wallet(2, &[0, 1])).await;
    new.take_over().await.unwrap();
    // The newest head by the clock is that of the device that was deposed.
    write(&old, "one", b"late").unwrap();
    old.post_backup().await.unwrap();

    for cloud in 0..2 {
        clouds.refuse_fences(cloud, 3, "get");
    }
    let third = wallet(3, &[0, 1]);
    assert!(third.restore(&root(), |_| ()).await.is_err(), "no cloud says who writes");
    clouds.is_away(1, false);
    let third = restored(third).await;
    assert_eq!(read(&third, "one"), Some(b"1".into()), "one cloud that says it is enough");
    clouds.is_away(1, true);
    clouds.is_away(0, false);
    assert_eq!(read(&restored(wallet(4, &[0, 1])).await, "one"), Some(b"1".into()));
}

/// A wallet whose data merges has no fence: one of two clouds brings it back.
#[tokio::test(start_paused = true)]
async fn a_cloud_that_is_away_altogether_is_in_no_restores_way() {
    let dir = tempfile::tempdir().unwrap();
    let clouds = Clouds::new(2);
    let wallet = |n: u8| clouds.wallet((&dir.path().join(n.to_string()), n), &[0, 1], 2);
    let old = wallet(1).create(&root()).await.unwrap();
    account(&old, 1).await;
    old.post_backup().await.unwrap();
    clouds.is_away(0, true);
    assert_eq!(restored(wallet(2)).await.accounts().unwrap().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn one_damaged_fencing_head_is_in_no_takeovers_way() {
    let dir = tempfile::tempdir().unwrap();
    let clouds = Clouds::new(3);
    let wallet = |n: u8| clouds.wallet((&dir.path().join(n.to_string()), n), &[0, 1, 2], 2);
    let old = wallet(1).create(&root()).await.unwrap();
    write(&old, "one", b"1").unwrap();
    acknowledged(&old).await;
    let fence = clouds.named(0, "/f").pop().unwrap();
    clouds.malice[0].lie(Lie::FlipBit { name: fence });
    let new = restored(wallet(2)).await;
    let taken = new.take_over().await.unwrap();
    assert_eq!((taken.clouds, taken.needed, taken.missing), (2, 2, vec!["cloud 1".to_owned()]));
    write(&new, "two", b"2").unwrap();
    acknowledged(&new).await;
    new.dump(DumpKind::Full).await.unwrap();
    // Without a quorum of the others it is.
    clouds.is_away(2, true);
    let third = restored(wallet(3)).await;
    let refused = third.take_over().await;
    assert!(matches!(refused, Err(Error::TakeoverIncomplete { held: 0, .. })), "{refused:?}");
}

/// What the fence names is asked for in every cloud that may have it.
#[tokio::test(start_paused = true)]
async fn what_the_fence_names_is_restored_from_the_cloud_that_has_it_whole() {
    let dir = tempfile::tempdir().unwrap();
    let clouds = Clouds::new(2);
    let wallet = |n: u8| clouds.wallet((&dir.path().join(n.to_string()), n), &[0, 1], 2);
    let old = wallet(1).create(&root()).await.unwrap();
    write(&old, "one", b"1").unwrap();
    acknowledged(&old).await;
    let named = clouds.named(0, "/h/").pop().unwrap();
    let new = restored(wallet(2)).await;
    new.take_over().await.unwrap();
    // The newest head is another one.
    account(&old, 1).await;
    old.post_backup().await.unwrap();
    clouds.malice[0].lie(Lie::FlipBit { name: named });
    assert_eq!(read(&restored(wallet(3)).await, "one"), Some(b"1".into()));
}
