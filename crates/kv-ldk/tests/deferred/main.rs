//! Nodes on LDK 0.3 whose monitors are deferred, as LDK's background processor sets them up: the manager
//! is stored first, so a crash between any two writes closes no channel.

#![expect(clippy::unwrap_used, reason = "helpers of tests panic")]

#[path = "../common/mod.rs"]
mod common;
mod node;
#[path = "../tape/mod.rs"]
mod tape;

use std::{
    pin::pin,
    sync::Arc,
    task::{Context, Poll, Waker},
};

use backup::{Policies, Policy, Recorder, Replicated};
use common::cloud_takes_everything;
use kv_core::KvStore;
use kv_ldk::{StrongroomStore, ldk_0_3::ReplicatedPersister};
use kv_mem::MemStore;
use lightning_0_3::events::Event;
use node::{Node, open_channel, settle};
use tape::Tape;

#[test]
fn with_deferred_monitors_no_crash_closes_a_channel() {
    let tape = Tape::new();
    let a = Node::start(1, StrongroomStore::new(tape.clone()));
    let b = Node::start(2, StrongroomStore::new(Arc::new(MemStore::new())));
    open_channel(&a, &b, || false);
    let first = tape.len();
    for _ in 0..2 {
        a.pay(&b, 3_000_000);
        settle(&a, &b, || false);
        b.pay(&a, 2_000_000);
        settle(&a, &b, || false);
    }
    assert_eq!((a.paid(), b.paid()), (2, 2));

    let all = tape.len();
    for batches in first..=all {
        keeps_its_channel(tape.after(batches), &format!("after {batches} of {all}"));
    }
    println!("{} places for a crash, no channel closed", all - first + 1);
}

/// Starts the first node with what is in the store.
fn keeps_its_channel(store: Arc<dyn KvStore>, when: &str) {
    let node = Node::start(1, StrongroomStore::new(store));
    node.handle_events();
    node.store();
    assert_eq!(node.manager.list_channels().len(), 1, "{when}");
    let told = node.told.lock().unwrap();
    let closed = told.iter().any(|event| matches!(event, Event::ChannelClosed { .. }));
    assert!(!closed, "{when}: {told:?}");
    assert!(node.chain.0.lock().unwrap().is_empty(), "nothing is published {when}");
}

/// The first node's monitors wait for the cloud.
fn replicated(tape: Arc<Tape>) -> (Arc<Recorder>, Arc<ReplicatedPersister>, Node) {
    let recorder = common::recorder(tape);
    let waiting = Replicated::new(recorder.clone(), Policies::all(Policy::Replicated), 100);
    let persister = Arc::new(ReplicatedPersister::open(waiting, None).unwrap());
    let node = Node::with(1, StrongroomStore::new(recorder.clone()), persister.clone());
    (recorder, persister, node)
}

/// Tells LDK what the cloud has; whether that was anything.
fn complete(persister: &ReplicatedPersister, node: &Node) -> bool {
    let mut any = false;
    loop {
        let next = pin!(persister.next_completed()).poll(&mut Context::from_waker(Waker::noop()));
        let Poll::Ready(outcome) = next else { return any };
        let (channel, update) = outcome.unwrap();
        node.monitors.channel_monitor_updated(channel, update).unwrap();
        any = true;
    }
}

#[test]
fn deferred_and_replicated_nothing_leaves_before_the_cloud_has_the_monitor() {
    let (recorder, persister, a) = replicated(Tape::new());
    let b = Node::start(2, StrongroomStore::new(Arc::new(MemStore::new())));
    let goes_on = || {
        cloud_takes_everything(&recorder);
        complete(&persister, &a)
    };
    open_channel(&a, &b, goes_on);
    a.pay(&b, 3_000_000);
    // It waits for the manager, and then for the cloud.
    assert_eq!(a.monitors.pending_operation_count(), 1);
    assert!(!a.deliver(&b), "the manager is not stored yet");
    a.store();
    assert_eq!((a.monitors.pending_operation_count(), persister.waiting()), (0, 1));
    assert!(!complete(&persister, &a));
    assert!(!a.deliver(&b), "the cloud does not have it yet");
    assert!(goes_on());
    assert!(a.deliver(&b));
    settle(&a, &b, goes_on);
    assert_eq!(a.paid(), 1);
}

#[test]
fn deferred_and_replicated_no_crash_closes_a_channel() {
    let tape = Tape::new();
    let (recorder, persister, a) = replicated(tape.clone());
    let b = Node::start(2, StrongroomStore::new(Arc::new(MemStore::new())));
    let goes_on = || {
        cloud_takes_everything(&recorder);
        complete(&persister, &a)
    };
    open_channel(&a, &b, goes_on);
    let first = tape.len();
    a.pay(&b, 3_000_000);
    settle(&a, &b, goes_on);
    b.pay(&a, 2_000_000);
    settle(&a, &b, goes_on);
    assert_eq!((a.paid(), b.paid()), (1, 1));
    let all = tape.len();
    for batches in first..=all {
        // Below the recorder: what it adds for itself is in the way of nobody.
        let left = common::recorder(tape.after(batches));
        keeps_its_channel(left, &format!("after {batches} of {all}"));
    }
    println!("{} places for a crash, no channel closed", all - first + 1);
}
