//! LDK's functional test kit with every monitor and manager on our store.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests may panic")]

mod common;

use std::{sync::Arc, time::Duration};

use common::{Counting, Made, stores};
use kv_core::KvStore;
use kv_ldk::StrongroomStore;
use lightning::{
    check_added_monitors, check_closed_broadcast, check_closed_event,
    events::ClosureReason,
    get_route_and_payment_hash,
    ln::functional_test_utils::{
        _reload_node, ReconnectArgs, TEST_FINAL_CLTV, claim_payment, connect_block,
        create_announced_chan_between_nodes, create_chanmon_cfgs, create_dummy_block,
        create_network, create_node_cfgs, create_node_chanmgrs, reconnect_nodes, route_payment,
        send_payment, test_default_channel_config,
    },
    ln::msgs::BaseMessageHandler,
    routing::{
        gossip::{NetworkGraph, NodeId},
        router::{PaymentParameters, RouteParameters, find_route},
        scoring::{
            ProbabilisticScorer, ProbabilisticScoringDecayParameters,
            ProbabilisticScoringFeeParameters, ScoreUpdate,
        },
    },
    util::{
        persist::{
            CHANNEL_MANAGER_PERSISTENCE_KEY as MANAGER,
            CHANNEL_MONITOR_PERSISTENCE_PRIMARY_NAMESPACE as MONITORS, KVStoreSync,
            read_channel_monitors,
        },
        ser::{ReadableArgs, Writeable},
        test_utils::TestChainMonitor,
    },
};

/// A node ends, and comes back with what its store has; `$monitor` and `$manager` are bound outside,
/// as long as the nodes live.
macro_rules! reload {
    ($node:expr, $store:expr, $monitor:ident, $manager:ident) => {
        KVStoreSync::write(&$store, "", "", MANAGER, $node.node.encode()).unwrap();
        let stored_manager = KVStoreSync::read(&$store, "", "", MANAGER).unwrap();
        let names = KVStoreSync::list(&$store, MONITORS, "").unwrap();
        let read = |name: &String| KVStoreSync::read(&$store, MONITORS, "", name).unwrap();
        let stored: Vec<Vec<u8>> = names.iter().map(read).collect();
        let stored: Vec<&[u8]> = stored.iter().map(Vec::as_slice).collect();
        assert_eq!(stored.len(), $node.node.list_channels().len());
        $monitor = TestChainMonitor::new(
            Some($node.chain_source),
            $node.tx_broadcaster,
            $node.logger,
            $node.fee_estimator,
            &$store,
            $node.keys_manager,
        );
        $node.chain_monitor = &$monitor;
        let config = test_default_channel_config();
        $manager = _reload_node(&$node, config, &stored_manager, &stored);
        $node.node = &$manager;
        $node.onion_messenger.set_offers_handler(&$manager);
        $node.onion_messenger.set_async_payments_handler(&$manager);
    };
}

#[test]
fn two_nodes_pay_reload_and_close_with_their_state_on_our_store() {
    for (made, other) in stores().into_iter().zip(stores()) {
        two_nodes(made.name, made.store.clone(), other.store.clone());
    }
}

