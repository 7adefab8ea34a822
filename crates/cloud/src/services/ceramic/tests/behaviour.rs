//! One device and its node: tiles, pins, requests, errors.

use std::collections::BTreeSet;

use bytes::Bytes;
use sha2::{Digest, Sha256};

use super::{
    super::objects::{CHUNK, LARGEST},
    fake::{FakeNode, Fate, Version},
};
use crate::{CloudBackend, CloudError, ObjectName, PutMode};

fn name(name: &str) -> ObjectName {
    ObjectName::new(name).unwrap()
}

/// Bytes that do not repeat.
fn bytes(length: usize) -> Bytes {
    let block = |i: usize| Sha256::digest(i.to_le_bytes()).to_vec();
    (0..length.div_ceil(32)).flat_map(block).take(length).collect()
}

async fn put(cloud: &dyn CloudBackend, object: &str, bytes: Bytes) {
    cloud.put(&name(object), bytes, PutMode::CreateOnly).await.unwrap();
}

#[tokio::test]
async fn a_large_object_is_cut_into_commits_that_are_small_enough() {
    for version in [Version::One, Version::Two] {
        let node = FakeNode::new(version);
        let cloud = node.device(1, 300);
        let two_megabytes = bytes(2_000_000);
        put(&cloud, "large", two_megabytes.clone()).await;
        assert_eq!(node.tiles(), 2_000_000usize.div_ceil(CHUNK) + 1);
        assert!(node.largest_commit() <= 256_000, "{}", node.largest_commit());
        assert!(node.largest_commit() > 250_000, "tiles are not filled");
        let (found, _) = cloud.get(&name("large")).await.unwrap().unwrap();
        assert!(found == two_megabytes);
    }
}

#[tokio::test]
async fn sizes_around_a_chunk_come_back() {
    let cloud = FakeNode::new(Version::One).device(1, 300);
    for size in [0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 2 * CHUNK, 2 * CHUNK + 1] {
        let object = format!("size/{size}");
        put(&cloud, &object, bytes(size)).await;
        assert!(cloud.get(&name(&object)).await.unwrap().unwrap().0 == bytes(size), "{size}");
    }
    // The names of all tiles of the largest object fit into one.
    assert!(LARGEST as usize / CHUNK * 64 < 250_000);
}

#[tokio::test]
async fn only_what_is_needed_is_pinned() {
    for version in [Version::One, Version::Two] {
        let node = FakeNode::new(version);
        let cloud = node.device(1, 300);
        put(&cloud, "begins", bytes(1)).await;
        cloud.delete(&name("begins")).await.unwrap();
        let index = node.pins();
        put(&cloud, "a", bytes(3 * CHUNK)).await;
        let (first, tag) = cloud.get(&name("a")).await.unwrap().unwrap();
        assert_eq!(first.len(), 3 * CHUNK);
        let large: BTreeSet<String> = node.pins().difference(&index).cloned().collect();
        assert_eq!(large.len(), 4);
        // What is replaced, refused or deleted is let go of.
        cloud.put(&name("a"), bytes(7), PutMode::Replace(tag.clone())).await.unwrap();
        let small: BTreeSet<String> = node.pins().difference(&index).cloned().collect();
        assert_eq!(small.len(), 1);
        assert!(small.is_disjoint(&large));
        let refused = cloud.put(&name("a"), bytes(2 * CHUNK), PutMode::Replace(tag)).await;
        assert!(matches!(refused, Err(CloudError::Conflict { .. })));
        assert_eq!(node.pins().len(), index.len() + 1);
        cloud.delete(&name("a")).await.unwrap();
        assert_eq!(node.pins(), index);
    }
}

#[tokio::test]
async fn what_was_answered_survives_a_restart_of_the_node() {
    for version in [Version::One, Version::Two] {
        let node = FakeNode::new(version);
        let cloud = node.device(1, 4);
        for i in 0..10 {
            put(&cloud, &format!("o/{i}"), bytes(i)).await;
        }
        node.restart();
        for cloud in [cloud, node.device(1, 4)] {
            assert_eq!(cloud.list(&name("o"), None).await.unwrap().len(), 10);
            assert_eq!(cloud.get(&name("o/7")).await.unwrap().unwrap().0, bytes(7));
        }
    }
}

/// A node of version 2 answers 200 to the pins of version 1 and does nothing.
#[tokio::test]
async fn a_pin_that_was_answered_with_a_warning_is_none() {
    let node = FakeNode::new(Version::Two);
    let stranger = node.stranger(1);
    let error = stranger.put(&name("a"), bytes(1), PutMode::CreateOnly).await.unwrap_err();
    let CloudError::Unauthorized { source } = &error else { panic!("{error:?}") };
    let message = source.to_string();
    assert!(message.contains(stranger.did()) && message.contains("admin-dids"), "{message}");
    assert!(node.pins().is_empty());
    // An administrator's backups can be read by the same identity without being one.
    let admin = node.device(2, 300);
    put(&admin, "a", bytes(1)).await;
    let requests = node.requests();
    assert!(requests.iter().any(|r| r.contains("admin/pins")), "{requests:?}");
}

