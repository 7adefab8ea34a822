//! A cloud that destroys: deletes, forgets what it acknowledged, or overwrites against a condition.

use cloud::{ObjectName, testing::Lie};
use kv_core::{Key, KvStoreExt, Namespace};
use wallet_persistence::{DumpKind, Error, ProfileField, RestoreAt, Session, UnlockError};

use crate::bed::{Bed, is_damage, root, scrubbed, set};

#[tokio::test]
async fn each_deleted_object_is_named_and_the_other_cloud_restores() {
    let names = {
        let bed = Bed::new();
        let _session = bed.old_and_new(&[0, 1]).await;
        bed.malice[0].names().len()
    };
    for number in 0..names {
        let bed = Bed::new();
        let (session, _) = bed.old_and_new(&[0, 1]).await;
        let name = bed.malice[0].names().swap_remove(number);
        bed.handle(0, 0).destroy(&name).await.unwrap();
        let found = scrubbed(&session).await;
        assert!(found.contains(name.as_str()), "{name}");
        // Nobody need fear for what the other one holds.
        let is_of_data = ["/d/", "/i/", "/s/"].iter().any(|class| name.as_str().contains(class));
        assert!(
            !is_of_data || found.contains("another cloud of this wallet has it whole"),
            "{found}"
        );
        match bed.restore(&[0]).await {
            Ok((value, _)) => assert!(value.is_some(), "{name}"),
            Err(error) => {
                assert!(is_damage(&error), "{name}: {error:?}");
            }
        }
        let (value, _) = bed.restore(&[1]).await.unwrap();
        assert_eq!(value.as_deref(), Some("new"));
    }
}

#[tokio::test]
async fn everything_deleted_is_found_and_the_other_cloud_restores() {
    let bed = Bed::new();
    let (session, _) = bed.old_and_new(&[0, 1]).await;
    bed.handle(0, 0).destroy_all().await.unwrap();
    assert!(scrubbed(&session).await.contains("missing"));
    let (value, report) = bed.restore(&[0, 1]).await.unwrap();
    assert_eq!(value.as_deref(), Some("new"));
    assert_eq!((report.clouds, report.clouds_agreeing), (2, 1));
}

/// A device puts its newest head into one cloud only, and is lost; then that cloud destroys what the
/// head names, which is answered.
async fn destroy_the_newest_segment(bed: &Bed, lost: Session) -> ObjectName {
    set(&lost, "replicated").await;
    lost.post_backup().await.unwrap();
    let known = bed.objects("s");
    bed.clock.advance(60_000);
    set(&lost, "in one cloud").await;
    bed.malice[1].lie(Lie::Down);
    let _ = lost.post_backup().await;
    bed.malice[1].be_honest();
    drop(lost);
    let newest: Vec<_> = bed.objects("s").into_iter().filter(|n| !known.contains(n)).collect();
    let [newest] = &newest[..] else { panic!("{newest:?}") };
    bed.handle(0, 0).destroy(newest).await.unwrap();
    newest.clone()
}

/// What both clouds acknowledged before arrives from the other one, and what is missing is named.
#[tokio::test(start_paused = true)]
async fn what_the_newest_head_cannot_give_comes_from_the_older_one_of_another_cloud() {
    let bed = Bed::new();
    let lost = bed.old(&[0, 1]).await;
    let wallet = bed.device(&[0, 1]);
    wallet.restore(&root(), |_| ()).await.unwrap();
    let stays = wallet.unlock(&root()).await.unwrap();
    let missing = destroy_the_newest_segment(&bed, lost).await;
    for _ in 0..2 {
        let report = stays.poll_backups().await.unwrap();
        let [writer] = &report.writers[..] else { panic!("{report:?}") };
        assert!(writer.failure.as_ref().unwrap().contains(missing.as_str()), "{report:?}");
        let value = stays.profile(ProfileField::GivenName).unwrap();
        assert_eq!(value.as_deref(), Some("replicated"));
    }
}

