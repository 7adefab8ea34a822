//! The index over many pages.

use std::collections::BTreeSet;

use serde_json::json;

use super::{
    super::{
        cid::{Cid, StreamId},
        objects::Stored,
        page::{Entry, Page},
    },
    fake::{FakeNode, Fate, Version},
};
use crate::{CloudBackend, ObjectName, PutMode, poll_backups};

fn name(name: &str) -> ObjectName {
    ObjectName::new(name).unwrap()
}

fn entry(number: u64, object: Option<u64>) -> Entry {
    let stored = object.map(|n| {
        let root = StreamId::of_tile(&Cid::of_cbor(&n.to_le_bytes()));
        Stored { root, size: n }
    });
    Entry { number, stored }
}

/// A page written by its patches is read as it was meant, and every patch is small.
#[test]
fn a_page_is_read_as_it_was_written() {
    let names = (0..3000).map(|i| name(&format!("sr1/{}/{i}", "x".repeat(1 + i % 400))));
    let entries = names
        .enumerate()
        .map(|(i, name)| (name, entry(i as u64 + 1, (i % 3 > 0).then_some(i as u64))));
    let entries: std::collections::BTreeMap<_, _> = entries.collect();
    let mut content = json!({});
    let patches = Page::default().patches(7, entries.iter());
    assert!(patches.len() > 3);
    for patch in patches {
        assert!(patch.to_string().len() < 200_000);
        super::fake::patch(&mut content, &patch);
    }
    let page = Page::parse(&content).unwrap();
    assert!(page.begun && !page.closed);
    assert_eq!((page.base, page.highest()), (7, 3000));
    assert_eq!(page.entries, entries);
    assert!(page.patches(0, std::iter::empty()).is_empty());
}

/// The bytes of the format page `ceramic-index-v1`.
#[test]
fn a_golden_page_is_written_and_read() {
    let golden = include_str!("../../../../tests/golden/v1/ceramic-index.json");
    let golden: serde_json::Value = serde_json::from_str(golden).unwrap();
    let stream = |text: &str| StreamId::parse(text).unwrap();
    let small = Stored {
        root: stream("kjzl6cwe1jw149v5ky2df02ik31mjlnmdv6lzjuz9ul4k6pxts8s8xi8t9015cl"),
        size: 0,
    };
    let large = Stored {
        root: stream("kjzl6cwe1jw147td911p0eikznoxmxyzct44b6j4qncdfio0pe718h8e5za7fbf"),
        size: 2_000_000,
    };
    let entries = [
        (name("sr1/0-_.x/h/1"), Entry { number: 41, stored: Some(small) }),
        (name("sr1/0-_.x/s/2"), Entry { number: 43, stored: Some(large) }),
        (name("sr1/gone"), Entry { number: 42, stored: None }),
    ];
    let patches = Page::default().patches(40, entries.iter().map(|(name, entry)| (name, entry)));
    assert_eq!(patches, [golden["patch"].clone()]);
    let mut content = json!({});
    for patch in
        [&golden["patch"], &super::super::page::close(), &super::super::page::note_newest(7)]
    {
        super::fake::patch(&mut content, patch);
    }
    assert_eq!(content, golden["content"]);
    let page = Page::parse(&golden["content"]).unwrap();
    let expected = entries.into_iter().collect();
    assert_eq!(page, Page { begun: true, closed: true, newest: 7, base: 40, entries: expected });
}

#[test]
fn a_page_of_a_newer_version_is_refused() {
    assert!(!Page::parse(&json!({})).unwrap().begun);
    for content in [
        json!({"format": "2", "entries": {}}),
        json!({"format": "1"}),
        json!({"format": "1", "entries": {"a": "x"}}),
        json!({"format": "1", "entries": {"A": "1"}}),
        json!({"format": "1", "entries": {"a": "1 2"}}),
        json!({"format": "1", "entries": {"a": "1 2 k/../x"}}),
        json!({"format": "1", "base": "-1", "entries": {}}),
    ] {
        let error = Page::parse(&content).unwrap_err();
        assert!(matches!(error, crate::CloudError::BadAddress { .. }), "{content}");
    }
}

/// Objects come and go over many pages; a device that comes later finds what there is, soon.
#[tokio::test]
async fn many_pages_keep_what_there_is_and_nothing_else() {
    for version in [Version::One, Version::Two] {
        let node = FakeNode::new(version);
        let cloud = node.device(1, 5);
        let mut there = BTreeSet::new();
        for i in 0..150 {
            let object = name(&format!("o/{i:03}"));
            cloud.put(&object, "x".into(), PutMode::CreateOnly).await.unwrap();
            there.insert(object);
            if i % 3 != 0 {
                let gone = name(&format!("o/{:03}", i / 2));
                cloud.delete(&gone).await.unwrap();
                there.remove(&gone);
            }
        }
        for cloud in [cloud, node.device(1, 5)] {
            node.fate(|_| Fate::Answered);
            let found = poll_backups(&cloud, &name("o")).await.unwrap();
            assert!(found.iter().map(|meta| &meta.name).eq(&there));
            assert!(node.requests().len() <= 6, "{:?}", node.requests());
        }
    }
}

/// If turning a page breaks off anywhere, nothing is lost.
#[tokio::test]
async fn turning_a_page_may_break_off_anywhere() {
    for version in [Version::One, Version::Two] {
        for broken in 0..30 {
            for fate in [Fate::Lost, Fate::AnswerLost] {
                let node = FakeNode::new(version);
                let cloud = node.device(1, 4);
                let (put, mut there) = (PutMode::Overwrite, BTreeSet::new());
                for i in 0..3 {
                    cloud.put(&name(&format!("o/{i}")), "x".into(), put.clone()).await.unwrap();
                    there.insert(name(&format!("o/{i}")));
                }
                cloud.delete(&name("o/0")).await.unwrap();
                there.remove(&name("o/0"));
                let fate = fate.clone();
                node.fate(move |n| if n == broken { fate.clone() } else { Fate::Answered });
                for i in 3..6 {
                    let object = name(&format!("o/{i}"));
                    if cloud.put(&object, "x".into(), put.clone()).await.is_ok() {
                        there.insert(object);
                    }
                }
                node.fate(|_| Fate::Answered);
                for cloud in [cloud, node.device(1, 4)] {
                    let found = poll_backups(&cloud, &name("o")).await.unwrap();
                    let found: BTreeSet<_> = found.into_iter().map(|meta| meta.name).collect();
                    assert!(found.is_superset(&there), "{broken}: {found:?}");
                    assert!(!found.contains(&name("o/0")), "{broken}");
                }
            }
        }
    }
}