#[tokio::test]
async fn reading_needs_no_right_to_pin() {
    let node = FakeNode::new(Version::Two);
    put(&node.device(1, 300), "a", bytes(9)).await;
    let reader = node.stranger(1);
    node.fate(|_| Fate::Answered);
    assert_eq!(reader.get(&name("a")).await.unwrap().unwrap().0, bytes(9));
    assert!(!node.requests().iter().any(|request| request.contains("pins")));
}

#[tokio::test]
async fn polling_with_nothing_new_is_one_request() {
    let node = FakeNode::new(Version::One);
    let cloud = node.device(1, 4);
    for i in 0..9 {
        put(&cloud, &format!("o/{i}"), bytes(1)).await;
    }
    cloud.list(&name("o"), None).await.unwrap();
    node.fate(|_| Fate::Answered);
    assert_eq!(cloud.list(&name("o"), None).await.unwrap().len(), 9);
    assert_eq!(node.requests(), ["Post multiqueries"]);
}

#[tokio::test]
async fn a_put_is_three_requests() {
    let node = FakeNode::new(Version::One);
    let cloud = node.device(1, 300);
    put(&cloud, "first", bytes(1)).await;
    node.fate(|_| Fate::Answered);
    put(&cloud, "second", bytes(1)).await;
    assert_eq!(node.requests(), ["Post streams", "Post multiqueries", "Post commits"]);
}

#[tokio::test]
async fn gets_at_the_same_time_share_readings_of_the_index() {
    let node = FakeNode::new(Version::One);
    let cloud = node.device(1, 300);
    for i in 0..20 {
        put(&cloud, &format!("o/{i}"), bytes(i)).await;
    }
    node.fate(|_| Fate::Late(3));
    let mut gets = tokio::task::JoinSet::new();
    for i in 0..20 {
        let cloud = cloud.clone();
        gets.spawn(async move { cloud.get(&name(&format!("o/{i}"))).await.unwrap().unwrap().0 });
    }
    let total: usize = gets.join_all().await.iter().map(Bytes::len).sum();
    assert_eq!(total, 190);
    let readings = node.requests().iter().filter(|r| r.contains("multiqueries")).count();
    assert!((1..=3).contains(&readings), "{readings}");
}

/// All errors are 500; the text says what to do.
#[tokio::test]
async fn the_text_of_an_error_tells_what_to_do() {
    let node = FakeNode::new(Version::One);
    let cloud = node.device(1, 300);
    put(&cloud, "a", bytes(1)).await;
    let mut kinds = Vec::new();
    for text in [
        "ENOSPC: no space left on device, write",
        "Can not verify signature for commit bafy",
        "Method not supported by read only Ceramic Gateway",
        "commit size 300000 exceeds the maximum block size of 256000",
        "Timeout error while loading CID bafy from IPFS",
        "something nobody has seen before",
    ] {
        node.fate(move |_| Fate::Says(text));
        let error = cloud.put(&name("b"), bytes(1), PutMode::CreateOnly).await.unwrap_err();
        kinds.push(format!("{error:?}").split(' ').next().unwrap().to_owned());
    }
    let expected = ["Full", "Unauthorized", "Unauthorized", "TooOld", "Unavailable", "Unavailable"];
    assert_eq!(kinds, expected);
}

/// A stream that the node leaves out of an answer is not an empty one.
#[tokio::test]
async fn an_index_that_cannot_be_loaded_is_an_error() {
    let node = FakeNode::new(Version::One);
    let cloud = node.device(1, 300);
    put(&cloud, "a/b", bytes(1)).await;
    node.forget_everything();
    let listing = cloud.list(&name("a"), None).await;
    assert!(matches!(listing, Err(CloudError::Unavailable { .. })), "{listing:?}");
}

/// The tile of an object holds other bytes than its size says.
#[tokio::test]
async fn an_object_in_pieces_is_damaged() {
    let node = FakeNode::new(Version::One);
    let cloud = node.device(1, 300);
    put(&cloud, "a", bytes(100)).await;
    node.tamper();
    let got = cloud.get(&name("a")).await;
    assert!(matches!(&got, Err(CloudError::Damaged { name }) if name.as_str() == "a"), "{got:?}");
}

#[tokio::test]
async fn identities_on_one_node_do_not_see_each_other() {
    let node = FakeNode::new(Version::One);
    put(&node.device(1, 300), "o/mine", bytes(1)).await;
    let other = node.device(2, 300);
    assert!(other.list(&name("o"), None).await.unwrap().is_empty());
    assert!(other.get(&name("o/mine")).await.unwrap().is_none());
}

#[tokio::test]
async fn nothing_shown_holds_the_secret() {
    let cloud = FakeNode::new(Version::One).device(7, 300);
    let shown = format!("{cloud:?} {:?}", cloud.index);
    assert!(shown.contains("did:key:z6Mk"));
    let secret = [format!("{:?}", [7u8; 32]), data_encoding::HEXLOWER.encode(&[7; 32])];
    assert!(secret.iter().all(|secret| !shown.contains(secret)));
}
