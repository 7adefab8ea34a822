//! What the clouds hold, listed; and what is remembered of the last verified restore.

use std::{collections::BTreeMap, sync::Arc};

use kv_core::{KvStoreExt, testing::Random};
use wallet_persistence::{ChainSummary, DumpKind, ProfileField, RestoreAt, Session, VerifiedBy};

use crate::common::{
    Answer, Call, Contents, DAY, Device, Watched, contents, key, ns, restored, root, write,
};

/// Changes a few keys, backs up, and sometimes dumps; what each restore point holds.
async fn busy(device: &Device, session: &Session, seed: u64) -> BTreeMap<u64, Contents> {
    let mut random = Random::seeded(seed);
    let mut points = BTreeMap::new();
    for step in 0..16u64 {
        device.clock.advance(1 + random.below(20_000));
        for _ in 0..=random.below(3) {
            let value = format!("{step}");
            session.kv().unwrap().write(&ns("s"), &key(random.below(5)), value).unwrap();
        }
        session.post_backup().await.unwrap();
        match random.below(5) {
            0 => drop(session.dump(DumpKind::Full).await.unwrap()),
            1 => drop(session.dump(DumpKind::Delta).await.unwrap()),
            _ => {}
        }
        points.insert(session.status().unwrap().sequence, contents(session));
    }
    points
}

