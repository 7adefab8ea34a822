//! The laws of a cloud, on both versions of a node, with small pages, and on a bad line.

use std::{sync::Arc, time::Duration};

use super::fake::{FakeNode, Fate, Version};
use crate::{CloudBackend, RetrySettings, Retrying, testing::Testbed};

/// Clones of one device.
fn node(version: Version, commits_per_page: usize) -> impl Testbed {
    let cloud = FakeNode::new(version).device(1, commits_per_page);
    move || Arc::new(cloud.clone()) as Arc<dyn CloudBackend>
}

/// A device for each handle.
fn devices(version: Version) -> impl Testbed {
    let node = FakeNode::new(version);
    move || Arc::new(node.device(1, 300)) as Arc<dyn CloudBackend>
}

/// What handles of one process never see of each other, others may.
const NO_FENCE: (&str, &str) =
    ("it_passes_the_probe", "version 1 does not look what a commit is based on");

/// A line on which now and then a request is lost, or an answer.
fn bad_line(version: Version) -> impl Testbed {
    let node = FakeNode::new(version);
    let mut random = super::devices::random(5);
    node.fate(move |_| match random() % 20 {
        3 => Fate::Lost,
        10 => Fate::AnswerLost,
        other => Fate::Late(other as u32 % 3),
    });
    let settings = RetrySettings {
        first_wait: Duration::from_micros(10),
        longest_wait: Duration::from_micros(100),
        budget: Duration::from_secs(60),
    };
    let cloud = node.device(1, 20);
    move || Arc::new(Retrying::new(Arc::new(cloud.clone()), settings)) as Arc<dyn CloudBackend>
}

mod version_1 {
    crate::conformance!(|| super::node(super::Version::One, 300); breaks [super::NO_FENCE]);
}

mod version_1_between_devices {
    crate::conformance!(|| super::devices(super::Version::One); breaks [
        super::NO_FENCE,
        ("law_4_one_creator_wins", "of two commits upon one state the later may win"),
        ("law_5_one_replacer_wins", "of two commits upon one state the later may win"),
    ]);
}

mod version_1_in_small_pages {
    crate::conformance!(|| super::node(super::Version::One, 4); breaks [super::NO_FENCE]);
}

mod version_2 {
    crate::conformance!(|| super::node(super::Version::Two, 300));
}

mod version_2_between_devices {
    crate::conformance!(|| super::devices(super::Version::Two));
}

mod version_2_in_small_pages {
    crate::conformance!(|| super::node(super::Version::Two, 5));
}

mod version_1_on_a_bad_line {
    crate::conformance!(|| super::bad_line(super::Version::One); breaks [super::NO_FENCE]);
}

mod version_2_on_a_bad_line {
    crate::conformance!(|| super::bad_line(super::Version::Two));
}
