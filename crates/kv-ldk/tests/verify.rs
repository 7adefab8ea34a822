//! What would become of each channel, told before a node is started.

#![expect(clippy::unwrap_used, reason = "helpers of tests panic")]

mod common;

use std::sync::Arc;

use common::Counting;
use kv_ldk::{
    ChannelsReport, ForceClose, ManagerVerdict, ReadArgs, StrongroomStore, Verdict, verify_channels,
};
use kv_mem::MemStore;
use lightning::{
    chain::ChannelMonitorUpdateStatus,
    check_added_monitors, check_closed_broadcast, check_closed_event,
    events::ClosureReason,
    get_route_and_payment_hash,
    ln::{
        channelmanager::{PaymentId, RecipientOnionFields},
        functional_test_utils::{
            Node, TEST_FINAL_CLTV, create_announced_chan_between_nodes, create_chanmon_cfgs,
            create_network, create_node_cfgs, create_node_chanmgrs, test_default_channel_config,
        },
        msgs::{BaseMessageHandler, DecodeError},
        types::ChannelId,
    },
    util::{persist::KVStoreSync, ser::Writeable},
};

type Monitor = (String, Vec<u8>);
type Found = (ManagerVerdict, Vec<(ChannelId, Verdict)>);

const BEHIND: Verdict = Verdict::WouldBeForceClosed { cause: ForceClose::ManagerIsBehind };
const UNKNOWN: Verdict = Verdict::WouldBeForceClosed { cause: ForceClose::UnknownToManager };

fn monitor(node: &Node, channel: ChannelId) -> Monitor {
    let monitor = node.chain_monitor.chain_monitor.get_monitor(channel).unwrap();
    (monitor.persistence_key().to_string(), monitor.encode())
}

/// What is found in a store with these; that it writes nothing is seen each time.
fn verify(node: &Node, manager: Option<&[u8]>, monitors: &[&Monitor]) -> ChannelsReport {
    let counting = Arc::new(Counting::new(Arc::new(MemStore::new())));
    let store = StrongroomStore::new(counting.clone());
    if let Some(manager) = manager {
        KVStoreSync::write(&store, "", "", "manager", manager.to_vec()).unwrap();
    }
    for (name, bytes) in monitors {
        KVStoreSync::write(&store, "monitors", "", name, bytes.clone()).unwrap();
    }
    let before = counting.batches();
    let args = ReadArgs {
        entropy_source: node.keys_manager,
        node_signer: node.keys_manager,
        signer_provider: node.keys_manager,
        fee_estimator: node.fee_estimator,
        router: node.router,
        message_router: node.message_router,
        config: test_default_channel_config(),
    };
    let report = verify_channels(&store, args).unwrap();
    assert_eq!(counting.batches(), before, "it writes nothing");
    assert!(node.tx_broadcaster.txn_broadcasted.lock().unwrap().is_empty(), "it sends nothing");
    report
}

/// The verdicts, by channel.
fn found(report: ChannelsReport) -> Found {
    let mut verdicts: Vec<_> =
        report.channels.iter().map(|found| (found.channel.unwrap(), found.verdict)).collect();
    verdicts.sort_by_key(|(channel, _)| channel.0);
    (report.manager, verdicts)
}

fn refused(cause: DecodeError) -> ManagerVerdict {
    ManagerVerdict::Refused { cause }
}

/// Three nodes, the first one with a channel to each other; `then` gets them, the configurations
/// and the channels, the bytes of the first manager before it had any.
macro_rules! with_two_channels {
    (|$nodes:ident, $configs:ident, $a:ident, $b:ident, $blank:ident| $then:block) => {
        let $configs = create_chanmon_cfgs(3);
        let node_configs = create_node_cfgs(3, &$configs);
        let managers = create_node_chanmgrs(3, &node_configs, &[None, None, None]);
        let $nodes = create_network(3, &node_configs, &managers);
        let $blank = $nodes[0].node.encode();
        let $a = create_announced_chan_between_nodes(&$nodes, 0, 1).2;
        let $b = create_announced_chan_between_nodes(&$nodes, 0, 2).2;
        // What the kit has sent so far is the opening of the channels.
        _ = &$blank;
        $nodes[0].tx_broadcaster.txn_broadcasted.lock().unwrap().clear();
        $then
    };
}

