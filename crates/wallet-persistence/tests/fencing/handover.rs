//! A device hands its wallet over, and takes it back.

use std::sync::Arc;

use cloud::testing::{Failure, FlakyCloud, Weather};
use wallet_persistence::{Error, UnlockError};

use crate::bed::{Cloud, account, memory, read, restored, root, signed_out, wallet, write};

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
