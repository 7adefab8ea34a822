//! What counts as acknowledged, whatever becomes of the calls to the fence.

use std::sync::Arc;

use cloud::{
    CloudBackend, MemCloud,
    testing::{Failure, FlakyCloud, Weather},
};
use wallet_persistence::{Refusal, SingleWriter};

use crate::{
    bed::{Cloud, memory, now, place, restored, root, signed_out, wallet, write},
    stuck::Stuck,
};

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_answer_at_any_call_is_settled_and_neither_acknowledged_twice_nor_lost() {
    for nth in 1.. {
        let dir = tempfile::tempdir().unwrap();
        let weather = Weather::fair();
        let inner = memory();
        let clouds: [Cloud; 1] = [Arc::new(FlakyCloud::new(inner.clone(), weather.clone()))];
        let session = wallet(&dir.path().join("a"), &clouds).create(&root()).await.unwrap();
        write(&session, "one", b"1").unwrap();
        session.post_backup().await.unwrap();
        write(&session, "two", b"2").unwrap();
        weather.fail_nth(nth, Failure::AnswerLost);
        let report = session.post_backup().await.unwrap();
        assert_eq!(report.single_writer, Some(SingleWriter::Acknowledged), "call {nth}");
        assert_eq!(session.status().unwrap().single_writer, "open", "call {nth}");
        assert_eq!(session.status().unwrap().findings, [], "call {nth}");
        let failed = weather.failures();
        session.lock().await.unwrap();
        if failed == 0 {
            assert!(nth > 3, "nothing was tested");
            break;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replicated_commit_waits_for_the_fence_and_not_only_for_the_segment() {
    let dir = tempfile::tempdir().unwrap();
    let weather = Weather::fair();
    let truth = MemCloud::new();
    let clouds: [Cloud; 1] = [Arc::new(FlakyCloud::new(Arc::new(truth.clone()), weather.clone()))];
    let session = wallet(&dir.path().join("a"), &clouds).create(&root()).await.unwrap();
    write(&session, "one", b"1").unwrap();
    session.post_backup().await.unwrap();
    signed_out(&weather);
    let kv = session.kv_replicated().unwrap();
    let (ns, key) = place("two");
    let mut commit = kv.submit(kv_core::Batch::new().put(&ns, &key, b"2"));
    let before = truth.list(&cloud::ObjectName::new("sr1").unwrap(), None).await.unwrap().len();
    // The segment, the head, and then the fence, which does not come through.
    weather.fail_from(3, Failure::Lost);
    assert!(session.post_backup().await.is_err());
    let after = truth.list(&cloud::ObjectName::new("sr1").unwrap(), None).await.unwrap().len();
    assert_eq!(after, before + 2, "segment and head are there");
    assert!(now(&mut commit).is_none(), "that is no acknowledgement");
    assert_eq!(session.status().unwrap().waiting, 1);
    weather.clear_up();
    let report = session.post_backup().await.unwrap();
    assert_eq!(report.single_writer, Some(SingleWriter::Acknowledged));
    assert!(matches!(now(&mut commit), Some(Ok(()))));
    let heads = truth.list(&cloud::ObjectName::new("sr1").unwrap(), None).await.unwrap();
    assert_eq!(heads.len(), after, "the same head went up again");
    session.lock().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deposed_session_refuses_replicated_commits_and_says_who_took_over() {
    let dir = tempfile::tempdir().unwrap();
    let clouds = [memory()];
    let old = wallet(&dir.path().join("old"), &clouds).create(&root()).await.unwrap();
    write(&old, "one", b"1").unwrap();
    old.post_backup().await.unwrap();
    let new = restored(&dir.path().join("new"), &clouds).await;
    new.take_over().await.unwrap();
    let writer = new.status().unwrap().writer;

    let kv = old.kv_replicated().unwrap();
    let (ns, key) = place("late");
    let commit = kv.submit(kv_core::Batch::new().put(&ns, &key, b"x"));
    old.post_backup().await.unwrap();
    let error = commit.await.unwrap_err();
    assert!(matches!(error, kv_core::Error::NotReplicated { .. }), "{error:?}");
    let Some(Refusal::Fenced { epoch: 2, writer: by }) = Refusal::behind(&error) else {
        panic!("{error:?}")
    };
    assert_eq!(by.to_string(), writer);
    let refused = kv.submit(kv_core::Batch::new().put(&ns, &key, b"y")).await.unwrap_err();
    assert!(refused.is_refusal() && Refusal::behind(&refused).is_some(), "{refused:?}");
    assert_eq!(old.status().unwrap().waiting, 0, "nobody waits in vain");
    for session in [old, new] {
        session.lock().await.unwrap();
    }
}

/// A backup is dropped in the middle of its call to the fence, which lands later: the next one knows
/// it as its own.
#[tokio::test(flavor = "multi_thread")]
async fn a_backup_that_is_dropped_at_any_call_does_not_look_like_a_copy() {
    let mut dropped = 0;
    for calls in 0..8 {
        let dir = tempfile::tempdir().unwrap();
        let cloud = Arc::new(Stuck::default());
        let clouds: [Cloud; 1] = [cloud.clone()];
        let session = wallet(&dir.path().join("a"), &clouds).create(&root()).await.unwrap();
        write(&session, "one", b"1").unwrap();
        session.post_backup().await.unwrap();
        write(&session, "two", b"2").unwrap();
        cloud.stick_after(calls);
        tokio::select! {
            posted = session.post_backup() => drop(posted.unwrap()),
            () = cloud.is_stuck() => dropped += 1,
        }
        cloud.stick_after(u64::MAX);
        let report = session.post_backup().await.unwrap();
        let status = session.status().unwrap();
        assert_eq!((status.single_writer, status.findings), ("open", Vec::new()), "{calls}");
        assert_ne!(report.single_writer, Some(SingleWriter::Stopped), "{calls}");
        session.lock().await.unwrap();
    }
    assert!(dropped >= 3, "segment, head and fence are three calls: {dropped}");
}
