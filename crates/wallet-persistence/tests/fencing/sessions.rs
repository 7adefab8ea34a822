//! A folder knows its own puts, however often it was opened since.

use std::sync::Arc;

use cloud::testing::{Failure, FlakyCloud, Weather};
use wallet_persistence::SingleWriter;

use crate::bed::{Cloud, Clouds, account, memory, root, signed_out, wallet, write};

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
    session.lock().await.unwrap();
    clouds.is_away(1, true);
    for opening in 0..OPENINGS {
        let session = wallet.unlock(&root()).await.unwrap();
        write(&session, "one", &[opening]).unwrap();
        let report = session.post_backup().await.unwrap();
        assert_eq!(report.single_writer, Some(SingleWriter::Acknowledged));
        session.lock().await.unwrap();
    }
    clouds.is_away(1, false);
    drop(wallet);
    // Both are needed now.
    let wallet = clouds.wallet((&dir.path().join("a"), 1), &[0, 1], 2);
    let session = wallet.unlock(&root()).await.unwrap();
    session.poll_backups().await.unwrap();
    account(&session, 1).await;
    write(&session, "one", b"3").unwrap();
    let report = session.post_backup().await.unwrap();
    let status = session.status().unwrap();
    assert_eq!((status.single_writer, status.findings), ("open", vec![]));
    assert_eq!(report.single_writer, Some(SingleWriter::Acknowledged));
    session.lock().await.unwrap();
}