/// The first node offers the second one a payment: one update of the monitor.
macro_rules! pay {
    ($nodes:ident) => {{
        let (route, hash, _, secret) = get_route_and_payment_hash!($nodes[0], $nodes[1], 1_000_000);
        let onion = RecipientOnionFields::secret_only(secret);
        let sent = $nodes[0].node.send_payment_with_route(route, hash, onion, PaymentId(hash.0));
        sent.unwrap();
        check_added_monitors!($nodes[0], 1);
    }};
}

/// In the order of [`found`].
fn both(a: (ChannelId, Verdict), b: (ChannelId, Verdict)) -> Vec<(ChannelId, Verdict)> {
    let mut both = vec![a, b];
    both.sort_by_key(|(channel, _)| channel.0);
    both
}

#[test]
fn what_fits_together_is_fine() {
    with_two_channels!(|nodes, configs, a, b, blank| {
        let (of_a, of_b) = (monitor(&nodes[0], a), monitor(&nodes[0], b));
        let manager = nodes[0].node.encode();
        for _ in 0..2 {
            let report = verify(&nodes[0], Some(&manager), &[&of_a, &of_b]);
            assert!(report.is_fine());
            assert!(report.channels.iter().all(|found| found.said.is_empty()));
            let peers: Vec<_> =
                report.channels.iter().map(|found| found.counterparty.unwrap()).collect();
            assert!(peers.contains(&nodes[1].node.get_our_node_id()));
            let fine = both((a, Verdict::Fine), (b, Verdict::Fine));
            assert_eq!(found(report), (ManagerVerdict::Loads, fine));
        }
    });
}

#[test]
fn a_manager_one_behind_closes_the_channel_it_is_behind_in() {
    with_two_channels!(|nodes, configs, a, b, blank| {
        let manager = nodes[0].node.encode();
        pay!(nodes);
        let (of_a, of_b) = (monitor(&nodes[0], a), monitor(&nodes[0], b));
        let report = verify(&nodes[0], Some(&manager), &[&of_a, &of_b]);
        assert!(!report.is_fine());
        let behind = report.channels.iter().find(|found| found.channel == Some(a)).unwrap();
        assert!(behind.said[0].contains("stale"), "{:?}", behind.said);
        let verdicts = both((a, BEHIND), (b, Verdict::Fine));
        assert_eq!(found(report), (ManagerVerdict::Loads, verdicts));
        nodes[0].node.get_and_clear_pending_msg_events();
    });
}

#[test]
fn a_monitor_one_behind_stops_the_whole_node() {
    with_two_channels!(|nodes, configs, a, b, blank| {
        let (of_a, of_b) = (monitor(&nodes[0], a), monitor(&nodes[0], b));
        pay!(nodes);
        let manager = nodes[0].node.encode();
        let report = verify(&nodes[0], Some(&manager), &[&of_a, &of_b]);
        assert!(!report.is_fine());
        let (why, verdicts) = found(report);
        assert_eq!(why, refused(DecodeError::DangerousValue));
        assert_eq!(verdicts, both((a, Verdict::Unreadable), (b, Verdict::NotReached)));
        nodes[0].node.get_and_clear_pending_msg_events();
    });
}

#[test]
fn a_monitor_one_behind_is_fine_while_its_update_is_in_flight() {
    with_two_channels!(|nodes, configs, a, b, blank| {
        let (of_a, of_b) = (monitor(&nodes[0], a), monitor(&nodes[0], b));
        configs[0].persister.set_update_ret(ChannelMonitorUpdateStatus::InProgress);
        pay!(nodes);
        let manager = nodes[0].node.encode();
        let report = verify(&nodes[0], Some(&manager), &[&of_a, &of_b]);
        assert!(report.is_fine(), "{report:?}");
        assert_eq!(found(report).1, both((a, Verdict::Fine), (b, Verdict::Fine)));
        // The monitor may have got it meanwhile.
        let of_a = monitor(&nodes[0], a);
        assert!(verify(&nodes[0], Some(&manager), &[&of_a, &of_b]).is_fine());
    });
}

