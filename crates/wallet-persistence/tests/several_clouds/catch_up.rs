//! A cloud that was away gets what it lacks: from what is kept, from another cloud, or from a dump.

use wallet_persistence::{DumpKind, Session};

use crate::bed::{Bed, Mood, by_hand, contents, root, write};

/// Posts until the second cloud lacks nothing.
async fn caught_up(session: &Session) {
    for _ in 0..10 {
        session.post_backup().await.unwrap();
        let replica = session.status().unwrap().replicas[1].clone();
        if !replica.is_behind {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_secs(1)).await;
    }
    panic!("{:?}", session.status().unwrap().replicas);
}

#[tokio::test(start_paused = true)]
async fn what_is_kept_goes_up_as_it_is() {
    let bed = Bed::new();
    let session = bed.wallet(by_hand(Some(1))).create(&root()).await.unwrap();
    write(&session, "a", b"1");
    session.post_backup().await.unwrap();
    bed.clouds[1].set(Mood::Fails);
    for i in 0..5u8 {
        write(&session, "b", &[i]);
        session.post_backup().await.unwrap();
    }
    let replica = &session.status().unwrap().replicas[1];
    assert!(replica.kept_bytes > 0 && !replica.copies, "{replica:?}");
    bed.clouds[1].set(Mood::Well);
    // With the first cloud away it can come from this device alone.
    bed.clouds[0].set(Mood::Hangs);
    write(&session, "c", b"3");
    session.post_backup().await.unwrap();
    assert_eq!(bed.restored_from(1).await, contents(&session));
    assert_eq!(session.status().unwrap().replicas[1].kept_bytes, 0);
    bed.clouds[0].set(Mood::Well);
    session.lock().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn what_is_no_longer_kept_is_copied_from_another_cloud() {
    for restart in [false, true] {
        let bed = Bed::new();
        let mut settings = by_hand(Some(1));
        settings.memory_budget = 2000;
        let wallet = bed.wallet(settings);
        let mut session = wallet.create(&root()).await.unwrap();
        write(&session, "a", b"1");
        session.post_backup().await.unwrap();
        bed.clouds[1].set(Mood::Fails);
        for i in 0..5u8 {
            write(&session, "b", &[i; 900]);
            session.post_backup().await.unwrap();
            if i == 2 {
                session.dump(DumpKind::Full).await.unwrap();
            }
        }
        assert!(session.status().unwrap().replicas[1].copies);
        if restart {
            session.lock().await.unwrap();
            session = wallet.unlock(&root()).await.unwrap();
        }
        bed.clouds[1].set(Mood::Well);
        caught_up(&session).await;
        write(&session, "c", b"3");
        session.post_backup().await.unwrap();
        caught_up(&session).await;
        assert_eq!(bed.restored_from(1).await, contents(&session), "restart {restart}");
        session.lock().await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn a_cloud_that_is_new_gets_everything() {
    let mut bed = Bed::new();
    let second = bed.clouds.pop().unwrap();
    let session = bed.wallet(by_hand(None)).create(&root()).await.unwrap();
    write(&session, "a", b"1");
    session.post_backup().await.unwrap();
    write(&session, "b", b"2");
    session.post_backup().await.unwrap();
    session.lock().await.unwrap();
    drop(session);
    bed.clouds.push(second);
    let session = bed.wallet(by_hand(None)).unlock(&root()).await.unwrap();
    session.post_backup().await.unwrap();
    assert_eq!(bed.restored_from(1).await, contents(&session));
    session.lock().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn what_only_a_dead_cloud_had_goes_up_again_in_a_dump() {
    let bed = Bed::new();
    let wallet = bed.wallet(by_hand(Some(1)));
    let session = wallet.create(&root()).await.unwrap();
    write(&session, "a", b"1");
    session.post_backup().await.unwrap();
    bed.clouds[1].set(Mood::Fails);
    write(&session, "b", b"2");
    session.post_backup().await.unwrap();
    session.lock().await.unwrap();
    drop(session);
    // After a restart nothing is kept, and the cloud that had it is gone for good.
    let session = wallet.unlock(&root()).await.unwrap();
    bed.clouds[0].set(Mood::Fails);
    bed.clouds[1].set(Mood::Well);
    write(&session, "c", b"3");
    let mut tries = 0;
    while session.post_backup().await.is_err() {
        tries += 1;
        assert!(tries < 10, "{:?}", session.status().unwrap().replicas);
    }
    assert_eq!(session.status().unwrap().lag_records, 0);
    assert_eq!(bed.restored_from(1).await, contents(&session));
    // If it was not gone for good, it gets what it lacks now.
    bed.clouds[0].set(Mood::Well);
    write(&session, "d", b"4");
    session.post_backup().await.unwrap();
    session.post_backup().await.unwrap();
    assert_eq!(bed.restored_from(0).await, contents(&session));
    session.lock().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_head_never_comes_before_what_it_names() {
    let bed = Bed::new();
    let session = bed.wallet(by_hand(None)).create(&root()).await.unwrap();
    write(&session, "a", b"1");
    session.post_backup().await.unwrap();
    bed.clouds[1].set(Mood::FailsHeads);
    for i in 0..3u8 {
        write(&session, "b", &[i]);
        session.post_backup().await.unwrap_err();
        // The second cloud has segments that no head of it names: what it brings back is older.
        assert_eq!(bed.restored_from(1).await, [("a".to_owned(), b"1".to_vec())]);
        assert_eq!(bed.restored_from(0).await, contents(&session));
    }
    bed.clouds[1].set(Mood::Well);
    let report = session.post_backup().await.unwrap();
    assert_eq!(report.changes, 3, "what was tried before counts when it is there");
    assert_eq!(bed.restored_from(1).await, contents(&session));
    session.lock().await.unwrap();
}