#[tokio::test(flavor = "multi_thread")]
async fn every_listed_restore_point_can_be_restored_and_no_other() {
    for seed in 0..6 {
        let cloud = Watched::new();
        let device = Device::new(&cloud, 1_000_000);
        let session = device.create().await;
        let made = busy(&device, &session, seed).await;
        let listed = session.restore_points(usize::MAX).await.unwrap();
        let chain = session.list_backups().await.unwrap().chains.remove(0);
        assert_eq!(chain.restore_points, listed.len() as u64, "seed {seed}: by the names alone");
        let sequences: Vec<u64> = listed.iter().map(|point| point.sequence).collect();
        assert!(sequences.is_sorted_by(|a, b| a > b), "seed {seed}: {sequences:?}");
        let made_there: Vec<u64> = made.keys().rev().copied().collect();
        let backed_up: Vec<u64> =
            sequences.iter().copied().filter(|at| made.contains_key(at)).collect();
        assert_eq!(backed_up, made_there, "seed {seed}: every backup is a restore point");
        for at in 1..=sequences[0] {
            let newest = listed.iter().find(|point| point.sequence <= at);
            match (restored(&cloud, RestoreAt::Sequence(at)).await, newest) {
                (Ok((found, report)), Some(point)) => {
                    assert_eq!((report.sequence, &report.writer), (point.sequence, &point.writer));
                    assert_eq!(report.time, point.time, "seed {seed}");
                    assert!(made.get(&report.sequence).is_none_or(|made| *made == found));
                }
                (Err(_), None) => {}
                (found, point) => panic!("seed {seed} at {at}: {found:?}, listed {point:?}"),
            }
        }
        let some = session.restore_points(4).await.unwrap();
        assert_eq!(some, listed[..4]);
        assert!(session.restore_points(0).await.unwrap().is_empty());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_listing_shows_chains_dumps_sizes_and_ages() {
    let cloud = Watched::new();
    let old = Device::new(&cloud, 100 * DAY);
    let session = old.create().await;
    write(&session, "s", 0..2000, 1).await;
    session.post_backup().await.unwrap();
    old.clock.advance(DAY);
    write(&session, "s", 0..10, 2).await;
    session.dump(DumpKind::Delta).await.unwrap();
    write(&session, "s", 0..3, 3).await;
    session.post_backup().await.unwrap();
    let mine = session.status().unwrap();

    let new = Device::new(&cloud, 103 * DAY);
    new.wallet.restore(&root(), |_| ()).await.unwrap();
    let session = new.wallet.unlock(&root()).await.unwrap();
    session.set_profile(ProfileField::GivenName, "Ada").await.unwrap();
    session.post_backup().await.unwrap();
    new.clock.advance(1000);
    let listing = session.list_backups().await.unwrap();

    let [new_chain, old_chain] = listing.chains.as_slice() else { panic!("{listing:?}") };
    assert!(new_chain.mine && !old_chain.mine);
    // Heads of one moment are a millisecond apart.
    let seconds = |chain: &ChainSummary| chain.age_ms.map(|ms| ms.div_ceil(1000));
    assert_eq!((seconds(new_chain), seconds(old_chain)), (Some(1), Some(2 * DAY / 1000 + 1)));
    assert_eq!((&old_chain.writer, old_chain.sequence), (&mine.writer, Some(mine.sequence)));
    assert_eq!(old_chain.since, Some(100 * DAY), "back to the first dump");
    assert!(!old_chain.retired);
    let kinds: Vec<_> = old_chain.dumps.iter().map(|d| (d.kind, d.time, d.entries)).collect();
    assert_eq!(kinds, [(DumpKind::Delta, 101 * DAY, 10), (DumpKind::Full, 100 * DAY, 2000)]);
    let delta = &old_chain.dumps[0];
    assert_eq!((delta.age_ms, delta.objects), (2 * DAY + 1000, 2));
    assert_eq!(delta.value_bytes, 3000);

    // Every byte is in one class, and but for the fencing head in one chain and in one dump or
    // segment.
    let all: u64 = listing.objects.iter().map(|class| class.bytes).sum();
    let stored = cloud.stored_bytes().await;
    assert_eq!((all, listing.clouds[0].bytes), (stored, stored));
    let fence = listing.objects.iter().find(|class| class.class == "fencing head").unwrap();
    assert_eq!(fence.objects, 1);
    assert_eq!(listing.chains.iter().map(|chain| chain.bytes).sum::<u64>() + fence.bytes, all);
    let heads = listing.objects.iter().find(|class| class.class == "head").unwrap();
    let below = listing
        .chains
        .iter()
        .flat_map(|chain| chain.dumps.iter().map(|dump| dump.bytes).chain([chain.segment_bytes]));
    assert_eq!(below.sum::<u64>() + heads.bytes + fence.bytes, all);
    assert_eq!(listing.clouds[0].objects, listing.objects.iter().map(|c| c.objects).sum::<u64>());
    assert_eq!((listing.clouds[0].lacks, &listing.clouds[0].failure), (0, &None));
    assert!(listing.problems.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_read_is_told_and_the_rest_is_listed() {
    let cloud = Watched::new();
    let device = Device::new(&cloud, DAY);
    let session = device.create().await;
    write(&session, "s", 0..10, 1).await;
    session.post_backup().await.unwrap();
    write(&session, "s", 0..10, 2).await;
    session.dump(DumpKind::Full).await.unwrap();
    let dumps = cloud.names("/i/").await;
    assert_eq!(dumps.len(), 2);
    cloud::CloudBackend::delete(&cloud.inner, &dumps[0]).await.unwrap();
    let listing = session.list_backups().await.unwrap();
    assert!(listing.problems.len() == 1 && listing.problems[0].contains(dumps[0].as_str()));
    assert_eq!(listing.chains[0].sequence, Some(session.status().unwrap().sequence));
    for head in cloud.names("/h/").await {
        let damaged = vec![0; 100].into();
        let how = cloud::PutMode::Overwrite;
        cloud::CloudBackend::put(&cloud.inner, &head, damaged, how).await.unwrap();
    }
    let listing = session.list_backups().await.unwrap();
    assert_eq!((listing.chains[0].sequence, listing.chains[0].restore_points), (None, 0));
    assert!(listing.problems.len() > 1, "{:?}", listing.problems);
    assert!(session.restore_points(5).await.unwrap().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cloud_that_lacks_objects_or_does_not_answer_is_told() {
    let (one, two) = (Watched::new(), Watched::new());
    let device = Device::with_clouds(&[&one, &two], DAY, |_| ());
    let session = device.create().await;
    write(&session, "s", 0..10, 1).await;
    session.post_backup().await.unwrap();
    let lost = two.names("/d/").await;
    cloud::CloudBackend::delete(&two.inner, &lost[0]).await.unwrap();
    let listing = session.list_backups().await.unwrap();
    assert_eq!(listing.clouds.iter().map(|cloud| cloud.lacks).collect::<Vec<_>>(), [0, 1]);
    assert_eq!((&*listing.clouds[0].cloud, &*listing.clouds[1].cloud), ("cloud 1", "cloud 2"));
    two.rule(|call| if matches!(call, Call::List) { Answer::Fails } else { Answer::AsIs });
    let listing = session.list_backups().await.unwrap();
    assert!(listing.clouds[0].failure.is_none() && listing.clouds[0].objects == 4);
    assert!(listing.clouds[1].failure.is_some() && listing.clouds[1].objects == 0);
    assert_eq!(listing.chains.len(), 1);
    one.rule(|call| if matches!(call, Call::List) { Answer::Fails } else { Answer::AsIs });
    session.list_backups().await.unwrap_err();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_last_verified_restore_is_remembered() {
    let cloud = Watched::new();
    let device = Device::new(&cloud, DAY);
    let session = device.create().await;
    let last = |session: &Session| session.status().unwrap().last_verified;
    assert_eq!(last(&session), None, "nothing was tried yet");
    session.verify(false).await.unwrap();
    session.verify(true).await.unwrap();
    assert_eq!(last(&session), None, "there is nothing to restore");
    write(&session, "s", 0..10, 1).await;
    session.post_backup().await.unwrap();
    assert_eq!(last(&session), None, "a backup is no verified restore");
    device.clock.advance(7);
    let report = session.verify(true).await.unwrap();
    let whole = report.clouds[0].whole.clone().unwrap();
    let verified = last(&session).unwrap();
    let status = session.status().unwrap();
    assert_eq!((verified.time, verified.by), (DAY + 7, VerifiedBy::Verify));
    assert_eq!((&verified.writer, verified.sequence), (&status.writer, status.sequence));
    assert_eq!((whole.sequence, verified.point_time), (verified.sequence, whole.time));
    assert_eq!((verified.clouds, verified.clouds_asked), (1, 1));

    // What fails leaves it as it was; so does a look at the device alone.
    write(&session, "s", 0..10, 2).await;
    session.post_backup().await.unwrap();
    device.clock.advance(1000);
    let good: Arc<Watched> = cloud.clone();
    cloud.rule(|call| match call {
        Call::Get(name) if name.as_str().contains("/s/") => Answer::Fails,
        _ => Answer::AsIs,
    });
    session.verify(true).await.unwrap_err();
    good.honest();
    let lost = cloud.names("/s/").await;
    let bytes = cloud::CloudBackend::get(&cloud.inner, &lost[0]).await.unwrap().unwrap().0;
    cloud::CloudBackend::delete(&cloud.inner, &lost[0]).await.unwrap();
    let report = session.verify(true).await.unwrap();
    assert!(report.is_damaged() && report.clouds[0].whole.is_none());
    session.verify(false).await.unwrap();
    assert_eq!(last(&session).as_ref(), Some(&verified));
    session.lock().await.unwrap();
    let session = device.wallet.unlock(&root()).await.unwrap();
    assert_eq!(last(&session).as_ref(), Some(&verified), "it is on the disk");
    let digest = session.digest().await.unwrap();

    // A restore remembers itself, on the new device.
    let how = cloud::PutMode::Overwrite;
    cloud::CloudBackend::put(&cloud.inner, &lost[0], bytes, how).await.unwrap();
    let new = Device::new(&cloud, 9 * DAY);
    let report = new.wallet.restore(&root(), |_| ()).await.unwrap();
    let restored = new.wallet.unlock(&root()).await.unwrap();
    let verified = last(&restored).unwrap();
    assert_eq!((verified.time, verified.by), (9 * DAY, VerifiedBy::Restore));
    assert_eq!((&verified.writer, verified.sequence), (&report.writer, report.sequence));
    assert_eq!(verified.point_time, report.time);
    assert_eq!(restored.digest().await.unwrap(), digest, "it is no data");
    // Before its first backup it has nothing to compare, but what it would restore is verified.
    new.clock.advance(5);
    restored.verify(true).await.unwrap();
    let verified = last(&restored).unwrap();
    assert_eq!((verified.by, verified.time), (VerifiedBy::Verify, 9 * DAY + 5));
    assert_eq!((&verified.writer, verified.sequence), (&report.writer, report.sequence));
}