fn two_nodes(name: &str, store: Arc<dyn KvStore>, other: Arc<dyn KvStore>) {
    let counting = Arc::new(Counting::new(store));
    let store_0 = StrongroomStore::new(counting.clone());
    let store_1 = StrongroomStore::new(other);
    let configs = create_chanmon_cfgs(2);
    let mut node_configs = create_node_cfgs(2, &configs);
    for (n, store) in [&store_0, &store_1].into_iter().enumerate() {
        node_configs[n].chain_monitor = TestChainMonitor::new(
            Some(&configs[n].chain_source),
            &configs[n].tx_broadcaster,
            &configs[n].logger,
            &configs[n].fee_estimator,
            store,
            node_configs[n].keys_manager,
        );
    }
    let chain_monitor;
    let managers = create_node_chanmgrs(2, &node_configs, &[None, None]);
    let manager;
    let mut nodes = create_network(2, &node_configs, &managers);
    let (id_0, id_1) = (nodes[0].node.get_our_node_id(), nodes[1].node.get_our_node_id());

    // What is stored is the state of the last update.
    let keys = [nodes[0].keys_manager, nodes[1].keys_manager];
    let stored_updates = || {
        [(&store_0, keys[0]), (&store_1, keys[1])].map(|(store, keys)| {
            let monitors = read_channel_monitors(store, keys, keys).unwrap();
            monitors.iter().map(|(_, monitor)| monitor.get_latest_update_id()).collect::<Vec<_>>()
        })
    };
    assert_eq!(stored_updates(), [vec![], vec![]], "{name}");
    let _ = create_announced_chan_between_nodes(&nodes, 0, 1);
    assert_eq!(stored_updates(), [vec![0], vec![0]], "{name}");
    send_payment(&nodes[0], &[&nodes[1]], 8_000_000);
    assert_eq!(stored_updates(), [vec![5], vec![5]], "{name}");
    send_payment(&nodes[1], &[&nodes[0]], 4_000_000);
    assert_eq!(stored_updates(), [vec![10], vec![10]], "{name}");
    // LDK claims again at a start what it received last; so the last one is sent.
    send_payment(&nodes[0], &[&nodes[1]], 2_000_000);
    assert_eq!(stored_updates(), [vec![15], vec![15]], "{name}");

    // The first node ends and comes back with what our store has.
    nodes[1].node.peer_disconnected(id_0);
    reload!(nodes[0], store_0, chain_monitor, manager);
    reconnect_nodes(ReconnectArgs::new(&nodes[0], &nodes[1]));
    let before = counting.batches();
    send_payment(&nodes[0], &[&nodes[1]], 1_000_000);
    assert!(counting.batches() >= before + 5, "{name}: the reloaded node persists to our store");
    assert_eq!(stored_updates(), [vec![20], vec![20]], "{name}");

    // A closing in force is persisted too.
    let message = "closed by the test".to_owned();
    let channel = nodes[0].node.list_channels()[0].channel_id;
    let closing =
        nodes[0].node.force_close_broadcasting_latest_txn(&channel, &id_1, message.clone());
    closing.unwrap();
    let reason = ClosureReason::HolderForceClosed { broadcasted_latest_txn: Some(true), message };
    check_closed_event!(nodes[0], 1, reason, [id_1], 100_000);
    check_closed_broadcast!(nodes[0], true);
    check_added_monitors!(nodes[0], 1);
    let broadcast = nodes[0].tx_broadcaster.txn_broadcasted.lock().unwrap().split_off(0);
    assert_eq!(broadcast.len(), 1);
    let block = create_dummy_block(nodes[0].best_block_hash(), 42, broadcast);
    connect_block(&nodes[1], &block);
    check_closed_broadcast!(nodes[1], true);
    check_closed_event!(nodes[1], 1, ClosureReason::CommitmentTxConfirmed, [id_0], 100_000);
    check_added_monitors!(nodes[1], 1);
    assert_eq!(stored_updates(), [vec![21], vec![21]], "{name}");
}

#[test]
fn three_nodes_route_and_each_reloads_with_its_state_on_our_store() {
    for kind in 0..4 {
        three_nodes([kind, kind, kind].map(|kind| stores().remove(kind)));
    }
}

/// Probabilities and routes are what they were.
#[test]
fn graph_and_scorer_come_back_equal() {
    for made in stores() {
        let store = StrongroomStore::new(made.store.clone());
        let configs = create_chanmon_cfgs(3);
        let node_configs = create_node_cfgs(3, &configs);
        let managers = create_node_chanmgrs(3, &node_configs, &[None, None, None]);
        let nodes = create_network(3, &node_configs, &managers);
        let _ = create_announced_chan_between_nodes(&nodes, 0, 1);
        let _ = create_announced_chan_between_nodes(&nodes, 1, 2);
        let (route, ..) = get_route_and_payment_hash!(nodes[0], nodes[2], 5_000_000);
        let (graph, logger) = (nodes[0].network_graph, nodes[0].logger);
        let decay = ProbabilisticScoringDecayParameters::default();
        let mut scorer = ProbabilisticScorer::new(decay, graph, logger);
        let hops = &route.paths[0].hops;
        let now = Duration::from_secs(1_700_000_000);
        scorer.payment_path_successful(&route.paths[0], now);
        scorer.payment_path_failed(&route.paths[0], hops[1].short_channel_id, now);
        KVStoreSync::write(&store, "", "", "network_graph", graph.encode()).unwrap();
        KVStoreSync::write(&store, "", "", "scorer", scorer.encode()).unwrap();

        let bytes = KVStoreSync::read(&store, "", "", "network_graph").unwrap();
        let graph_again = NetworkGraph::read(&mut &bytes[..], logger).unwrap();
        assert!(graph_again == *graph, "{}", made.name);
        let bytes = KVStoreSync::read(&store, "", "", "scorer").unwrap();
        let args = (decay, &graph_again, logger);
        let scorer_again = ProbabilisticScorer::read(&mut &bytes[..], args).unwrap();
        let (mut known, mut history) = (0, 0);
        let fees = ProbabilisticScoringFeeParameters::default();
        for hop in hops {
            let (scid, target) = (hop.short_channel_id, NodeId::from_pubkey(&hop.pubkey));
            let range = scorer.estimated_channel_liquidity_range(scid, &target);
            assert_eq!(scorer_again.estimated_channel_liquidity_range(scid, &target), range);
            known += u32::from(range.is_some());
            let buckets =
                scorer.historical_estimated_channel_liquidity_probabilities(scid, &target);
            let again =
                scorer_again.historical_estimated_channel_liquidity_probabilities(scid, &target);
            assert_eq!(again, buckets);
            history += u32::from(buckets.is_some());
            for msat in [1_000, 1_000_000, 4_000_000] {
                let of = |scorer: &ProbabilisticScorer<_, _>| {
                    scorer.live_estimated_payment_success_probability(scid, &target, msat, &fees)
                };
                assert_eq!(of(&scorer_again), of(&scorer), "{msat}");
                let before = |scorer: &ProbabilisticScorer<_, _>| {
                    scorer.historical_estimated_payment_success_probability(
                        scid, &target, msat, &fees, true,
                    )
                };
                assert_eq!(before(&scorer_again), before(&scorer), "{msat}");
            }
        }
        assert!(known > 0 && history > 0, "the payments have taught it something");
        let payer = nodes[0].node.get_our_node_id();
        let payee = PaymentParameters::from_node_id(nodes[2].node.get_our_node_id(), 42);
        let wanted = RouteParameters::from_payment_params_and_value(payee, 1_000_000);
        let found = |graph, scorer| {
            find_route(&payer, &wanted, graph, None, logger, scorer, &fees, &[1; 32]).unwrap()
        };
        assert_eq!(found(graph, &scorer), found(&graph_again, &scorer_again), "{}", made.name);
    }
}

