//! A folder knows its own puts, however often it was opened since.

use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use cloud::testing::{Failure, Fault, FlakyCloud, Weather};
use wallet_persistence::{Session, SingleWriter};

use crate::bed::{Cloud, Clouds, account, copy, memory, root, signed_out, wallet, write};

/// More than are remembered.
const OPENINGS: u8 = 70;

#[tokio::test(flavor = "multi_thread")]
async fn openings_that_put_nothing_make_no_old_copy_of_a_folder() {
    for is_online in [true, false] {
        let dir = tempfile::tempdir().unwrap();
        let weather = Weather::fair();
        let clouds: [Cloud; 1] = [Arc::new(FlakyCloud::new(memory(), weather.clone()))];
        let wallet = wallet(&dir.path().join("a"), &clouds);
        let session = wallet.create(&root()).await.unwrap();
        write(&session, "one", b"1").unwrap();
        session.post_backup().await.unwrap();
        session.lock().await.unwrap();
        signed_out(&weather);
        if !is_online {
            weather.fail_from(1, Failure::Lost);
        }
        for opening in 0..OPENINGS {
            let session = wallet.unlock(&root()).await.unwrap();
            let is_ok = match opening % 2 {
                0 => session.poll_backups().await.is_ok(),
                _ => session.post_backup().await.is_ok(),
            };
            assert_eq!(is_ok, is_online, "opening {opening}");
            session.lock().await.unwrap();
        }
        weather.clear_up();
        let session = wallet.unlock(&root()).await.unwrap();
        write(&session, "two", b"2").unwrap();
        let report = session.post_backup().await.unwrap();
        let status = session.status().unwrap();
        assert_eq!((status.single_writer, status.findings), ("open", vec![]), "{is_online}");
        assert_eq!(report.single_writer, Some(SingleWriter::Acknowledged), "{is_online}");
        session.lock().await.unwrap();
    }
}

/// A cloud that was away holds what a session put that is long forgotten.
#[tokio::test(flavor = "multi_thread")]
async fn a_cloud_that_was_away_for_many_openings_holds_no_copy() {
    let dir = tempfile::tempdir().unwrap();
    let clouds = Clouds::new(2);
    let wallet = clouds.wallet((&dir.path().join("a"), 1), &[0, 1], 1);
    let session = wallet.create(&root()).await.unwrap();
    write(&session, "one", b"1").unwrap();
    session.post_backup().await.unwrap();
    // The other one alone may have answered.
    has_a_head(&clouds, 0).await;
    session.lock().await.unwrap();
    drop(wallet);
    clouds.is_away(1, true);
    many_openings(&clouds, &dir.path().join("a")).await;
    clouds.is_away(1, false);
    let session = opened_with_both(&clouds, &dir.path().join("a")).await;
    holds_no_copy(session).await;
}

async fn has_a_head(clouds: &Clouds, cloud: usize) {
    while clouds.named(cloud, "/h/").is_empty() {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

/// Of which only the first cloud hears.
async fn many_openings(clouds: &Clouds, folder: &Path) {
    let wallet = clouds.wallet((folder, 1), &[0, 1], 1);
    for opening in 0..OPENINGS {
        let session = wallet.unlock(&root()).await.unwrap();
        write(&session, "one", &[opening]).unwrap();
        let report = session.post_backup().await.unwrap();
        assert_eq!(report.single_writer, Some(SingleWriter::Acknowledged));
        session.lock().await.unwrap();
    }
}

/// Both are needed now.
async fn opened_with_both(clouds: &Clouds, folder: &Path) -> Session {
    let wallet = clouds.wallet((folder, 1), &[0, 1], 2);
    let session = wallet.unlock(&root()).await.unwrap();
    session.poll_backups().await.unwrap();
    session
}

async fn holds_no_copy(session: Session) {
    account(&session, 1).await;
    write(&session, "one", b"3").unwrap();
    let report = session.post_backup().await.unwrap();
    let status = session.status().unwrap();
    assert_eq!((status.single_writer, status.findings), ("open", vec![]));
    assert_eq!(report.single_writer, Some(SingleWriter::Acknowledged));
    session.lock().await.unwrap();
}

/// The folder is locked while a cloud that is not waited for takes its head.
#[tokio::test(flavor = "multi_thread")]
async fn a_head_that_nobody_heard_of_is_known_after_many_openings() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("a");
    let clouds = Clouds::new(2);
    clouds.malice[1].plan(|call| {
        let is_head = call.act == "put" && call.name.as_str().contains("/h/");
        is_head.then_some(Fault::Late(Duration::from_secs(3600)))
    });
    let wallet = clouds.wallet((&folder, 1), &[0, 1], 1);
    let session = wallet.create(&root()).await.unwrap();
    write(&session, "one", b"1").unwrap();
    session.post_backup().await.unwrap();
    has_a_head(&clouds, 1).await;
    session.lock().await.unwrap();
    drop(wallet);

    clouds.is_away(1, true);
    many_openings(&clouds, &folder).await;
    clouds.is_away(1, false);
    holds_no_copy(opened_with_both(&clouds, &folder).await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fencing_head_that_nobody_heard_of_is_known_after_many_openings() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("a");
    let clouds = Clouds::new(2);
    let is_gone = AtomicBool::new(false);
    clouds.malice[1].plan(move |call| {
        if is_gone.load(Ordering::SeqCst) {
            return Some(Fault::Forbidden);
        }
        let is_fence = call.act == "put" && call.name.as_str().ends_with("/f");
        is_gone.store(is_fence, Ordering::SeqCst);
        is_fence.then_some(Fault::AnswerLost)
    });
    let wallet = clouds.wallet((&folder, 1), &[0, 1], 2);
    let session = wallet.create(&root()).await.unwrap();
    write(&session, "one", b"1").unwrap();
    assert!(session.post_backup().await.is_err(), "one of two has said that it has it");
    assert!(!clouds.named(1, "/f").is_empty());
    session.lock().await.unwrap();
    drop(wallet);

    clouds.is_away(1, true);
    many_openings(&clouds, &folder).await;
    clouds.is_away(1, false);
    holds_no_copy(opened_with_both(&clouds, &folder).await).await;
}

/// What a copy has put into the cloud that was away is told.
#[tokio::test(flavor = "multi_thread")]
async fn a_copy_that_had_the_cloud_for_itself_for_many_openings_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let (folder, other) = (dir.path().join("a"), dir.path().join("b"));
    let clouds = Clouds::new(2);
    let wallet = clouds.wallet((&folder, 1), &[0, 1], 1);
    let session = wallet.create(&root()).await.unwrap();
    write(&session, "one", b"1").unwrap();
    session.post_backup().await.unwrap();
    has_a_head(&clouds, 0).await;
    has_a_head(&clouds, 1).await;
    session.lock().await.unwrap();
    drop(wallet);
    copy(&folder, &other);

    clouds.malice[1].plan(|call| (call.device == 1).then_some(Fault::Forbidden));
    let wallet = clouds.wallet((&other, 2), &[1], 1);
    let session = wallet.unlock(&root()).await.unwrap();
    account(&session, 2).await;
    session.post_backup().await.unwrap();
    session.lock().await.unwrap();
    many_openings(&clouds, &folder).await;
    clouds.is_away(1, false);
    let session = opened_with_both(&clouds, &folder).await;
    let findings = session.status().unwrap().findings;
    assert_eq!(findings.iter().map(|finding| finding.kind).collect::<Vec<_>>(), ["copied"]);
    session.lock().await.unwrap();
}
