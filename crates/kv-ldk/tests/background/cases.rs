//! What the background processor stores, and what comes back.

#![expect(clippy::unwrap_used, reason = "helpers of tests panic")]

use std::{
    pin::pin,
    sync::Arc,
    task::{Context, Poll, Waker},
    time::Duration,
};

use backup::{Policies, Policy, Replicated};
use kv_core::testing::{Fault, FaultyStore, Landing};
use kv_ldk::StrongroomStore;
use kv_mem::MemStore;
use wallet_persistence::{Clock, SystemClock};

use super::{
    background::BackgroundProcessor,
    ldk::{
        bitcoin::{Network, constants::ChainHash},
        events::Event,
        ln::{channelmanager::RecentPaymentDetails, msgs::UnsignedChannelUpdate},
        routing::{
            gossip::NodeId,
            router::{Path, RouteHop},
            scoring::{ProbabilisticScoringDecayParameters, ScoreUpdate},
        },
        sign::{KeysManager, NodeSigner, Recipient},
        types::features::{ChannelFeatures, NodeFeatures},
        util::{
            persist::{KVStoreSync, read_channel_monitors},
            ser::ReadableArgs,
        },
    },
    ours::ReplicatedPersister,
    processor::{Awaited, on_a_thread, until},
    small::{Graph, Parts, Scorer, Small, ask_for_channel, connect, mine_funding},
};
use crate::{
    common::{cloud_takes_everything, recorder, stores},
    tape::Tape,
};

const SEED: [u8; 32] = [1; 32];
/// A channel between two others.
const FAR: u64 = 42 << 40;
/// One turn of the awaited processor.
const TURN: Duration = Duration::from_millis(10);

fn memory() -> Arc<StrongroomStore> {
    Arc::new(StrongroomStore::new(Arc::new(MemStore::new())))
}

fn node(seed: u8, store: &Arc<StrongroomStore>) -> Arc<Small> {
    Arc::new(Small::new(Parts::new(&[seed; 32]), store.clone()))
}

/// The node of [`SEED`] with what is in the store.
fn loaded(store: &Arc<StrongroomStore>) -> Arc<Small> {
    let stored = |key| KVStoreSync::read(&**store, "", "", key).unwrap();
    let quiet = Parts::new(&SEED).quiet;
    let graph = Graph::read(&mut &stored("network_graph")[..], quiet.clone()).unwrap();
    let (graph, decay) = (Arc::new(graph), ProbabilisticScoringDecayParameters::default());
    let args = (decay, graph.clone(), quiet);
    let scorer = Scorer::read(&mut &stored("scorer")[..], args).unwrap();
    let parts = Parts::knowing(&SEED, graph, scorer);
    let read = read_channel_monitors(store.clone(), parts.keys.clone(), parts.keys.clone());
    let (persister, manager) = (store.clone(), stored("manager"));
    Arc::new(Small::load(parts, persister, &manager, read.unwrap()).unwrap())
}

/// Who has the channel that is far away.
fn far_nodes() -> [NodeId; 2] {
    [8, 9].map(|seed| {
        let keys = KeysManager::new(&[seed; 32], 1, 1, true);
        NodeId::from_pubkey(&keys.get_node_id(Recipient::Node).unwrap())
    })
}

/// The node has heard of a channel, and once failed to pay through it.
fn teach(parts: &Parts) {
    let now = Duration::from_millis(SystemClock.now().0);
    let [one, two] = far_nodes();
    let (graph, features) = (&parts.graph, ChannelFeatures::empty());
    let sats = Some(1_000_000);
    graph
        .add_channel_from_partial_announcement(FAR, sats, now.as_secs(), features, one, two)
        .unwrap();
    for channel_flags in [0, 1] {
        let update = UnsignedChannelUpdate {
            chain_hash: ChainHash::using_genesis_block(Network::Testnet),
            short_channel_id: FAR,
            timestamp: now.as_secs() as u32,
            message_flags: 1,
            channel_flags,
            cltv_expiry_delta: 40,
            htlc_minimum_msat: 1,
            htlc_maximum_msat: 500_000_000,
            fee_base_msat: 1,
            fee_proportional_millionths: 1,
            excess_data: Vec::new(),
        };
        assert!(graph.update_channel_unsigned(&update).is_ok());
    }
    let hop = RouteHop {
        pubkey: two.as_pubkey().unwrap(),
        node_features: NodeFeatures::empty(),
        short_channel_id: FAR,
        channel_features: ChannelFeatures::empty(),
        fee_msat: 100_000_000,
        cltv_expiry_delta: 40,
        maybe_announced_channel: true,
    };
    let path = Path { hops: vec![hop], blinded_tail: None };
    parts.scorer.write().unwrap().payment_path_failed(&path, FAR, now);
}

