//! Several devices with one identity, each with a view of its own.

use std::{collections::BTreeSet, sync::Arc};

use super::fake::{FakeNode, Fate, Version};
use crate::{CloudBackend, CloudError, ObjectName, Probe, PutMode, poll_backups, probe};

fn name(name: &str) -> ObjectName {
    ObjectName::new(name).unwrap()
}

/// Small numbers that look random, the same for each seed.
pub(super) fn random(seed: u64) -> impl FnMut() -> u64 + Send {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state >> 33
    }
}

/// A writer that was away between reading and writing meets the newer state: on version 1 by the
/// log, on version 2 by the node's error. Both find each other's objects.
#[tokio::test]
async fn a_stale_concurrent_writer_is_detected() {
    for version in [Version::One, Version::Two] {
        let node = FakeNode::new(version);
        let (slow, quick) = (node.device(1, 300), node.device(1, 300));
        put(&quick, "o/begin").await;
        slow.list(&name("o"), None).await.unwrap();
        // The slow one's commit arrives after two of the quick one.
        node.fate(|_| Fate::Answered);
        let late = node.hold("commits");
        let slow_put = tokio::spawn({
            let slow = slow.clone();
            async move { slow.put(&name("o/contested"), "s".into(), PutMode::CreateOnly).await }
        });
        late.arrived().await;
        put(&quick, "o/contested").await;
        put(&quick, "o/other").await;
        late.release();
        let outcome = slow_put.await.unwrap();
        assert!(matches!(outcome, Err(CloudError::Conflict { .. })), "{version:?}: {outcome:?}");
        let there = ["o/begin", "o/contested", "o/other"].map(name);
        for cloud in [&slow, &quick, &node.device(1, 300)] {
            let found = poll_backups(cloud, &name("o")).await.unwrap();
            assert!(found.iter().map(|meta| &meta.name).eq(&there), "{version:?}");
            let (bytes, _) = cloud.get(&name("o/contested")).await.unwrap().unwrap();
            assert_eq!(bytes, "x");
        }
    }
}

/// What version 1 answered and then took back is found and written again.
#[tokio::test]
async fn a_displaced_change_is_written_again() {
    let mut displaced = 0;
    for round in 0..20 {
        let node = FakeNode::new(Version::One);
        let (slow, quick) = (node.device(1, 300), node.device(1, 300));
        put(&quick, "o/begin").await;
        slow.list(&name("o"), None).await.unwrap();
        let late = node.hold("commits");
        let slow_put = tokio::spawn({
            let (slow, object) = (slow.clone(), name(&format!("o/slow-{round}")));
            async move { slow.put(&object, "s".into(), PutMode::CreateOnly).await }
        });
        late.arrived().await;
        // One change upon the state that the slow one has seen, too.
        put(&quick, "o/quick").await;
        late.release();
        slow_put.await.unwrap().unwrap();
        let reader = node.device(1, 300);
        displaced += u32::from(reader.get(&name("o/quick")).await.unwrap().is_none());
        // Polling is enough to notice.
        assert_eq!(poll_backups(&quick, &name("o")).await.unwrap().len(), 3);
        assert_eq!(poll_backups(&reader, &name("o")).await.unwrap().len(), 3, "{round}");
    }
    assert!((1..20).contains(&displaced), "chance decides, and it never did: {displaced}");
}

/// Three devices write at once, turning pages meanwhile; in the end everybody finds everything.
#[test]
fn writers_on_several_devices_lose_nothing() {
    for version in [Version::One, Version::Two] {
        for seed in 0..20 {
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            runtime.block_on(several_writers(version, seed));
        }
    }
}

async fn several_writers(version: Version, seed: u64) {
    let node = FakeNode::new(version);
    let mut delay = random(seed);
    node.fate(move |_| Fate::Late((delay() % 9) as u32));
    let mut writers = tokio::task::JoinSet::new();
    for device in 0..3u64 {
        let cloud = node.device(1, 5);
        let mut random = random(seed * 3 + device + 1000);
        writers.spawn(async move {
            let mut mine = BTreeSet::new();
            for i in 0..12 {
                let object = name(&format!("o/{device}/{i}"));
                cloud.put(&object, "x".into(), PutMode::CreateOnly).await.unwrap();
                mine.insert(object);
                if random().is_multiple_of(3) {
                    let gone = mine.pop_first().unwrap();
                    cloud.delete(&gone).await.unwrap();
                }
            }
            (cloud, mine)
        });
    }
    let (mut clouds, mut expected) = (Vec::new(), BTreeSet::new());
    for (cloud, mine) in writers.join_all().await {
        clouds.push(cloud);
        expected.extend(mine);
    }
    // Each looks once, and writes again what was taken back.
    for cloud in &clouds {
        poll_backups(cloud, &name("o")).await.unwrap();
    }
    clouds.push(node.device(1, 5));
    for cloud in &clouds {
        let found = poll_backups(cloud, &name("o")).await.unwrap();
        let found: BTreeSet<_> = found.into_iter().map(|meta| meta.name).collect();
        assert_eq!(found, expected, "{version:?}, seed {seed}");
    }
}

/// From version 2 on the conditions hold between devices, too.
#[tokio::test]
async fn of_many_devices_one_creates_on_version_2() {
    let node = FakeNode::new(Version::Two);
    for round in 0..10 {
        let mut delay = random(round);
        node.fate(move |_| Fate::Late((delay() % 9) as u32));
        let mut devices = tokio::task::JoinSet::new();
        for _ in 0..5 {
            let (cloud, object) = (node.device(1, 300), name(&format!("contested/{round}")));
            devices.spawn(async move { cloud.put(&object, "x".into(), PutMode::CreateOnly).await });
        }
        let outcomes = devices.join_all().await;
        assert_eq!(outcomes.iter().filter(|outcome| outcome.is_ok()).count(), 1, "{outcomes:?}");
    }
}

async fn put(cloud: &dyn CloudBackend, object: &str) {
    cloud.put(&name(object), "x".into(), PutMode::CreateOnly).await.unwrap();
}

/// Handles of one process queue up for the view of the index, so of eight that race one always wins.
/// Devices do not, and version 1 lets both of two win.
#[tokio::test]
async fn only_a_version_that_checks_passes_the_probe() {
    for (version, found) in [(Version::One, Probe::NONE), (Version::Two, Probe::ALL)] {
        let node = FakeNode::new(version);
        let cloud: Arc<dyn CloudBackend> = Arc::new(node.device(1, 300));
        assert_eq!(probe(&cloud).await.unwrap(), found, "{version:?}");
    }
}
