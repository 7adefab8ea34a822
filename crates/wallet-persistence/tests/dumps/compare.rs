//! A device against its own backup.

use std::{
    pin::pin,
    sync::atomic::{AtomicBool, Ordering},
    task::{Context, Waker},
    time::Duration,
};

use cloud::CloudBackend;
use kv_mem::MemStore;
use wallet_persistence::{
    Batch, DumpKind, Error, Key, KvStore, KvStoreExt, Namespace, ProfileField, Value,
};

use crate::common::{Answer, Call, Device, Watched, key, ns, root, write};

/// Every sealed value below the wallet, as somebody with the disk sees it.
fn files(device: &Device) -> Vec<(Namespace, Key, Value)> {
    let store = MemStore::open(device.medium.clone()).unwrap();
    let mut files = Vec::new();
    for ns in store.namespaces().unwrap() {
        for key in store.list(&ns, None, usize::MAX).unwrap() {
            files.push((ns.clone(), key.clone(), store.read(&ns, &key).unwrap().unwrap()));
        }
    }
    files
}

/// Puts the values of `old` back wherever they differ now, but for the wallet's bookkeeping.
fn put_back(device: &Device, old: &[(Namespace, Key, Value)]) -> usize {
    let store = MemStore::open(device.medium.clone()).unwrap();
    let mut count = 0;
    for (ns, key, value) in old {
        if ns.primary().starts_with('~') {
            continue;
        }
        if store.read(ns, key).unwrap().is_some_and(|now| now != *value) {
            store.submit(Batch::new().put(ns, key, value.to_vec())).wait().unwrap();
            count += 1;
        }
    }
    count
}

#[tokio::test(flavor = "multi_thread")]
async fn old_files_put_back_are_found_by_verify_cloud() {
    for dump in [None, Some(DumpKind::Delta), Some(DumpKind::Full)] {
        let cloud = Watched::new();
        let device = Device::new(&cloud, 1_000_000);
        let session = device.create().await;
        write(&session, "s", 0..50, 1).await;
        session.set_profile(ProfileField::GivenName, "Ada").await.unwrap();
        session.post_backup().await.unwrap();
        session.lock().await.unwrap();
        let old = files(&device);
        let session = device.wallet.unlock(&root()).await.unwrap();
        write(&session, "s", 7..9, 2).await;
        session.set_profile(ProfileField::GivenName, "Grace").await.unwrap();
        session.post_backup().await.unwrap();
        if let Some(kind) = dump {
            session.dump(kind).await.unwrap();
        }
        assert!(!session.verify(true).await.unwrap().is_damaged());
        session.lock().await.unwrap();

        assert_eq!(put_back(&device, &old), 3);
        let session = device.wallet.unlock(&root()).await.unwrap();
        assert!(!session.verify(false).await.unwrap().is_damaged(), "they authenticate, after all");
        let report = session.verify(true).await.unwrap();
        assert!(report.is_damaged());
        assert_eq!(report.clouds[0].differing, 3, "{:?}", report.clouds[0].report.findings);
        let findings = &report.clouds[0].report.findings;
        let told = findings.iter().filter(|found| found.what.contains("restore from the backup"));
        assert_eq!(told.count(), 3, "{findings:?}");
        // A delta made now would carry on what somebody put there.
        write(&session, "s", 20..22, 3).await;
        if dump != Some(DumpKind::Full) {
            let refused = session.dump(DumpKind::Delta).await;
            assert!(
                matches!(refused, Err(Error::Backup(backup::Error::Differs { keys: 3 }))),
                "{refused:?}"
            );
        }
        // Backups go on nevertheless.
        session.post_backup().await.unwrap();
        assert_eq!(session.status().unwrap().lag_records, 0);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_changed_since_the_backup_is_no_difference() {
    let cloud = Watched::new();
    let device = Device::new(&cloud, 1_000_000);
    let session = device.create().await;
    let kv = session.kv().unwrap();
    write(&session, "s", 0..50, 1).await;
    kv.write(&ns("s"), &key(60), vec![1; 9 << 20]).unwrap();
    session.post_backup().await.unwrap();
    write(&session, "s", 0..5, 2).await;
    write(&session, "new", 0..5, 3).await;
    kv.remove(&ns("s"), &key(10)).unwrap();
    kv.remove(&ns("s"), &key(60)).unwrap();
    session.set_profile(ProfileField::GivenName, "Ada").await.unwrap();
    let report = session.verify(true).await.unwrap();
    assert!(!report.is_damaged(), "{:?}", report.clouds[0].report.findings);
    assert_eq!((report.clouds[0].compared, report.clouds[0].differing), (51, 0));
    // Removed and written again, in the dump and out of it.
    session.clear_profile(ProfileField::GivenName).await.unwrap();
    session.post_backup().await.unwrap();
    session.set_profile(ProfileField::GivenName, "Ada").await.unwrap();
    session.dump(DumpKind::Full).await.unwrap();
    let report = session.verify(true).await.unwrap();
    assert!(!report.is_damaged(), "{:?}", report.clouds[0].report.findings);
    session.clear_profile(ProfileField::GivenName).await.unwrap();
    session.dump(DumpKind::Delta).await.unwrap();
    let report = session.verify(true).await.unwrap();
    assert!(!report.is_damaged(), "{:?}", report.clouds[0].report.findings);
}

/// Of this device or of another one: what no restore point needs may go at any moment.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_deleted_while_a_scrub_runs_is_no_damage() {
    let cloud = Watched::new();
    let none = |settings: &mut wallet_persistence::Settings| {
        settings.keep_restore_points_for = Duration::ZERO;
    };
    let device = Device::with(&cloud, 1_000_000, none);
    let session = device.create().await;
    write(&session, "s", 0..5, 0).await;
    session.post_backup().await.unwrap();
    write(&session, "s", 0..5, 1).await;
    session.post_backup().await.unwrap();
    let mut old = Vec::new();
    for class in ["/d/", "/i/", "/s/"] {
        old.extend(cloud.names(class).await);
    }
    for salt in 2..5 {
        device.clock.advance(1000);
        write(&session, "s", 0..5, salt).await;
        session.post_backup().await.unwrap();
        session.dump(DumpKind::Full).await.unwrap();
    }
    let (truth, done) = (cloud.inner.clone(), AtomicBool::new(false));
    let (goes, count) = (old.clone(), old.len());
    cloud.rule(move |call| {
        if matches!(call, Call::Get(_)) && !done.swap(true, Ordering::SeqCst) {
            for name in &goes {
                let deleted =
                    pin!(truth.delete(name)).poll(&mut Context::from_waker(Waker::noop()));
                assert!(deleted.is_ready());
            }
        }
        Answer::AsIs
    });
    let report = session.verify(true).await.unwrap();
    assert!(!report.is_damaged(), "{report:?}");
    assert!(count >= 3 && cloud.names("/").await.iter().all(|name| !old.contains(name)));
}
