//! More is known to exist than the clouds give: nothing is restored unless that is accepted.

use cloud::testing::Lie;
use kv_core::{Key, KvStoreExt, Namespace};
use wallet_persistence::{
    Error, NewerState, Reaction, RestoreAt, RestoreReport, Session, UnlockError, WalletPersistence,
};

use crate::bed::{Bed, is_damage, root, set};

/// An entry with a single writer, as the channels of a Lightning node are.
async fn put(session: &Session, value: &str) -> u64 {
    let (ns, key) = (Namespace::new("channels", "").unwrap(), Key::new("one").unwrap());
    session.kv().unwrap().write(&ns, &key, value).unwrap();
    session.post_backup().await.unwrap().sequence
}

fn got(session: &Session) -> String {
    let (ns, key) = (Namespace::new("channels", "").unwrap(), Key::new("one").unwrap());
    let value = session.kv().unwrap().read_required(&ns, &key).unwrap();
    String::from_utf8(value.to_vec()).unwrap()
}

fn refused(outcome: Result<RestoreReport, UnlockError>) -> Vec<NewerState> {
    let error = outcome.unwrap_err();
    assert_eq!(error.reaction(), Reaction::AcceptStale, "{error:?}");
    let UnlockError::Other(Error::Stale { newer, .. }) = error else { panic!("{error:?}") };
    newer
}

async fn accepted(wallet: &WalletPersistence, at: RestoreAt) -> (Session, RestoreReport) {
    let report = wallet.restore_stale_at(&root(), at, |_| ()).await.unwrap();
    (wallet.unlock(&root()).await.unwrap(), report)
}

#[tokio::test]
async fn a_tail_that_only_another_devices_head_speaks_of_is_missed() {
    let bed = Bed::new();
    let first = bed.old(&[0]).await;
    let between = bed.malice[0].now();
    set(&first, "new").await;
    let newest = first.post_backup().await.unwrap().sequence;
    // The second device has seen it, and says so where the first one's backups do not go.
    let wallet = bed.device(&[0, 1]);
    wallet.restore(&root(), |_| ()).await.unwrap();
    let second = wallet.unlock(&root()).await.unwrap();
    second.poll_backups().await.unwrap();
    second.post_backup().await.unwrap();
    bed.device(&[0, 1]).restore(&root(), |_| ()).await.unwrap();

    bed.malice[0].lie(Lie::Withhold { after: between });
    let writer = first.status().unwrap().writer;
    let wallet = bed.device(&[0, 1]);
    let newer = refused(wallet.restore(&root(), |_| ()).await);
    assert_eq!(newer.len(), 1, "{newer:?}");
    assert_eq!((&newer[0].writer, newer[0].known), (&writer, newest));
    assert!(newer[0].restored.unwrap() < newest);
    // It says which, and the wallet is not there.
    assert!(matches!(wallet.unlock(&root()).await, Err(UnlockError::Empty)));
    let (_, report) = accepted(&wallet, RestoreAt::Newest).await;
    assert_eq!(report.newer, newer);
}

#[tokio::test]
async fn what_the_fence_acknowledges_and_no_cloud_gives_is_missed() {
    let bed = Bed::new();
    let session = bed.device(&[0]).create(&root()).await.unwrap();
    put(&session, "old").await;
    let newest = put(&session, "new").await;
    session.lock().await.unwrap();
    // Only the newest head is hidden: the fence still names it.
    let head = bed.objects("h").pop().unwrap();
    bed.malice[0].lie(Lie::RollBackObject { name: head, to: 0 });
    let wallet = bed.device(&[0]);
    let newer = refused(wallet.restore(&root(), |_| ()).await);
    assert_eq!(newer.iter().map(|newer| newer.known).collect::<Vec<_>>(), [newest]);
    let text = refused_text(&bed).await;
    assert!(text.contains(&format!("change {newest} of device")), "{text}");

    // To look at it; it can never go on from there.
    let (old, report) = accepted(&wallet, RestoreAt::Newest).await;
    assert_eq!((got(&old).as_str(), report.newer), ("old", newer));
    let taken = old.take_over().await;
    assert!(matches!(taken, Err(Error::BehindTheFence { sequence, .. }) if sequence == newest));
}

async fn put_unacknowledged(session: &Session, value: &str) {
    put(session, value).await;
    assert_eq!(session.status().unwrap().single_writer, "fenced");
}

async fn refused_text(bed: &Bed) -> String {
    let UnlockError::Other(error) = bed.device(&[0]).restore(&root(), |_| ()).await.unwrap_err()
    else {
        return String::new();
    };
    error.to_string()
}

#[tokio::test]
async fn an_older_moment_has_to_be_accepted_where_data_has_a_single_writer() {
    let bed = Bed::new();
    let session = bed.device(&[0]).create(&root()).await.unwrap();
    set(&session, "Ada").await;
    let first = session.post_backup().await.unwrap().sequence;
    bed.clock.advance(60_000);
    set(&session, "Eve").await;
    session.post_backup().await.unwrap();
    // What merges is merged again later, so an older moment does no harm.
    let report = bed.device(&[0]).restore_at(&root(), RestoreAt::Sequence(first), |_| ()).await;
    assert_eq!(report.unwrap().newer, []);

    let old = put(&session, "old").await;
    bed.clock.advance(60_000);
    let newest = put(&session, "new").await;
    for at in [RestoreAt::Sequence(old), RestoreAt::Sequence(first)] {
        let newer = refused(bed.device(&[0]).restore_at(&root(), at, |_| ()).await);
        assert_eq!((newer[0].known, newer[0].restored < Some(newest)), (newest, true));
    }
    let wallet = bed.device(&[0]);
    let (older, report) = accepted(&wallet, RestoreAt::Sequence(old)).await;
    assert_eq!((got(&older).as_str(), report.newer.len()), ("old", 1));
    assert!(matches!(older.take_over().await, Err(Error::BehindTheFence { .. })));

    // A wish that the newest moment fulfils is none for an older one.
    for at in [RestoreAt::Newest, RestoreAt::Sequence(newest), RestoreAt::Time(u64::MAX)] {
        let report = bed.device(&[0]).restore_at(&root(), at, |_| ()).await.unwrap();
        assert_eq!((report.sequence, report.newer), (newest, vec![]));
    }
}

