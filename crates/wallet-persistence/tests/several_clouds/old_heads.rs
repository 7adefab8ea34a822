//! Replaced heads go, whatever the other clouds do.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use backup::ObjectName;
use cloud::CloudBackend;
use kv_core::{Timestamp, testing::ManualClock};
use wallet_persistence::CloudReport;

use crate::bed::{Bed, Mood, Moody, by_hand, by_itself, contents, root, write};

async fn heads(cloud: &Moody) -> BTreeSet<ObjectName> {
    let all = cloud.truth.list(&ObjectName::new("sr1").unwrap(), None).await.unwrap();
    let names = all.into_iter().map(|meta| meta.name);
    names.filter(|name| name.as_str().contains("/h/")).collect()
}

/// The newest four, those of the last minute, as many as are worth a request each, the one that is
/// acknowledged, and one that is being put.
const MOST: usize = 4 + 6 + 32 + 2;

#[tokio::test(start_paused = true)]
async fn replaced_heads_go_though_a_cloud_that_is_asked_for_is_away() {
    for mood in [Mood::Fails, Mood::Hangs] {
        let bed = Bed::new();
        let clock = Arc::new(ManualClock::at(Timestamp(1_700_000_000_000)));
        let wallet = bed.builder(by_itself(None)).clock(clock.clone()).build();
        let session = wallet.create(&root()).await.unwrap();
        write(&session, "first", b"1");
        session.post_backup().await.unwrap();
        let acknowledged = heads(&bed.clouds[0]).await;
        assert_eq!(acknowledged, heads(&bed.clouds[1]).await);
        bed.clouds[1].set(mood);
        let (mut seen, mut most) = (BTreeSet::new(), 0);
        for i in 0..400u16 {
            write(&session, "k", &i.to_le_bytes());
            clock.advance(10_000);
            tokio::time::sleep(Duration::from_secs(2)).await;
            let there = heads(&bed.clouds[0]).await;
            most = most.max(there.len());
            seen.extend(there);
        }
        assert!(seen.len() > 300, "{mood:?}: only {} heads were put", seen.len());
        assert!(most <= MOST, "{mood:?}: {most} heads at once");
        assert!(heads(&bed.clouds[0]).await.is_superset(&acknowledged), "whoever goes on needs it");
        assert_eq!(bed.restored_from(0).await, contents(&session));

        bed.clouds[1].set(Mood::Well);
        for _ in 0..3000 {
            tokio::time::sleep(Duration::from_secs(1)).await;
            if session.status().unwrap().lag_records == 0 {
                break;
            }
        }
        assert_eq!(bed.restored_from(1).await, contents(&session), "{mood:?}");
        let clouds = session.verify(true).await.unwrap().clouds;
        assert!(clouds.iter().all(|cloud| !cloud.report.is_damaged()), "{mood:?}: {clouds:?}");
        session.lock().await.unwrap();
    }
}

/// No session is long enough for the grace to pass in it.
#[tokio::test(start_paused = true)]
async fn replaced_heads_of_short_sessions_go_though_a_cloud_is_away() {
    let bed = Bed::new();
    let clock = Arc::new(ManualClock::at(Timestamp(1_700_000_000_000)));
    let wallet = bed.builder(by_hand(None)).clock(clock.clone()).build();
    let session = wallet.create(&root()).await.unwrap();
    write(&session, "first", b"1");
    session.post_backup().await.unwrap();
    session.lock().await.unwrap();
    let acknowledged = heads(&bed.clouds[0]).await;
    bed.clouds[1].set(Mood::Fails);
    let (mut seen, mut most) = (BTreeSet::new(), 0);
    for i in 0..100u16 {
        clock.advance(10_000);
        let session = wallet.unlock(&root()).await.unwrap();
        write(&session, "k", &i.to_le_bytes());
        assert!(session.post_backup().await.is_err(), "one cloud is away");
        session.lock().await.unwrap();
        let there = heads(&bed.clouds[0]).await;
        most = most.max(there.len());
        seen.extend(there);
    }
    assert!(seen.len() > 90, "only {} heads were put", seen.len());
    assert!(most <= MOST + 4, "{most} heads at once");
    assert!(heads(&bed.clouds[0]).await.is_superset(&acknowledged), "whoever goes on needs it");
    bed.clouds[1].set(Mood::Well);
    let session = wallet.unlock(&root()).await.unwrap();
    session.post_backup().await.unwrap();
    assert_eq!(bed.restored_from(0).await, contents(&session));
    // The other one never got the heads of the sessions before.
    let clouds = session.verify(true).await.unwrap().clouds;
    let is_whole = |cloud: &CloudReport| !cloud.report.is_damaged() && cloud.whole.is_some();
    assert!(clouds.len() == 2 && clouds.iter().all(is_whole), "{clouds:?}");
    session.lock().await.unwrap();
}
