//! A device hands its wallet over, and takes it back.

use std::sync::Arc;

use cloud::testing::{Failure, FlakyCloud, Weather};
use wallet_persistence::{Error, UnlockError};

use crate::{
    bed::{Cloud, account, copy, memory, read, restored, root, signed_out, wallet, write},
    stuck::Stuck,
};

#[tokio::test(flavor = "multi_thread")]
async fn a_handed_over_wallet_refuses_to_run_until_it_is_taken_back() {
    let dir = tempfile::tempdir().unwrap();
    let clouds = [memory()];
    let old = wallet(&dir.path().join("old"), &clouds);
    let session = old.create(&root()).await.unwrap();
    write(&session, "one", b"1").unwrap();
    account(&session, 1).await;
    let handed = session.hand_over().await.unwrap();
    assert_eq!(handed.epoch, 1);
    assert!(matches!(session.status(), Err(Error::Locked)));
    assert!(matches!(old.unlock(&root()).await, Err(UnlockError::HandedOver)));

    // Nobody has taken it over: it can be taken back.
    let (session, _) = old.take_back(&root()).await.unwrap();
    write(&session, "two", b"2").unwrap();
    session.hand_over().await.unwrap();

    let new = restored(&dir.path().join("new"), &clouds).await;
    assert_eq!(read(&new, "two"), Some(b"2".into()), "everything was flushed");
    new.take_over().await.unwrap();
    write(&new, "three", b"3").unwrap();
    new.post_backup().await.unwrap();
    // Now it is too late.
    let refused = old.take_back(&root()).await.unwrap_err();
    let taken = matches!(refused, UnlockError::Other(Error::TakenOverMeanwhile { epoch: 2, .. }));
    assert!(taken, "{refused:?}");
    assert!(matches!(old.unlock(&root()).await, Err(UnlockError::HandedOver)));
    new.lock().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_handover_that_cannot_flush_leaves_the_wallet_running() {
    let dir = tempfile::tempdir().unwrap();
    let weather = Weather::fair();
    let clouds: [Cloud; 1] = [Arc::new(FlakyCloud::new(memory(), weather.clone()))];
    let old = wallet(&dir.path().join("old"), &clouds);
    let session = old.create(&root()).await.unwrap();
    write(&session, "one", b"1").unwrap();
    session.post_backup().await.unwrap();
    write(&session, "two", b"2").unwrap();
    signed_out(&weather);
    weather.fail_from(1, Failure::Lost);
    assert!(session.hand_over().await.is_err());
    write(&session, "three", b"3").unwrap();
    session.lock().await.unwrap();
    let session = old.unlock(&root()).await.unwrap();
    assert_eq!(read(&session, "three"), Some(b"3".into()));
    session.lock().await.unwrap();
}

/// Whatever becomes of a handover that does not end: the wallet goes on, here and after a restart.
#[tokio::test(flavor = "multi_thread")]
async fn a_handover_that_does_not_end_seals_nothing() {
    let mut stuck = 0;
    for calls in 0..8 {
        let dir = tempfile::tempdir().unwrap();
        let cloud = Arc::new(Stuck::default());
        let clouds: [Cloud; 1] = [cloud.clone()];
        let old = wallet(&dir.path().join("old"), &clouds);
        let session = old.create(&root()).await.unwrap();
        write(&session, "one", b"1").unwrap();
        session.post_backup().await.unwrap();
        write(&session, "two", b"2").unwrap();
        session.lock().await.unwrap();
        drop(session);

        // It is the first that this session does.
        let session = old.unlock(&root()).await.unwrap();
        cloud.stick_after(calls);
        let mut handing = Box::pin(session.hand_over());
        tokio::select! {
            handed = &mut handing => {
                handed.unwrap();
                break;
            }
            () = cloud.is_stuck() => stuck += 1,
        }
        assert!(write(&session, "meanwhile", b"x").is_err(), "nothing comes after the last backup");
        // Killed now.
        copy(&dir.path().join("old"), &dir.path().join("killed"));
        // Or dropped.
        drop(handing);
        write(&session, "three", b"3").unwrap();
        session.lock().await.unwrap();
        drop(session);
        cloud.stick_after(u64::MAX);
        for folder in ["killed", "old"] {
            let wallet = wallet(&dir.path().join(folder), &clouds);
            let session = wallet.unlock(&root()).await.unwrap();
            assert_eq!(read(&session, "two"), Some(b"2".into()));
            assert_eq!(session.status().unwrap().single_writer, "open", "{folder} after {calls}");
            session.lock().await.unwrap();
        }
    }
    assert!(stuck >= 4, "a look, the segment, the head and the fence: {stuck}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_handover_that_fails_as_the_first_of_a_session_leaves_the_wallet_running() {
    let dir = tempfile::tempdir().unwrap();
    let weather = Weather::fair();
    let clouds: [Cloud; 1] = [Arc::new(FlakyCloud::new(memory(), weather.clone()))];
    let old = wallet(&dir.path().join("old"), &clouds);
    let session = old.create(&root()).await.unwrap();
    write(&session, "one", b"1").unwrap();
    session.post_backup().await.unwrap();
    session.lock().await.unwrap();
    signed_out(&weather);
    for nth in 1..6 {
        let session = old.unlock(&root()).await.unwrap();
        write(&session, "two", &[nth as u8]).unwrap();
        weather.fail_from(nth, Failure::Lost);
        assert!(session.hand_over().await.is_err(), "call {nth}");
        write(&session, "three", b"3").unwrap();
        session.lock().await.unwrap();
    }
}
