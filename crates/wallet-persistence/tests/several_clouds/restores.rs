//! Restoring from two clouds of which the first is not what it was.

use backup::ObjectName;
use cloud::CloudBackend;

use crate::bed::{Bed, Mood, by_hand, contents, root, write};

/// A wallet whose changes lie in several segments of both clouds; what it holds.
async fn backed_up(bed: &Bed) -> Vec<(String, Vec<u8>)> {
    let session = bed.wallet(by_hand(None)).create(&root()).await.unwrap();
    for n in 0..6 {
        write(&session, &format!("key{n}"), &[n]);
        session.post_backup().await.unwrap();
    }
    let contents = contents(&session);
    session.lock().await.unwrap();
    contents
}

#[tokio::test(start_paused = true)]
async fn segments_that_the_first_cloud_has_lost_come_from_the_other() {
    for lost in [1, 3, usize::MAX] {
        let bed = Bed::new();
        let contents = backed_up(&bed).await;
        let first = &bed.clouds[0].truth;
        let all = cloud::poll_backups(first, &ObjectName::new("sr1").unwrap()).await.unwrap();
        let names = all.iter().map(|meta| &meta.name);
        let segments: Vec<_> = names.filter(|name| name.as_str().contains("/s/")).collect();
        assert!(segments.len() > 3, "{all:?}");
        // The newest ones: those it lists no more.
        for name in segments.iter().rev().take(lost) {
            first.delete(name).await.unwrap();
        }
        assert_eq!(bed.restored().await, contents, "without {lost}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_first_cloud_that_fails_in_the_middle_of_a_restore_ends_it_not() {
    let bed = Bed::new();
    let contents = backed_up(&bed).await;
    // It has named the newest head by then.
    bed.clouds[0].set(Mood::FailsSegments);
    assert_eq!(bed.restored().await, contents);
    bed.clouds[1].set(Mood::FailsSegments);
    bed.clouds[0].set(Mood::Well);
    assert_eq!(bed.restored().await, contents);
}