#[test]
fn a_missing_monitor_stops_the_whole_node() {
    with_two_channels!(|nodes, configs, a, b, blank| {
        let of_b = monitor(&nodes[0], b);
        let manager = nodes[0].node.encode();
        let report = verify(&nodes[0], Some(&manager), &[&of_b]);
        let missing = report.channels.iter().find(|found| found.channel == Some(a)).unwrap();
        assert_eq!(missing.monitor, None);
        let (why, verdicts) = found(report);
        assert_eq!(why, refused(DecodeError::InvalidValue));
        assert_eq!(verdicts, both((a, Verdict::Unreadable), (b, Verdict::NotReached)));
    });
}

#[test]
fn a_damaged_monitor_stops_the_whole_node() {
    with_two_channels!(|nodes, configs, a, b, blank| {
        let (mut of_a, of_b) = (monitor(&nodes[0], a), monitor(&nodes[0], b));
        of_a.1.truncate(1000);
        let manager = nodes[0].node.encode();
        let report = verify(&nodes[0], Some(&manager), &[&of_a, &of_b]);
        assert_eq!(report.channels.len(), 2, "it is told once");
        let damaged = report.channels.iter().find(|found| found.channel == Some(a)).unwrap();
        assert_eq!(damaged.monitor.as_ref(), Some(&of_a.0));
        let (why, verdicts) = found(report);
        assert_eq!(why, refused(DecodeError::InvalidValue));
        assert_eq!(verdicts, both((a, Verdict::Unreadable), (b, Verdict::NotReached)));
    });
}

#[test]
fn an_extra_monitor_closes_its_channel() {
    with_two_channels!(|nodes, configs, a, b, blank| {
        let (of_a, of_b) = (monitor(&nodes[0], a), monitor(&nodes[0], b));
        let report = verify(&nodes[0], Some(&blank), &[&of_a, &of_b]);
        let verdicts = both((a, UNKNOWN), (b, UNKNOWN));
        assert_eq!(found(report), (ManagerVerdict::Loads, verdicts));
    });
}

#[test]
fn a_closed_channel_is_no_trouble() {
    with_two_channels!(|nodes, configs, a, b, blank| {
        let (peer, message) = (nodes[1].node.get_our_node_id(), "by the test".to_owned());
        nodes[0].node.force_close_broadcasting_latest_txn(&a, &peer, message.clone()).unwrap();
        let reason =
            ClosureReason::HolderForceClosed { broadcasted_latest_txn: Some(true), message };
        check_closed_event!(nodes[0], 1, reason, [peer], 100_000);
        check_closed_broadcast!(nodes[0], true);
        check_added_monitors!(nodes[0], 1);
        nodes[0].tx_broadcaster.txn_broadcasted.lock().unwrap().clear();
        let (of_a, of_b) = (monitor(&nodes[0], a), monitor(&nodes[0], b));
        let manager = nodes[0].node.encode();
        let report = verify(&nodes[0], Some(&manager), &[&of_a, &of_b]);
        assert!(report.is_fine());
        assert_eq!(found(report).1, both((a, Verdict::Closed), (b, Verdict::Fine)));
    });
}

#[test]
fn a_manager_that_is_absent_or_damaged_is_told() {
    with_two_channels!(|nodes, configs, a, b, blank| {
        assert!(verify(&nodes[0], None, &[]).is_fine(), "a new node");
        let (of_a, of_b) = (monitor(&nodes[0], a), monitor(&nodes[0], b));
        let not_reached = both((a, Verdict::NotReached), (b, Verdict::NotReached));
        let absent = verify(&nodes[0], None, &[&of_a, &of_b]);
        assert!(!absent.is_fine());
        assert_eq!(found(absent), (ManagerVerdict::Absent, not_reached.clone()));
        let damaged = verify(&nodes[0], Some(&blank[..blank.len() - 1]), &[&of_a, &of_b]);
        assert!(!damaged.is_fine());
        let (why, verdicts) = found(damaged);
        assert!(matches!(why, ManagerVerdict::Refused { .. }), "{why:?}");
        assert_eq!(verdicts, not_reached);
        let odd = verify(&nodes[0], None, &[&("odd".to_owned(), vec![1])]);
        assert_eq!((odd.channels[0].channel, odd.channels[0].verdict), (None, Verdict::Unreadable));
    });
}
