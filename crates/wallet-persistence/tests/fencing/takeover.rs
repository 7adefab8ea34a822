//! Another device takes over: what that needs, and what becomes of the old one.

use std::sync::Arc;

use cloud::{
    DirCloud,
    testing::{Failure, FlakyCloud, Weather},
};
use wallet_persistence::{Error, Event, Refusal, RootSecret, SingleWriter, WalletPersistence};

use crate::bed::{
    Cloud, account, memory, read, refusal, restored, root, settings, signed_out, wallet, write,
};

#[tokio::test(flavor = "multi_thread")]
async fn a_restored_device_takes_over_before_it_writes_and_the_old_one_is_stopped() {
    let dir = tempfile::tempdir().unwrap();
    let clouds: [Cloud; 1] = [Arc::new(DirCloud::open(dir.path().join("cloud")).unwrap())];
    let old = wallet(&dir.path().join("old"), &clouds).create(&root()).await.unwrap();
    write(&old, "one", b"1").unwrap();
    let report = old.post_backup().await.unwrap();
    assert_eq!(report.single_writer, Some(SingleWriter::Acknowledged));
    let status = old.status().unwrap();
    assert_eq!((status.epoch, status.single_writer), (1, "open"));
    assert_eq!(status.fenced_to, Some(report.sequence));

    let new = restored(&dir.path().join("new"), &clouds).await;
    assert_eq!(refusal(write(&new, "two", b"2")), Some(Refusal::TakeOverFirst));
    assert_eq!(new.status().unwrap().single_writer, "take-over-first");
    account(&new, 1).await;
    new.post_backup().await.unwrap();

    let taken = new.take_over().await.unwrap();
    assert_eq!((taken.epoch, taken.clouds, taken.needed), (2, 1, 1));
    assert_eq!(taken.deposed, Some(old.status().unwrap().writer));
    assert_eq!(taken.counts_to, report.sequence);
    write(&new, "two", b"2").unwrap();
    let report = new.post_backup().await.unwrap();
    assert_eq!(report.single_writer, Some(SingleWriter::Acknowledged));

    // The old device writes locally until it hears of it; nothing of that is acknowledged.
    let mut events = old.events();
    write(&old, "late", b"x").unwrap();
    let late = old.post_backup().await.unwrap();
    assert_eq!(late.single_writer, Some(SingleWriter::Stopped));
    assert!(matches!(refusal(write(&old, "later", b"x")), Some(Refusal::Fenced { epoch: 2, .. })));
    let stopped = std::iter::from_fn(|| events.try_recv().ok())
        .any(|event| matches!(event, Event::SingleWriterStopped { .. }));
    assert!(stopped, "it is told");
    account(&old, 2).await;
    let goes_on = old.post_backup().await.unwrap();
    assert_eq!(goes_on.single_writer, None, "data that merges goes on");
    assert_eq!(old.status().unwrap().lag_records, 0);

    // A restore takes the single-writer data of the new one only, and what merges of both.
    let third = restored(&dir.path().join("third"), &clouds).await;
    assert_eq!(read(&third, "two"), Some(b"2".into()));
    assert_eq!(read(&third, "late"), None, "what a deposed device wrote does not count");
    assert_eq!(third.accounts().unwrap().len(), 2);
    for session in [old, new, third] {
        session.lock().await.unwrap();
    }
    // The gate is closed after a reopening, too.
    let old = wallet(&dir.path().join("old"), &clouds).unlock(&root()).await.unwrap();
    assert!(matches!(refusal(write(&old, "later", b"x")), Some(Refusal::Fenced { epoch: 2, .. })));
    old.lock().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_takeover_never_loses_what_was_acknowledged_since_the_restore() {
    let dir = tempfile::tempdir().unwrap();
    let clouds = [memory()];
    let old = wallet(&dir.path().join("old"), &clouds).create(&root()).await.unwrap();
    write(&old, "one", b"1").unwrap();
    old.post_backup().await.unwrap();
    let new = restored(&dir.path().join("new"), &clouds).await;
    write(&old, "two", b"2").unwrap();
    let sequence = old.post_backup().await.unwrap().sequence;
    let refused = new.take_over().await.unwrap_err();
    let old_writer = old.status().unwrap().writer;
    assert!(
        matches!(&refused, Error::BehindTheFence { writer, sequence: at }
            if *writer == old_writer && *at == sequence),
        "{refused:?}"
    );
    write(&old, "three", b"3").unwrap();
    assert_eq!(
        old.post_backup().await.unwrap().single_writer,
        Some(SingleWriter::Acknowledged),
        "a refused takeover is in nobody's way"
    );
    old.lock().await.unwrap();
    new.lock().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_takeover_without_its_quorum_is_refused_and_names_the_missing_clouds() {
    let dir = tempfile::tempdir().unwrap();
    let weather = Weather::fair();
    let steady = [memory(), memory()];
    let shaky: Cloud = Arc::new(FlakyCloud::new(memory(), weather.clone()));
    let clouds = [steady[0].clone(), steady[1].clone(), shaky];
    let with = |folder: &str| {
        let mut settings = settings();
        // Any two of three: a takeover needs two.
        settings.acknowledged_by = Some(2);
        let mut builder = WalletPersistence::builder(dir.path().join(folder)).settings(settings);
        for cloud in &clouds {
            builder = builder.cloud(cloud.clone());
        }
        builder.build()
    };
    let old = with("old").create(&root()).await.unwrap();
    write(&old, "one", b"1").unwrap();
    old.post_backup().await.unwrap();
    let wallet = with("new");
    wallet.restore(&root(), |_| ()).await.unwrap();
    let new = wallet.unlock(&root()).await.unwrap();
    // One of three does not answer: two are enough.
    signed_out(&weather);
    weather.fail_from(1, Failure::Lost);
    let taken = new.take_over().await.unwrap();
    assert_eq!((taken.clouds, taken.needed, taken.missing), (2, 2, vec!["cloud 3".to_owned()]));
    // The third one follows with the next backup.
    weather.clear_up();
    write(&new, "two", b"2").unwrap();
    let report = new.post_backup().await.unwrap();
    assert_eq!(report.single_writer, Some(SingleWriter::Acknowledged));
    let status = new.status().unwrap();
    assert_eq!(status.findings, []);
    for session in [old, new] {
        session.lock().await.unwrap();
    }

    // Acknowledged by one of three: all three are needed.
    let clouds = [steady[0].clone(), steady[1].clone(), clouds[2].clone()];
    let root = RootSecret::from_bytes([8; 32]);
    let with = |folder: &str| {
        let mut settings = settings();
        settings.acknowledged_by = Some(1);
        let mut builder = WalletPersistence::builder(dir.path().join(folder)).settings(settings);
        for cloud in &clouds {
            builder = builder.cloud(cloud.clone());
        }
        builder.build()
    };
    let old = with("old1").create(&root).await.unwrap();
    write(&old, "one", b"1").unwrap();
    old.post_backup().await.unwrap();
    let wallet = with("new1");
    wallet.restore(&root, |_| ()).await.unwrap();
    let new = wallet.unlock(&root).await.unwrap();
    weather.fail_from(1, Failure::Lost);
    let refused = new.take_over().await.unwrap_err();
    assert!(
        matches!(&refused, Error::TakeoverIncomplete { held: 0, needed: 3, missing }
            if missing == "cloud 3"),
        "{refused:?}"
    );
    assert_eq!(refusal(write(&new, "two", b"2")), Some(Refusal::TakeOverFirst));
    weather.clear_up();
    write(&old, "two", b"2").unwrap();
    let report = old.post_backup().await.unwrap();
    assert_eq!(report.single_writer, Some(SingleWriter::Acknowledged), "nothing was half taken");
    for session in [old, new] {
        session.lock().await.unwrap();
    }
}
