//! Answers that are lost, late or false, at every call of a backup and of a restore.

use std::time::Duration;

use cloud::testing::Fault;

use crate::bed::{Bed, scrubbed, set};

const LONG: Duration = Duration::from_secs(30);

/// Each call of a backup, then each call of a restore, has this fault: the next try succeeds.
async fn bears(fault: Fault) {
    let mut calls = 0;
    for nth in 1.. {
        let bed = Bed::new();
        let session = bed.old(&[0]).await;
        set(&session, "new").await;
        let before = bed.malice[0].calls();
        bed.malice[0].fail_nth(nth, fault);
        // It may say that it failed; it may not lose anything.
        if session.post_backup().await.is_err() {
            session.post_backup().await.unwrap();
        }
        let in_backup = bed.malice[0].calls() - before;
        bed.malice[0].fail_nth(nth, fault);
        let restored = match bed.restore(&[0]).await {
            Ok(restored) => restored,
            Err(_) => bed.restore(&[0]).await.unwrap(),
        };
        assert_eq!(restored.0.as_deref(), Some("new"), "call {nth}, {fault:?}");
        bed.malice[0].be_honest();
        bed.handle(0, 0).settle().await;
        assert_eq!(scrubbed(&session).await, "", "call {nth}, {fault:?}");
        assert_eq!(session.status().unwrap().lag_records, 0);
        let (value, _) = bed.restore(&[0]).await.unwrap();
        assert_eq!(value.as_deref(), Some("new"), "call {nth}, {fault:?}: after late puts");
        calls = calls.max(in_backup);
        if nth > in_backup && nth > 12 {
            break;
        }
    }
    assert!(calls >= 2, "a backup has more calls than {calls}");
}

#[tokio::test(start_paused = true)]
async fn lost_requests_are_sent_again() {
    bears(Fault::Lost).await;
}

#[tokio::test(start_paused = true)]
async fn lost_acknowledgements_are_settled() {
    bears(Fault::AnswerLost).await;
}

#[tokio::test(start_paused = true)]
async fn what_lands_long_after_its_error_changes_nothing() {
    for calls in [1, 3, 1000] {
        bears(Fault::LandsLater { calls }).await;
    }
}

#[tokio::test(start_paused = true)]
async fn late_answers_are_waited_for() {
    bears(Fault::Late(LONG)).await;
}

#[tokio::test(start_paused = true)]
async fn truncated_answers_are_noticed() {
    bears(Fault::Truncated).await;
}

#[tokio::test(start_paused = true)]
async fn false_conflicts_409_and_412_lose_nothing() {
    bears(Fault::Conflict).await;
}

#[tokio::test(start_paused = true)]
async fn too_many_requests_429_is_waited_out() {
    bears(Fault::TooManyRequests(LONG)).await;
}

#[tokio::test(start_paused = true)]
async fn server_errors_5xx_are_tried_again() {
    bears(Fault::ServerError).await;
}

#[tokio::test(start_paused = true)]
async fn a_refusal_403_is_told_and_loses_nothing() {
    bears(Fault::Forbidden).await;
}
