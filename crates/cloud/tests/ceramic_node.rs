//! The Ceramic client against a real node. These tests exist where the node is installed:
//! `cargo xtask ceramic-node`.

#![expect(clippy::unwrap_used, reason = "tests panic")]

use std::{collections::BTreeSet, sync::Arc};

use cloud::{
    CeramicCloud, CloudBackend, CloudError, HttpSettings, ObjectName, PutMode, poll_backups,
    testing::{CeramicNode, conformance},
};
use libtest_mimic::{Arguments, Trial};

fn main() {
    let arguments = Arguments::from_args();
    let tests: [(&str, fn()); 6] = [
        ("the_laws_hold_on_a_real_node", the_laws_hold_on_a_real_node),
        ("a_real_node_keeps_what_was_answered", a_real_node_keeps_what_was_answered),
        ("a_real_node_takes_two_megabytes", a_real_node_takes_two_megabytes),
        ("a_stale_writer_is_detected_on_a_real_node", a_stale_writer_is_detected_on_a_real_node),
        ("devices_on_a_real_node_lose_nothing", devices_on_a_real_node_lose_nothing),
        ("a_node_that_does_not_answer_is_unavailable", a_node_that_does_not_answer_is_unavailable),
    ];
    let trials = tests.into_iter().filter(|_| CeramicNode::is_installed());
    let trials = trials.map(|(name, test)| {
        Trial::test(name, move || {
            test();
            Ok(())
        })
    });
    libtest_mimic::run(&arguments, trials.collect()).exit();
}

/// What version 1 is known not to keep.
const KNOWN: [(&str, &str); 1] =
    [("it_passes_the_probe", "it does not look what a commit is based on")];

/// A node with its folder.
struct Bed {
    node: Option<CeramicNode>,
    _state: tempfile::TempDir,
}

impl Bed {
    fn new() -> Self {
        let state = tempfile::tempdir().unwrap();
        Self { node: Some(CeramicNode::start(state.path())), _state: state }
    }

    /// A device with the identity of this number.
    fn device(&self, identity: u8) -> CeramicCloud {
        let address = self.node.as_ref().unwrap().address();
        CeramicCloud::new(&address, &[identity; 32], &HttpSettings::default()).unwrap()
    }

    fn again(&mut self, how: impl FnOnce(CeramicNode) -> CeramicNode) {
        self.node = self.node.take().map(how);
    }
}

fn run<T>(test: impl Future<Output = T>) -> T {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(test)
}

fn name(name: &str) -> ObjectName {
    ObjectName::new(name).unwrap()
}

/// The whole suite on one node, each law with an identity of its own.
fn the_laws_hold_on_a_real_node() {
    let bed = Bed::new();
    let identities = std::sync::atomic::AtomicU8::new(1);
    let fresh = || {
        let identity = identities.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
        let cloud = bed.device(identity);
        move || Arc::new(cloud.clone()) as Arc<dyn CloudBackend>
    };
    for (law, check) in conformance::laws() {
        conformance::try_law(module_path!(), law, &KNOWN, || check(&fresh));
    }
}

/// Stopped cleanly or killed, the node comes back with everything, also for a device that knows
/// nothing but its identity.
fn a_real_node_keeps_what_was_answered() {
    let mut bed = Bed::new();
    let fill = async |cloud: &CeramicCloud, from: usize| {
        for i in from..from + 5 {
            let object = name(&format!("o/{i}"));
            cloud.put(&object, vec![7; i * 1000].into(), PutMode::CreateOnly).await.unwrap();
        }
    };
    let check = async |cloud: &CeramicCloud, count: usize| {
        let found = poll_backups(cloud, &name("o")).await.unwrap();
        assert_eq!(found.len(), count);
        for meta in found {
            let (bytes, _) = cloud.get(&meta.name).await.unwrap().unwrap();
            assert_eq!(bytes.len() as u64, meta.size);
        }
    };
    let old = bed.device(1);
    run(fill(&old, 0));
    bed.again(CeramicNode::restart);
    run(async {
        check(&bed.device(1), 5).await;
        check(&old, 5).await;
        fill(&old, 5).await;
    });
    bed.again(CeramicNode::kill_and_restart);
    run(check(&bed.device(1), 10));
}

fn a_real_node_takes_two_megabytes() {
    let bed = Bed::new();
    run(async {
        let bytes: bytes::Bytes = (0..2_000_000u32).map(|i| (i ^ (i >> 7)) as u8).collect();
        bed.device(1).put(&name("large"), bytes.clone(), PutMode::CreateOnly).await.unwrap();
        let (found, _) = bed.device(1).get(&name("large")).await.unwrap().unwrap();
        assert!(found == bytes);
    });
}

/// A device that replaces what it saw, after another one has replaced it.
fn a_stale_writer_is_detected_on_a_real_node() {
    let bed = Bed::new();
    run(async {
        let (stale, quick) = (bed.device(1), bed.device(1));
        let object = name("head");
        let tag = stale.put(&object, "1".into(), PutMode::CreateOnly).await.unwrap();
        let newer = quick.put(&object, "2".into(), PutMode::Replace(tag.clone())).await.unwrap();
        for how in [PutMode::Replace(tag), PutMode::CreateOnly] {
            let refused = stale.put(&object, "3".into(), how).await;
            assert!(matches!(refused, Err(CloudError::Conflict { .. })), "{refused:?}");
        }
        assert_eq!(stale.get(&object).await.unwrap(), Some(("2".into(), newer)));
    });
}

/// How often each device looks until all must see everything.
const LOOKS: usize = 10;

/// Three devices write at the same time, again and again, with commits upon the same states.
fn devices_on_a_real_node_lose_nothing() {
    let bed = Bed::new();
    run(async {
        let mut writers = tokio::task::JoinSet::new();
        for device in 0..3 {
            let cloud = bed.device(1);
            writers.spawn(async move {
                let mut names = BTreeSet::new();
                for i in 0..10 {
                    let object = name(&format!("o/{device}/{i}"));
                    cloud.put(&object, "x".into(), PutMode::CreateOnly).await.unwrap();
                    names.insert(object);
                }
                (cloud, names)
            });
        }
        let (mut clouds, mut expected) = (Vec::new(), BTreeSet::new());
        for (cloud, names) in writers.join_all().await {
            clouds.push(cloud);
            expected.extend(names);
        }
        clouds.push(bed.device(1));
        // The node may let the other of two changes win later, as long as few stand upon it; who
        // made the one that lost puts it back at the next look. So all see everything after some.
        for _ in 0..LOOKS {
            let mut all = true;
            for cloud in &clouds {
                let found = poll_backups(cloud, &name("o")).await.unwrap();
                all &= found.iter().map(|meta| &meta.name).eq(&expected);
            }
            if all {
                return;
            }
        }
        panic!("after {LOOKS} looks of each device something is still missing");
    });
}

fn a_node_that_does_not_answer_is_unavailable() {
    let mut bed = Bed::new();
    let cloud = bed.device(1);
    bed.node = None;
    run(async {
        let listing = cloud.list(&name("o"), None).await;
        assert!(matches!(listing, Err(CloudError::Unavailable { .. })), "{listing:?}");
    });
}
