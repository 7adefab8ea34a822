//! Lies about time: what is old is served as the newest.

use cloud::testing::Lie;
use wallet_persistence::{ProfileField, Session};

use crate::bed::{Bed, is_damage, root, scrubbed, set};

#[tokio::test]
async fn one_object_rolled_back_is_missed_by_name() {
    let bed = Bed::new();
    let (session, _) = bed.old_and_new(&[0]).await;
    let segment = bed.objects("s").pop().unwrap();
    bed.malice[0].lie(Lie::RollBackObject { name: segment.clone(), to: 0 });
    let error = bed.restore(&[0]).await.unwrap_err();
    assert!(is_damage(&error), "{error:?}");
    assert!(scrubbed(&session).await.contains(segment.as_str()));
}

#[tokio::test]
async fn a_head_rolled_back_is_found_by_the_device_and_by_a_second_cloud() {
    let bed = Bed::new();
    let (session, _) = bed.old_and_new(&[0, 1]).await;
    let head = bed.objects("h").pop().unwrap();
    bed.malice[0].lie(Lie::RollBackObject { name: head.clone(), to: 0 });
    assert!(scrubbed(&session).await.contains(head.as_str()));
    let (value, report) = bed.restore(&[0, 1]).await.unwrap();
    assert_eq!(value.as_deref(), Some("new"));
    assert_eq!((report.clouds, report.clouds_agreeing), (2, 1));
}

#[tokio::test]
async fn everything_rolled_back_is_found_by_the_device_and_by_a_second_cloud() {
    let bed = Bed::new();
    let (session, between) = bed.old_and_new(&[0, 1]).await;
    bed.malice[0].lie(Lie::RollBackAll { to: between });
    assert!(scrubbed(&session).await.contains("missing"));
    let (value, report) = bed.restore(&[0, 1]).await.unwrap();
    assert_eq!(value.as_deref(), Some("new"));
    assert_eq!((report.clouds, report.clouds_agreeing), (2, 1));
}

/// The plain limit: only the age tells.
#[tokio::test]
async fn out_of_reach_a_new_device_with_one_cloud_takes_an_old_state_for_the_newest() {
    let bed = Bed::new();
    let (session, between) = bed.old_and_new(&[0]).await;
    session.lock().await.unwrap();
    bed.malice[0].lie(Lie::RollBackAll { to: between });
    let (value, report) = bed.restore(&[0]).await.unwrap();
    assert_eq!(value.as_deref(), Some("old"));
    assert_eq!((report.clouds, report.clouds_agreeing), (1, 1));
    assert!(report.age_ms >= 120_000, "{report:?}");
}

#[tokio::test]
async fn a_withheld_tail_is_found_by_the_device_and_by_a_second_cloud() {
    let bed = Bed::new();
    let (session, between) = bed.old_and_new(&[0, 1]).await;
    bed.malice[0].lie(Lie::Withhold { after: between });
    assert!(scrubbed(&session).await.contains("missing"));
    let (value, report) = bed.restore(&[0, 1]).await.unwrap();
    assert_eq!(value.as_deref(), Some("new"));
    assert_eq!(report.clouds_agreeing, 1);
}

#[tokio::test]
async fn a_cloud_that_is_always_late_is_refused_or_harmless() {
    for by in 1..12 {
        let bed = Bed::new();
        let (session, _) = bed.old_and_new(&[0]).await;
        session.lock().await.unwrap();
        bed.malice[0].lie(Lie::Stale { by });
        match bed.restore(&[0]).await {
            Ok((value, _)) => assert!(value.is_some(), "{by} changes late: half a backup"),
            Err(error) => {
                let nothing = format!("{error:?}").contains("NoBackup");
                assert!(is_damage(&error) || nothing, "{by} changes late: {error:?}");
            }
        }
    }
}

#[tokio::test]
async fn an_empty_listing_is_found_by_the_device_and_by_a_second_cloud() {
    let bed = Bed::new();
    let (session, _) = bed.old_and_new(&[0, 1]).await;
    bed.malice[0].lie(Lie::EmptyListings);
    assert!(scrubbed(&session).await.contains("missing"));
    let (value, report) = bed.restore(&[0, 1]).await.unwrap();
    assert_eq!(value.as_deref(), Some("new"));
    assert_eq!(report.clouds_agreeing, 1);
}

/// Two devices are each shown their own history. Nothing of either is lost: when the fork ends, both
/// hold both.
#[tokio::test]
async fn a_fork_between_two_devices_delays_and_loses_nothing() {
    let bed = Bed::new();
    let one = bed.old(&[0]).await;
    let wallet = bed.device(&[0]);
    wallet.restore(&root(), |_| ()).await.unwrap();
    let two = wallet.unlock(&root()).await.unwrap();
    let both = [&one, &two];
    let seen = |session: &Session| {
        let name = session.profile(ProfileField::GivenName).unwrap();
        (name, session.profile(ProfileField::Gender).unwrap())
    };
    bed.malice[0].lie(Lie::Fork { from: bed.malice[0].now() });
    set(&one, "new").await;
    two.set_profile(ProfileField::Gender, "set").await.unwrap();
    for session in both {
        session.post_backup().await.unwrap();
        session.poll_backups().await.unwrap();
    }
    assert_eq!(seen(&one), (Some("new".to_owned()), None));
    assert_eq!(seen(&two), (Some("old".to_owned()), Some("set".to_owned())));
    bed.malice[0].be_honest();
    for session in both {
        session.poll_backups().await.unwrap();
    }
    for session in both {
        assert_eq!(seen(session), (Some("new".to_owned()), Some("set".to_owned())));
    }
}