fn three_nodes(made: [Made; 3]) {
    let name = made[0].name;
    let counting = made.each_ref().map(|made| Arc::new(Counting::new(made.store.clone())));
    let stores = counting.each_ref().map(|counting| StrongroomStore::new(counting.clone()));
    let configs = create_chanmon_cfgs(3);
    let mut node_configs = create_node_cfgs(3, &configs);
    for (n, store) in stores.iter().enumerate() {
        node_configs[n].chain_monitor = TestChainMonitor::new(
            Some(&configs[n].chain_source),
            &configs[n].tx_broadcaster,
            &configs[n].logger,
            &configs[n].fee_estimator,
            store,
            node_configs[n].keys_manager,
        );
    }
    let (monitor_0, monitor_1, monitor_2);
    let managers = create_node_chanmgrs(3, &node_configs, &[None, None, None]);
    let (manager_0, manager_1, manager_2);
    let mut nodes = create_network(3, &node_configs, &managers);
    let ids: Vec<_> = nodes.iter().map(|node| node.node.get_our_node_id()).collect();
    let _ = create_announced_chan_between_nodes(&nodes, 0, 1);
    let _ = create_announced_chan_between_nodes(&nodes, 1, 2);
    send_payment(&nodes[0], &[&nodes[1], &nodes[2]], 8_000_000);

    // The middle one ends with a payment under way.
    let (preimage, ..) = route_payment(&nodes[0], &[&nodes[1], &nodes[2]], 3_000_000);
    nodes[0].node.peer_disconnected(ids[1]);
    nodes[2].node.peer_disconnected(ids[1]);
    reload!(nodes[1], stores[1], monitor_1, manager_1);
    reconnect_nodes(ReconnectArgs::new(&nodes[0], &nodes[1]));
    reconnect_nodes(ReconnectArgs::new(&nodes[1], &nodes[2]));
    let before = counting[1].batches();
    claim_payment(&nodes[0], &[&nodes[1], &nodes[2]], preimage);
    assert!(counting[1].batches() > before, "{name}: the reloaded node persists to our store");

    // Who sends.
    nodes[1].node.peer_disconnected(ids[0]);
    reload!(nodes[0], stores[0], monitor_0, manager_0);
    reconnect_nodes(ReconnectArgs::new(&nodes[0], &nodes[1]));
    let before = counting[0].batches();
    send_payment(&nodes[0], &[&nodes[1], &nodes[2]], 2_000_000);
    assert!(counting[0].batches() > before, "{name}: the reloaded node persists to our store");

    // Who receives, again with a payment under way.
    let (preimage, ..) = route_payment(&nodes[0], &[&nodes[1], &nodes[2]], 1_000_000);
    nodes[1].node.peer_disconnected(ids[2]);
    reload!(nodes[2], stores[2], monitor_2, manager_2);
    reconnect_nodes(ReconnectArgs::new(&nodes[1], &nodes[2]));
    let before = counting[2].batches();
    claim_payment(&nodes[0], &[&nodes[1], &nodes[2]], preimage);
    assert!(counting[2].batches() > before, "{name}: the reloaded node persists to our store");
}
