//! Nobody waits for a cloud that is not needed.

use std::{pin::Pin, time::Duration};

use wallet_persistence::{Batch, DumpKind, Error, Event, Namespace, Session, SingleWriter};

use crate::bed::{Bed, Mood, by_hand, by_itself, contents, key, put, root, write};

/// Time passes at once when nothing else happens; so whatever waits for a cloud that hangs fails here.
async fn in_time<T>(work: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(50), work).await.unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_cloud_that_never_answers_holds_up_no_other() {
    for when in ["from the beginning", "later"] {
        let bed = Bed::new();
        if when == "from the beginning" {
            bed.clouds[1].set(Mood::Hangs);
        }
        let session = bed.wallet(by_itself(Some(1))).create(&root()).await.unwrap();
        let kv = session.kv_replicated().unwrap();
        in_time(kv.submit(put("first", b"1"))).await.unwrap();
        bed.clouds[1].set(Mood::Hangs);
        for i in 0..20u8 {
            in_time(kv.submit(put("next", &[i]))).await.unwrap();
        }
        assert_eq!(session.status().unwrap().lag_records, 0, "one is enough");
        assert_eq!(bed.restored_from(0).await, contents(&session), "{when}");
        let replicas = session.status().unwrap().replicas;
        assert!(!replicas[0].is_behind && replicas[1].is_behind, "{replicas:?}");
        assert!(replicas[1].has < replicas[0].has, "{replicas:?}");

        // Its calls come to an end at some time; then it catches up by itself.
        bed.clouds[1].set(Mood::Well);
        for _ in 0..3000 {
            tokio::time::sleep(Duration::from_secs(1)).await;
            if !session.status().unwrap().replicas[1].is_behind {
                break;
            }
        }
        assert_eq!(bed.restored_from(1).await, contents(&session), "{when}");
        session.lock().await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn where_all_are_asked_for_a_dead_one_makes_commits_wait_and_the_other_goes_on() {
    for mood in [Mood::Fails, Mood::Hangs] {
        let bed = Bed::new();
        let session = bed.wallet(by_itself(None)).create(&root()).await.unwrap();
        let kv = session.kv_replicated().unwrap();
        in_time(kv.submit(put("first", b"1"))).await.unwrap();
        bed.clouds[1].set(mood);
        let mut events = session.events();
        let mut waits = Box::pin(kv.submit(put("second", b"2")));
        let mut told = 0;
        // More batches than are told apart.
        for i in 0..300u16 {
            write(&session, "local", &i.to_le_bytes());
            tokio::select! {
                _ = &mut waits => panic!("{mood:?}: one cloud does not have it"),
                () = tokio::time::sleep(Duration::from_secs(2)) => {}
            }
            while let Ok(event) = events.try_recv() {
                told += u32::from(matches!(event, Event::BackupFailed { .. }));
            }
        }
        assert_eq!(bed.restored_from(0).await, contents(&session), "{mood:?}: the other goes on");
        let status = session.status().unwrap();
        assert_eq!((status.lag_records, status.waiting), (2, 1), "the lag is what not all have");
        assert!(status.failing.is_some() && !status.replicas[0].is_behind, "{status:?}");
        assert_eq!(status.replicas[0].failing, None);
        if mood == Mood::Fails {
            assert!(status.replicas[1].failing.as_ref().unwrap().contains("full"), "{status:?}");
            assert!(status.replicas[1].tries > 3, "{status:?}");
            assert!((2..20).contains(&told), "it is told when it fails, not each second: {told}");
        }
        bed.clouds[1].set(Mood::Well);
        // What hangs comes to its end after ten minutes.
        tokio::time::timeout(Duration::from_secs(1200), waits).await.unwrap().unwrap();
        for _ in 0..5 {
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        assert_eq!(session.status().unwrap().lag_records, 0);
        assert_eq!(bed.restored_from(1).await, contents(&session), "{mood:?}");
        session.lock().await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn a_dump_goes_on_without_a_cloud_that_fails_or_hangs() {
    for mood in [Mood::Fails, Mood::Hangs, Mood::HangsDumps] {
        for kind in [DumpKind::Full, DumpKind::Delta] {
            let bed = Bed::new();
            let session = bed.wallet(by_hand(Some(1))).create(&root()).await.unwrap();
            write(&session, "a", b"1");
            session.post_backup().await.unwrap();
            write(&session, "b", b"2");
            session.post_backup().await.unwrap();
            bed.clouds[1].set(mood);
            let report = in_time(session.dump(kind)).await.unwrap();
            assert_eq!(report.kind, kind);
            write(&session, "c", b"3");
            in_time(session.post_backup()).await.unwrap();
            assert_eq!(bed.restored_from(0).await, contents(&session), "{mood:?} {kind:?}");
            bed.clouds[1].set(Mood::Well);
            for _ in 0..1500 {
                session.post_backup().await.unwrap();
                if !session.status().unwrap().replicas[1].is_behind {
                    break;
                }
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
            assert_eq!(bed.restored_from(1).await, contents(&session), "{mood:?} {kind:?}");
            session.lock().await.unwrap();
        }
    }
}

#[tokio::test(start_paused = true)]
async fn the_first_dump_holds_up_no_local_commit_and_what_comes_meanwhile_follows_it() {
    let bed = Bed::new();
    let session = bed.wallet(by_itself(None)).create(&root()).await.unwrap();
    bed.clouds.iter().for_each(|cloud| cloud.set(Mood::HangsDumps));
    write(&session, "a", b"1");
    tokio::time::sleep(Duration::from_secs(30)).await;
    // The first dump is on its way, and no head can name anything before it is there.
    for i in 0..50u8 {
        in_time(session.kv().unwrap().submit(put("b", &[i]))).await.unwrap();
    }
    let replicated = session.kv_replicated().unwrap().submit(put("c", b"3"));
    // Nor does it hold up what looks into the clouds.
    in_time(session.poll_backups()).await.unwrap();
    let status = session.status().unwrap();
    assert_eq!((status.lag_records, status.waiting, status.backed_up), (3, 1, 0), "{status:?}");
    bed.clouds.iter().for_each(|cloud| cloud.set(Mood::Well));
    // A call that hangs ends after ten minutes.
    tokio::time::timeout(Duration::from_secs(1200), replicated).await.unwrap().unwrap();
    for cloud in 0..2 {
        assert_eq!(bed.restored_from(cloud).await, contents(&session));
    }
    session.lock().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_log_that_is_dropped_while_a_dump_is_made_loses_nothing() {
    for when in ["the first dump", "a later one"] {
        let bed = Bed::new();
        let mut settings = by_itself(None);
        settings.max_lag_records = 20;
        let session = bed.wallet(settings).create(&root()).await.unwrap();
        write(&session, "a", b"1");
        if when == "a later one" {
            session.post_backup().await.unwrap();
        }
        bed.clouds.iter().for_each(|cloud| cloud.set(Mood::HangsDumps));
        let dumping = session.clone();
        let dump = tokio::spawn(async move { dumping.dump(DumpKind::Full).await.is_ok() });
        tokio::time::sleep(Duration::from_secs(30)).await;
        // Segments, too: so all of it lags.
        bed.clouds.iter().for_each(|cloud| cloud.set(Mood::Hangs));
        for i in 0..50u8 {
            write(&session, &format!("b{i}"), &[i]);
        }
        assert!(session.status().unwrap().dump_needed, "{when}");
        bed.clouds.iter().for_each(|cloud| cloud.set(Mood::Well));
        for _ in 0..3000 {
            tokio::time::sleep(Duration::from_secs(1)).await;
            if session.status().unwrap().lag_records == 0 {
                break;
            }
        }
        for cloud in 0..2 {
            assert_eq!(bed.restored_from(cloud).await, contents(&session), "{when}");
        }
        dump.await.unwrap();
        assert!(!session.verify(true).await.unwrap().is_damaged(), "{when}");
        session.lock().await.unwrap();
    }
}

/// The chain begins anew with a dump behind the segments it has: the fence acknowledges that.
#[tokio::test(start_paused = true)]
async fn a_commit_that_a_dropped_log_held_resolves_with_the_dump() {
    let bed = Bed::new();
    let mut settings = by_hand(None);
    settings.max_lag_records = 20;
    let session = bed.wallet(settings).create(&root()).await.unwrap();
    let channels = Namespace::new("channels", "").unwrap();
    let put = |n: u8| Batch::new().put(&channels, &key(&n.to_string()), &[n]);
    for n in 0..2 {
        session.kv().unwrap().submit(put(n)).wait().unwrap();
        session.post_backup().await.unwrap();
    }
    let mut commit = session.kv_replicated().unwrap().submit(put(2));
    for n in 3..50 {
        session.kv().unwrap().submit(put(n)).wait().unwrap();
    }
    assert!(session.status().unwrap().dump_needed);
    let report = session.post_backup().await.unwrap();
    assert_eq!(report.single_writer, Some(SingleWriter::Acknowledged));
    tokio::select! {
        biased;
        done = &mut commit => done.unwrap(),
        () = std::future::ready(()) => panic!("it waits for a backup that has nothing to say"),
    }
    session.lock().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_wallet_locks_while_a_cloud_hangs() {
    let bed = Bed::new();
    let session = bed.wallet(by_itself(Some(1))).create(&root()).await.unwrap();
    bed.clouds.iter().for_each(|cloud| cloud.set(Mood::Hangs));
    write(&session, "a", b"1");
    tokio::time::sleep(Duration::from_secs(5)).await;
    in_time(session.lock()).await.unwrap();
}

/// However long it would still wait: a call to a cloud takes up to ten minutes, and is done again.
#[tokio::test(start_paused = true)]
async fn a_wallet_locks_though_somebody_waits_for_a_cloud_that_hangs() {
    type Asked = fn(Session) -> Pin<Box<dyn Future<Output = Result<(), Error>> + Send>>;
    let asked: [(&str, Asked); 5] = [
        ("post", |s| Box::pin(async move { s.post_backup().await.map(drop) })),
        ("dump", |s| Box::pin(async move { s.dump(DumpKind::Full).await.map(drop) })),
        ("poll", |s| Box::pin(async move { s.poll_backups().await.map(drop) })),
        ("takeover", |s| Box::pin(async move { s.take_over().await.map(drop) })),
        ("handover", |s| Box::pin(async move { s.hand_over().await.map(drop) })),
    ];
    for (what, ask) in asked {
        for is_polled in [true, false] {
            let bed = Bed::new();
            let session = bed.wallet(by_hand(None)).create(&root()).await.unwrap();
            write(&session, "a", b"1");
            session.post_backup().await.unwrap();
            write(&session, "b", b"2");
            bed.clouds.iter().for_each(|cloud| cloud.set(Mood::Hangs));
            let mut waits = ask(session.clone());
            tokio::select! {
                _ = &mut waits => panic!("{what}: no cloud answers"),
                () = tokio::time::sleep(Duration::from_secs(5)) => {}
            }
            if is_polled {
                let waits = tokio::spawn(waits);
                in_time(session.lock()).await.unwrap();
                let outcome = in_time(waits).await.unwrap();
                assert!(matches!(outcome, Err(Error::Locked)), "{what}: {outcome:?}");
            } else {
                in_time(session.lock()).await.unwrap();
                let outcome = in_time(waits).await;
                assert!(matches!(outcome, Err(Error::Locked)), "{what}: {outcome:?}");
            }
            let again = bed.wallet(by_hand(None)).unlock(&root()).await.unwrap();
            assert_eq!(contents(&again).len(), 2, "{what}");
            again.lock().await.unwrap();
        }
    }
}

/// It ends no task with it, so nobody waits for ever, and what it did not take goes up later.
#[tokio::test(start_paused = true)]
async fn a_cloud_that_panics_is_one_that_fails() {
    const LONG: Duration = Duration::from_secs(1200);
    for panics in [1, 2] {
        let bed = Bed::new();
        let session = bed.wallet(by_itself(None)).create(&root()).await.unwrap();
        let kv = session.kv_replicated().unwrap();
        in_time(kv.submit(put("first", b"1"))).await.unwrap();
        bed.clouds[..panics].iter().for_each(|cloud| cloud.set(Mood::Panics));
        let waits = kv.submit(put("second", b"2"));
        tokio::time::timeout(LONG, session.post_backup()).await.unwrap().unwrap_err();
        tokio::time::sleep(LONG).await;
        let status = session.status().unwrap();
        let reason = status.replicas[0].failing.as_ref().unwrap();
        assert!(reason.contains("panicked"), "{reason}");
        bed.clouds.iter().for_each(|cloud| cloud.set(Mood::Well));
        tokio::time::timeout(LONG, waits).await.unwrap().unwrap();
        for cloud in 0..2 {
            assert_eq!(bed.restored_from(cloud).await, contents(&session));
        }
        session.lock().await.unwrap();
    }
}