/// So does a restore with both clouds, once it is told that newer changes are known and missing.
#[tokio::test(start_paused = true)]
async fn a_restore_says_what_is_gone_and_takes_the_older_head_if_told_to() {
    let bed = Bed::new();
    let lost = bed.old(&[0, 1]).await;
    let missing = destroy_the_newest_segment(&bed, lost).await;
    let refused = bed.restore(&[0, 1]).await.unwrap_err();
    let UnlockError::Other(Error::Stale { newer, .. }) = &refused else { panic!("{refused:?}") };
    let [newer] = &newer[..] else { panic!("{newer:?}") };
    assert_eq!(newer.restored, Some(newer.known - 1));
    let wallet = bed.device(&[0, 1]);
    let report = wallet.restore_stale_at(&root(), RestoreAt::Newest, |_| ()).await.unwrap();
    assert_eq!((Some(report.sequence), report.newer.len()), (newer.restored, 1));
    // What was put later belongs to another moment: the next poll asks for it, and says what is gone.
    assert_eq!(report.merged, []);
    let session = wallet.unlock(&root()).await.unwrap();
    let value = session.profile(ProfileField::GivenName).unwrap();
    assert_eq!(value.as_deref(), Some("replicated"));
    let polled = session.poll_backups().await.unwrap();
    let failure = polled.writers[0].failure.as_ref().unwrap();
    assert!(failure.contains(missing.as_str()), "{polled:?}");
}

/// A dump is lost that the newest head needs, and not the segments behind it. What merges must not come
/// from those while what has a single writer comes from an older head.
#[tokio::test(start_paused = true)]
async fn nothing_later_is_merged_into_the_moment_that_is_whole() {
    let (ns, key) = (Namespace::new("channels", "").unwrap(), Key::new("one").unwrap());
    let bed = Bed::new();
    let lost = bed.old(&[0, 1]).await;
    lost.kv().unwrap().write(&ns, &key, "old").unwrap();
    lost.post_backup().await.unwrap();
    bed.clock.advance(60_000);
    bed.malice[1].lie(Lie::Down);
    let known = bed.objects("i");
    lost.dump(DumpKind::Full).await.unwrap();
    bed.clock.advance(60_000);
    lost.kv().unwrap().write(&ns, &key, "new").unwrap();
    set(&lost, "new").await;
    let _ = lost.post_backup().await;
    bed.malice[1].be_honest();
    drop(lost);
    let dumps: Vec<_> = bed.objects("i").into_iter().filter(|n| !known.contains(n)).collect();
    assert_eq!(dumps.len(), 1);
    bed.handle(0, 0).destroy(&dumps[0]).await.unwrap();

    let wallet = bed.device(&[0, 1]);
    let report = wallet.restore_stale_at(&root(), RestoreAt::Newest, |_| ()).await.unwrap();
    assert_eq!((report.newer.len(), report.merged.len()), (1, 0), "{report:?}");
    let session = wallet.unlock(&root()).await.unwrap();
    let channel = session.kv().unwrap().read_required(&ns, &key).unwrap();
    let field = session.profile(ProfileField::GivenName).unwrap();
    assert_eq!((&*channel, field.as_deref()), (&b"old"[..], Some("old")), "two cuts are mixed");
    // As what another device has put it comes with the next poll.
    session.poll_backups().await.unwrap();
    let field = session.profile(ProfileField::GivenName).unwrap();
    assert_eq!(field.as_deref(), Some("new"));
}

/// What is acknowledged and not stored: a dump is read back, so it is never counted.
#[tokio::test]
async fn a_dump_that_was_stored_nowhere_is_never_counted() {
    let bed = Bed::new();
    let session = bed.device(&[0]).create(&crate::bed::root()).await.unwrap();
    set(&session, "old").await;
    bed.malice[0].lie(Lie::StoreNothing);
    assert!(session.post_backup().await.is_err());
    assert_eq!(session.status().unwrap().lag_records, 1);
    bed.malice[0].be_honest();
    session.post_backup().await.unwrap();
    let (value, _) = bed.restore(&[0]).await.unwrap();
    assert_eq!(value.as_deref(), Some("old"));
}

/// A segment is not read back: `verify --cloud` finds it, and a second cloud has it.
#[tokio::test]
async fn a_segment_that_was_stored_nowhere_is_found_by_a_scrub() {
    let bed = Bed::new();
    let session = bed.old(&[0, 1]).await;
    set(&session, "new").await;
    bed.malice[0].lie(Lie::StoreNothing);
    session.post_backup().await.unwrap();
    bed.malice[0].be_honest();
    assert!(scrubbed(&session).await.contains("missing"));
    let (value, _) = bed.restore(&[0, 1]).await.unwrap();
    assert_eq!(value.as_deref(), Some("new"));
}

/// Names carry the hash of the bytes: what overwrites is the same.
#[tokio::test]
async fn ignored_conditions_harm_no_immutable_object() {
    let bed = Bed::new();
    bed.malice[0].lie(Lie::IgnoreConditions);
    let (session, _) = bed.old_and_new(&[0]).await;
    assert_eq!(scrubbed(&session).await, "");
    let (value, _) = bed.restore(&[0]).await.unwrap();
    assert_eq!(value.as_deref(), Some("new"));
}