/// What the scorer makes of that channel.
fn learned(parts: &Parts) -> Option<(u64, u64)> {
    let [_, two] = far_nodes();
    parts.scorer.read().unwrap().estimated_channel_liquidity_range(FAR, &two)
}

/// Until the first one has a channel with the other, and has paid and been paid.
fn live(node: &Small, peer: &Small, mut meanwhile: impl FnMut()) {
    let usable = |node: &Small| node.manager.list_usable_channels().len() == 1;
    ask_for_channel(node, peer);
    until(node, peer, &mut meanwhile, || !node.parts.sent.0.lock().unwrap().is_empty());
    mine_funding(node, peer);
    until(node, peer, &mut meanwhile, || usable(node) && usable(peer));
    node.pay(peer, 300_000_000);
    until(node, peer, &mut meanwhile, || node.paid() == 1);
    peer.pay(node, 2_000_000);
    until(node, peer, &mut meanwhile, || peer.paid() == 1);
}

/// The node that has come back is the one that was stopped, which had just offered a payment.
fn is_the_same(again: &Small, before: &Small, name: &str) {
    assert!(*again.parts.graph == *before.parts.graph, "{name}");
    assert!(again.parts.graph.read_only().channels().get(&FAR).is_some(), "{name}");
    assert_eq!(learned(&again.parts), learned(&before.parts), "{name}");
    assert!(learned(&again.parts).is_some(), "{name}");
    assert_eq!(again.manager.list_channels().len(), 1, "{name}");
    let recent = again.manager.list_recent_payments();
    let pending =
        |payment: &RecentPaymentDetails| matches!(payment, RecentPaymentDetails::Pending { .. });
    assert_eq!(recent.iter().filter(|payment| pending(payment)).count(), 1, "{name}: {recent:?}");
}

fn closed(node: &Small) -> bool {
    let told = node.told.lock().unwrap();
    told.iter().any(|event| matches!(event, Event::ChannelClosed { .. }))
}

#[test]
fn on_its_thread_it_stores_manager_graph_and_scorer_and_the_node_comes_back() {
    for made in stores() {
        let tape = Tape::over(made.store.clone());
        let store = Arc::new(StrongroomStore::new(tape.clone()));
        let (others, name) = (memory(), made.name);
        let (first, peer) = (node(SEED[0], &store), node(2, &others));
        teach(&first.parts);
        let both = [on_a_thread(&first, &store), on_a_thread(&peer, &others)];
        live(&first, &peer, || ());
        // Not only at the end; the scorer has learned of the payment.
        for key in ["manager", "scorer"] {
            until(&first, &peer, || (), || KVStoreSync::read(&*store, "", "", key).is_ok());
        }
        first.pay(&peer, 1_000_000);
        both.into_iter().for_each(|each| each.stop().unwrap());
        // What it stores last, and then nothing more.
        let keys = tape.keys();
        assert_eq!(keys[keys.len() - 3..], ["manager", "scorer", "network_graph"], "{name}");

        let again = loaded(&store);
        assert_eq!(tape.keys(), keys, "{name}");
        is_the_same(&again, &first, name);
        let both = [on_a_thread(&again, &store), on_a_thread(&peer, &others)];
        connect(&again, &peer);
        until(&again, &peer, || (), || again.paid() == 1);
        assert!(!closed(&again), "{name}");
        both.into_iter().for_each(|each| each.stop().unwrap());
    }
}

#[test]
fn awaited_it_stores_manager_graph_and_scorer_and_the_node_comes_back() {
    for made in stores() {
        let tape = Tape::over(made.store.clone());
        let store = Arc::new(StrongroomStore::new(tape.clone()));
        let (others, name) = (memory(), made.name);
        let (first, peer) = (node(SEED[0], &store), node(2, &others));
        teach(&first.parts);
        let mut both = [Awaited::start(&first, &store), Awaited::start(&peer, &others)];
        let mut turn = || both.iter_mut().for_each(|each| assert!(each.pass(TURN).is_pending()));
        live(&first, &peer, &mut turn);
        let count = |key: &str| tape.keys().iter().filter(|stored| *stored == key).count();
        until(&first, &peer, &mut turn, || count("manager") > 0 && count("scorer") > 0);
        // The graph once a minute after the start, the scorer each five minutes.
        let (graphs, scorers) = (count("network_graph"), count("scorer"));
        let [mut first_loop, peer_loop] = both;
        assert!(first_loop.pass(Duration::from_secs(301)).is_pending());
        let go_on = || assert!(first_loop.pass(TURN).is_pending());
        let more = || count("network_graph") > graphs && count("scorer") > scorers;
        until(&first, &peer, go_on, more);

        // Nobody has a turn between this and the end.
        first.pay(&peer, 1_000_000);
        let before = tape.len();
        first_loop.stop().unwrap();
        peer_loop.stop().unwrap();
        let keys = tape.keys();
        assert_eq!(keys[before..], ["manager", "scorer", "network_graph"], "{name}");

        let again = loaded(&store);
        assert_eq!(tape.keys(), keys, "{name}");
        is_the_same(&again, &first, name);
        let mut both = [Awaited::start(&again, &store), Awaited::start(&peer, &others)];
        connect(&again, &peer);
        let turn = || both.iter_mut().for_each(|each| assert!(each.pass(TURN).is_pending()));
        until(&again, &peer, turn, || again.paid() == 1);
        assert!(!closed(&again), "{name}");
        both.into_iter().for_each(|each| each.stop().unwrap());
    }
}