/// A device that was stopped has put newer heads; they do not count, so nothing is missed.
#[tokio::test]
async fn what_a_stopped_device_still_puts_is_not_missed() {
    let bed = Bed::new();
    let old = bed.device(&[0]).create(&root()).await.unwrap();
    put(&old, "old").await;
    let wallet = bed.device(&[0]);
    wallet.restore(&root(), |_| ()).await.unwrap();
    let new = wallet.unlock(&root()).await.unwrap();
    new.take_over().await.unwrap();
    put_unacknowledged(&old, "late").await;
    let report = bed.device(&[0]).restore(&root(), |_| ()).await.unwrap();
    assert_eq!(report.newer, [], "the new one has put nothing yet");
    put(&new, "new").await;
    let wallet = bed.device(&[0]);
    let report = wallet.restore(&root(), |_| ()).await.unwrap();
    assert_eq!(report.newer, []);
    assert_eq!(got(&wallet.unlock(&root()).await.unwrap()), "new");
}

/// With one cloud there is no other to ask: without being told it restores nothing, with it what is whole.
#[tokio::test]
async fn a_damaged_newest_head_is_passed_over_only_if_told_to() {
    let bed = Bed::new();
    let session = bed.device(&[0]).create(&root()).await.unwrap();
    put(&session, "old").await;
    bed.clock.advance(60_000);
    let newest = put(&session, "new").await;
    session.lock().await.unwrap();
    let head = bed.objects("h").pop().unwrap();
    for lie in [
        Lie::FlipBit { name: head.clone() },
        Lie::Cut { name: head.clone(), to: 0 },
        Lie::RollBackObject { name: head.clone(), to: 0 },
    ] {
        let is_listed = !matches!(lie, Lie::RollBackObject { .. });
        bed.malice[0].be_honest();
        bed.malice[0].lie(lie.clone());
        let refused = bed.device(&[0]).restore(&root(), |_| ()).await.unwrap_err();
        assert!(is_damage(&refused) || !is_listed, "{lie:?}: {refused:?}");
        let wallet = bed.device(&[0]);
        let (old, report) = accepted(&wallet, RestoreAt::Newest).await;
        assert_eq!(got(&old), "old", "{lie:?}");
        assert_eq!(report.passed_over.contains(&head.to_string()), is_listed, "{report:?}");
        assert!(report.newer.iter().any(|newer| newer.known == newest), "{report:?}");
    }
}

/// Nor is a damaged fencing head in the way of whoever wants to look at what is left.
#[tokio::test]
async fn a_damaged_fencing_head_is_passed_over_only_if_told_to() {
    let bed = Bed::new();
    let session = bed.device(&[0]).create(&root()).await.unwrap();
    put(&session, "newest").await;
    session.lock().await.unwrap();
    let names = bed.malice[0].names();
    let fence = names.into_iter().find(|name| name.as_str().ends_with("/f")).unwrap();
    bed.malice[0].lie(Lie::FlipBit { name: fence.clone() });
    bed.device(&[0]).restore(&root(), |_| ()).await.unwrap_err();
    let wallet = bed.device(&[0]);
    let (session, report) = accepted(&wallet, RestoreAt::Newest).await;
    assert_eq!(got(&session), "newest");
    assert_eq!(report.passed_over, [fence.to_string()]);
}

/// The segment that the newest head names is damaged, and there is no other cloud.
#[tokio::test]
async fn a_damaged_newest_segment_is_passed_over_only_if_told_to() {
    let bed = Bed::new();
    let session = bed.device(&[0]).create(&root()).await.unwrap();
    put(&session, "old").await;
    bed.clock.advance(60_000);
    let newest = put(&session, "new").await;
    session.lock().await.unwrap();
    bed.malice[0].lie(Lie::FlipBit { name: bed.objects("s").pop().unwrap() });
    let refused = bed.device(&[0]).restore(&root(), |_| ()).await.unwrap_err();
    assert!(is_damage(&refused), "{refused:?}");
    let wallet = bed.device(&[0]);
    let (old, report) = accepted(&wallet, RestoreAt::Newest).await;
    assert_eq!(got(&old), "old");
    assert!(report.newer.iter().any(|newer| newer.known == newest), "{report:?}");
}

#[tokio::test]
async fn a_restore_says_which_cloud_did_not_answer() {
    let bed = Bed::new();
    bed.old_and_new(&[0, 1]).await;
    bed.malice[1].lie(Lie::EmptyListings);
    let report = bed.device(&[0, 1]).restore(&root(), |_| ()).await.unwrap();
    assert_eq!(report.unreachable, [""; 0]);
    bed.malice[1].be_honest();
    bed.malice[1].lie(Lie::ReverseListings);
    let report = bed.device(&[0, 1]).restore(&root(), |_| ()).await.unwrap();
    assert_eq!((report.clouds, report.unreachable.len()), (1, 1), "{report:?}");
}