#[test]
fn a_store_that_fails_ends_it_with_our_error() {
    let failing = || {
        let fault = Arc::new(Fault::default());
        let faulty = FaultyStore::new(Arc::new(MemStore::new()), fault.clone());
        (fault, Arc::new(StrongroomStore::new(Arc::new(faulty))))
    };
    let (first, peer) = (node(SEED[0], &memory()), node(2, &memory()));
    // Refused for want of a channel, which changes the manager all the same.
    let change = || _ = first.try_to_pay(&peer, 1_000);

    let (fault, store) = failing();
    fault.fail_nth(1, Landing::Absent);
    let processor = on_a_thread(&first, &store);
    change();
    let error = processor.join().unwrap_err();
    assert!(error.to_string().contains("i/o failed"), "{error}");

    let (fault, store) = failing();
    let mut processor = Awaited::start(&first, &store);
    assert!(processor.pass(TURN).is_pending());
    fault.fail_nth(1, Landing::Absent);
    change();
    let Poll::Ready(Err(error)) = processor.pass(TURN) else { panic!("it goes on") };
    assert!(error.to_string().contains("i/o failed"), "{error}");
}

#[test]
fn a_store_that_would_block_it_is_refused() {
    let recorder = recorder(Arc::new(MemStore::new()));
    let waits = Replicated::new(recorder.clone(), Policies::all(Policy::Replicated), 100);
    let first = node(SEED[0], &memory());
    let processor: BackgroundProcessor =
        on_a_thread(&first, &Arc::new(StrongroomStore::new(waits)));
    let error = processor.stop().unwrap_err();
    assert!(error.to_string().contains("ReplicatedPersister"), "{error}");
    assert_eq!(recorder.sequence(), 0, "nothing was written");
}

#[test]
fn beside_a_replicated_persister_nothing_leaves_before_the_cloud_has_the_monitor() {
    let recorder = recorder(Arc::new(MemStore::new()));
    let waits = Replicated::new(recorder.clone(), Policies::all(Policy::Replicated), 100);
    let persister = Arc::new(ReplicatedPersister::open(waits).unwrap());
    let store = Arc::new(StrongroomStore::new(recorder.clone()));
    let first = Arc::new(Small::new(Parts::new(&SEED), persister.clone()));
    let others = memory();
    let peer = node(2, &others);
    let mut both = [Awaited::start(&first, &store), Awaited::start(&peer, &others)];
    let mut turn = || both.iter_mut().for_each(|each| assert!(each.pass(TURN).is_pending()));
    let complete = || {
        loop {
            let next = pin!(persister.next_completed());
            match next.poll(&mut Context::from_waker(Waker::noop())) {
                Poll::Ready(done) => {
                    let (channel, update) = done.unwrap();
                    first.monitors.channel_monitor_updated(channel, update).unwrap();
                }
                Poll::Pending => break,
            }
        }
    };
    let cloud = || {
        cloud_takes_everything(&recorder);
        complete();
    };
    live(&first, &peer, || {
        turn();
        cloud();
    });
    // The cloud is away. The manager is stored, and nothing is said.
    first.pay(&peer, 1_000_000);
    for _ in 0..100 {
        turn();
        complete();
        assert!(!first.deliver(&peer, |_| ()));
    }
    assert_eq!(persister.waiting(), 1);
    cloud();
    turn();
    assert!(first.deliver(&peer, |_| ()));
    let meanwhile = || {
        turn();
        cloud();
    };
    until(&first, &peer, meanwhile, || first.paid() == 2);
    both.into_iter().for_each(|each| each.stop().unwrap());
}
