//! Replicated monitors: no channel goes on before the cloud has what it goes on from.

#![expect(clippy::unwrap_used, reason = "helpers of tests panic")]

#[path = "../common/mod.rs"]
mod common;
#[cfg(feature = "ldk-0-3")]
#[path = "../common/ldk_0_3.rs"]
mod ldk_0_3;
mod of_0_2;
#[cfg(feature = "ldk-0-3")]
mod of_0_3;

use std::{
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, Wake, Waker},
};

use backup::{Policies, Policy, Recorder, Replicated};
use common::{
    cloud_takes_everything, recorder,
    small::{Parts, Small, connect, mine, open_channel, run},
};
use kv_core::{
    Error, KvStore, KvStoreExt,
    testing::{Fault, FaultyStore, Landing, block_on},
};
use kv_fs::{FsStore, Settings, disk::SimDisk};
use kv_ldk::{OpenError, ReplicatedPersister, StrongroomStore};
use kv_mem::{Medium, MemStore};
use lightning::{
    chain::{
        ChannelMonitorUpdateStatus, Confirm,
        chainmonitor::Persist,
        channelmonitor::{ChannelMonitor, ChannelMonitorUpdate},
    },
    check_added_monitors, get_route_and_payment_hash,
    ln::{
        channelmanager::{PaymentId, RecipientOnionFields},
        functional_test_utils::{
            TEST_FINAL_CLTV, create_announced_chan_between_nodes, create_chanmon_cfgs,
            create_network, create_node_cfgs, create_node_chanmgrs,
        },
        msgs::{BaseMessageHandler, MessageSendEvent},
        types::ChannelId,
    },
    sign::InMemorySigner,
    util::{
        persist::{KVStoreSync, MonitorName, read_channel_monitors},
        ser::Writeable,
        test_channel_signer::TestChannelSigner,
        test_utils::TestChainMonitor,
    },
};

fn replicated(recorder: &Arc<Recorder>, most: usize) -> Arc<dyn KvStore> {
    Replicated::new(recorder.clone(), Policies::all(Policy::Replicated), most)
}

fn next(persister: &ReplicatedPersister) -> Poll<Result<(ChannelId, u64), Error>> {
    pin!(persister.next_completed()).poll(&mut Context::from_waker(Waker::noop()))
}

/// The kit opens channels with a persister that is done at once, so it is used until then.
struct Switch {
    replicated: ReplicatedPersister,
    local: StrongroomStore,
    on: AtomicBool,
}

impl Switch {
    fn persister(&self) -> &dyn Persist<TestChannelSigner> {
        if self.on.load(Ordering::SeqCst) { &self.replicated } else { &self.local }
    }
}

impl Persist<TestChannelSigner> for Switch {
    fn persist_new_channel(
        &self,
        name: MonitorName,
        monitor: &ChannelMonitor<TestChannelSigner>,
    ) -> ChannelMonitorUpdateStatus {
        self.persister().persist_new_channel(name, monitor)
    }

    fn update_persisted_channel(
        &self,
        name: MonitorName,
        update: Option<&ChannelMonitorUpdate>,
        monitor: &ChannelMonitor<TestChannelSigner>,
    ) -> ChannelMonitorUpdateStatus {
        self.persister().update_persisted_channel(name, update, monitor)
    }

    fn archive_persisted_channel(&self, name: MonitorName) {
        self.persister().archive_persisted_channel(name);
    }
}

/// Two nodes with a channel, the first one's monitors replicated from then on; `then` gets the
/// first node, the second one, the switch and the channel.
macro_rules! with_channel {
    ($store:expr, $recorder:expr, |$nodes:ident, $switch:ident, $channel:ident| $then:block) => {
        let $switch = Switch {
            replicated: ReplicatedPersister::open($store).unwrap(),
            local: StrongroomStore::new($recorder.clone()),
            on: AtomicBool::new(false),
        };
        let configs = create_chanmon_cfgs(2);
        let mut node_configs = create_node_cfgs(2, &configs);
        node_configs[0].chain_monitor = TestChainMonitor::new(
            Some(&configs[0].chain_source),
            &configs[0].tx_broadcaster,
            &configs[0].logger,
            &configs[0].fee_estimator,
            &$switch,
            node_configs[0].keys_manager,
        );
        let managers = create_node_chanmgrs(2, &node_configs, &[None, None]);
        let $nodes = create_network(2, &node_configs, &managers);
        let $channel = create_announced_chan_between_nodes(&$nodes, 0, 1).2;
        cloud_takes_everything(&$recorder);
        $switch.on.store(true, Ordering::SeqCst);
        $then
    };
}

/// The monitors of the first node.
macro_rules! stored {
    ($nodes:ident, $persister:expr) => {{
        let (keys, node) = ($nodes[0].keys_manager, &$nodes[0]);
        let read =
            $persister.read_channel_monitors(keys, keys, node.tx_broadcaster, node.fee_estimator);
        read.unwrap()
    }};
}

/// The first node offers a payment.
macro_rules! pay {
    ($nodes:ident) => {{
        let (route, hash, _, secret) = get_route_and_payment_hash!($nodes[0], $nodes[1], 1_000_000);
        let onion = RecipientOnionFields::secret_only(secret);
        let sent = $nodes[0].node.send_payment_with_route(route, hash, onion, PaymentId(hash.0));
        sent.unwrap();
        check_added_monitors!($nodes[0], 1);
    }};
}

#[test]
fn nothing_leaves_the_node_before_the_cloud_has_the_monitor() {
    let recorder = recorder(Arc::new(MemStore::new()));
    with_channel!(replicated(&recorder, 100), recorder, |nodes, switch, channel| {
        pay!(nodes);
        let monitor = &nodes[0].chain_monitor.chain_monitor;
        let latest = monitor.get_monitor(channel).unwrap().get_latest_update_id();
        assert_eq!(switch.replicated.waiting(), 1);
        // It is durable here, and nothing was said to the peer.
        let stored = stored!(nodes, switch.replicated);
        assert_eq!(stored[0].1.get_latest_update_id(), latest);
        assert!(next(&switch.replicated).is_pending());
        assert!(nodes[0].node.get_and_clear_pending_msg_events().is_empty());
        assert_eq!(monitor.list_pending_monitor_updates()[&channel], [latest]);
        cloud_takes_everything(&recorder);
        // Told once, and then the peer hears of it.
        assert_eq!(block_on(switch.replicated.next_completed()).unwrap(), (channel, latest));
        assert!(next(&switch.replicated).is_pending());
        monitor.channel_monitor_updated(channel, latest).unwrap();
        check_added_monitors!(nodes[0], 0);
        assert_eq!(nodes[0].node.get_and_clear_pending_msg_events().len(), 1);
        assert_eq!(switch.replicated.waiting(), 0);
    });
}

/// Notes that it was woken.
#[derive(Default)]
struct Bell(AtomicBool);

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::SeqCst);
    }
}

#[test]
fn who_waits_while_nothing_is_under_way_is_woken() {
    let recorder = recorder(Arc::new(MemStore::new()));
    with_channel!(replicated(&recorder, 100), recorder, |nodes, switch, channel| {
        let bell = Arc::new(Bell::default());
        let waker = Waker::from(bell.clone());
        let mut waits = pin!(switch.replicated.next_completed());
        assert!(waits.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
        assert!(!bell.0.load(Ordering::SeqCst));
        pay!(nodes);
        assert!(bell.0.load(Ordering::SeqCst));
        cloud_takes_everything(&recorder);
        assert_eq!(block_on(waits).unwrap().0, channel);
        nodes[0].node.get_and_clear_pending_msg_events();
    });
}

#[test]
fn who_waits_is_woken_by_the_next_monitor() {
    let recorder = recorder(Arc::new(MemStore::new()));
    with_channel!(replicated(&recorder, 100), recorder, |nodes, switch, channel| {
        std::thread::scope(|scope| {
            // It waits while nothing is under way, then for the cloud.
            let waits = scope.spawn(|| block_on(switch.replicated.next_completed()).unwrap().0);
            pay!(nodes);
            cloud_takes_everything(&recorder);
            assert_eq!(waits.join().unwrap(), channel);
        });
        nodes[0].node.get_and_clear_pending_msg_events();
    });
}

#[test]
fn a_killed_node_does_not_start_before_the_cloud_has_what_it_left() {
    let medium = Medium::default();
    let recorder = recorder(Arc::new(MemStore::open(medium.clone()).unwrap()));
    with_channel!(replicated(&recorder, 100), recorder, |nodes, switch, channel| {
        pay!(nodes);
        // Killed after the local commit, with the cloud away.
        assert!(nodes[0].node.get_and_clear_pending_msg_events().is_empty());
        let monitor = &nodes[0].chain_monitor.chain_monitor;
        let latest = monitor.get_monitor(channel).unwrap().get_latest_update_id();
        medium.crash();
        let again = common::recorder(Arc::new(MemStore::open(medium.clone()).unwrap()));
        // Started again, still offline: it gets no monitors, so it cannot revoke anything.
        let outcome = ReplicatedPersister::open(replicated(&again, 100));
        let Err(OpenError::NotYetReplicated { lag }) = outcome else { panic!("{outcome:?}") };
        assert!(lag.records > 0);
        let mut opening =
            Box::pin(ReplicatedPersister::open_when_replicated(replicated(&again, 100)));
        let mut cx = Context::from_waker(Waker::noop());
        assert!(opening.as_mut().poll(&mut cx).is_pending());
        // The cloud is back.
        cloud_takes_everything(&again);
        let persister = block_on(opening).unwrap();
        let stored = stored!(nodes, persister);
        assert_eq!(stored[0].1.get_latest_update_id(), latest);
        assert!(ReplicatedPersister::open(replicated(&again, 100)).is_ok());
    });
}

#[test]
fn after_a_failure_no_update_is_completed() {
    let fault = Arc::new(Fault::default());
    let faulty = Arc::new(FaultyStore::new(Arc::new(MemStore::new()), fault.clone()));
    let recorder = recorder(faulty);
    with_channel!(replicated(&recorder, 100), recorder, |nodes, switch, channel| {
        fault.fail_nth(1, Landing::Landed);
        pay!(nodes);
        assert!(fault.fired());
        for _ in 0..2 {
            let outcome = block_on(switch.replicated.next_completed());
            assert!(matches!(outcome, Err(Error::Io { .. })), "{outcome:?}");
        }
        let pending = nodes[0].chain_monitor.chain_monitor.list_pending_monitor_updates();
        assert_eq!(pending[&channel].len(), 1);
        assert!(nodes[0].node.get_and_clear_pending_msg_events().is_empty());
    });
}

#[test]
fn a_full_queue_stops_the_node_and_writes_nothing() {
    let recorder = recorder(Arc::new(MemStore::new()));
    with_channel!(replicated(&recorder, 0), recorder, |nodes, switch, channel| {
        let before = recorder.sequence();
        pay!(nodes);
        assert_eq!(recorder.sequence(), before);
        let outcome = block_on(switch.replicated.next_completed());
        assert!(matches!(outcome, Err(Error::Backlog { .. })), "{outcome:?}");
        let pending = nodes[0].chain_monitor.chain_monitor.list_pending_monitor_updates();
        assert_eq!(pending[&channel].len(), 1);
        assert!(nodes[0].node.get_and_clear_pending_msg_events().is_empty());
    });
}

#[test]
fn an_archived_monitor_moves_in_one_batch() {
    let recorder = recorder(Arc::new(MemStore::new()));
    with_channel!(replicated(&recorder, 100), recorder, |nodes, switch, channel| {
        pay!(nodes);
        let (name, encoded) = {
            let monitor = nodes[0].chain_monitor.chain_monitor.get_monitor(channel).unwrap();
            (monitor.persistence_key(), monitor.encode())
        };
        let before = recorder.sequence();
        for _ in 0..2 {
            // The second time it is there already.
            Persist::<TestChannelSigner>::archive_persisted_channel(&switch.replicated, name);
        }
        assert_eq!(recorder.sequence(), before + 1);
        assert!(stored!(nodes, switch.replicated).is_empty());
        let local = StrongroomStore::new(recorder.clone());
        let archived = KVStoreSync::read(&local, "archived_monitors", "", &name.to_string());
        assert_eq!(archived.unwrap(), encoded);
        nodes[0].node.get_and_clear_pending_msg_events();
    });
}

#[test]
fn a_monitor_that_is_on_its_way_is_archived_as_it_will_be() {
    // Nothing is written before somebody waits.
    let disk = SimDisk::new();
    let store = FsStore::open_alone(disk.mount(), Settings::default()).unwrap();
    let recorder = recorder(Arc::new(store));
    with_channel!(replicated(&recorder, 100), recorder, |nodes, switch, channel| {
        pay!(nodes);
        let (name, encoded, latest) = {
            let monitor = nodes[0].chain_monitor.chain_monitor.get_monitor(channel).unwrap();
            (monitor.persistence_key(), monitor.encode(), monitor.get_latest_update_id())
        };
        let stored = stored!(nodes, switch.replicated);
        assert!(stored[0].1.get_latest_update_id() < latest);
        Persist::<TestChannelSigner>::archive_persisted_channel(&switch.replicated, name);
        recorder.flush().unwrap();
        let local = StrongroomStore::new(recorder.clone());
        let archived = KVStoreSync::read(&local, "archived_monitors", "", &name.to_string());
        assert!(archived.unwrap() == encoded);
        nodes[0].node.get_and_clear_pending_msg_events();
    });
}

#[test]
fn of_two_monitors_on_their_way_the_newer_one_is_archived() {
    // Nothing is written before somebody waits.
    let disk = SimDisk::new();
    let store = FsStore::open_alone(disk.mount(), Settings::default()).unwrap();
    let recorder = recorder(Arc::new(store));
    let (node, persister) = small_node(&recorder);
    let peer = peer();
    open_channel(&node, &peer, || {
        cloud_takes_everything(&recorder);
        !pass_on(&persister, &node).is_empty()
    });
    node.pay(&peer, 10_000_000);
    cloud_takes_everything(&recorder);
    // The cloud has that one, which nobody has asked for yet, when the next one comes.
    peer.pay(&node, 20_000_000);
    assert!(peer.deliver(&node, |_| ()));
    assert_eq!(persister.waiting(), 2);
    assert_eq!(pass_on(&persister, &node).len(), 1);
    let channel = node.manager.list_channels()[0].channel_id;
    let (name, latest, encoded) = {
        let monitor = node.monitors.get_monitor(channel).unwrap();
        (monitor.persistence_key(), monitor.get_latest_update_id(), monitor.encode())
    };
    let keys = &*node.parts.keys;
    let local = StrongroomStore::new(recorder.clone());
    let stored = read_channel_monitors(&local, keys, keys).unwrap();
    assert!(stored[0].1.get_latest_update_id() < latest);
    Persist::<InMemorySigner>::archive_persisted_channel(&*persister, name);
    recorder.flush().unwrap();
    let archived = KVStoreSync::read(&local, "archived_monitors", "", &name.to_string());
    assert!(archived.unwrap() == encoded, "it is archived as it will be");
}

#[test]
fn an_archiving_that_fails_is_told_and_after_a_failure_nothing_is_archived() {
    let fault = Arc::new(Fault::default());
    let faulty = Arc::new(FaultyStore::new(Arc::new(MemStore::new()), fault.clone()));
    let recorder = recorder(faulty);
    with_channel!(replicated(&recorder, 100), recorder, |nodes, switch, channel| {
        let name = {
            let monitor = nodes[0].chain_monitor.chain_monitor.get_monitor(channel).unwrap();
            monitor.persistence_key()
        };
        let before = recorder.sequence();
        // The monitor cannot be read.
        fault.fail_nth(1, Landing::Absent);
        Persist::<TestChannelSigner>::archive_persisted_channel(&switch.replicated, name);
        assert!(fault.fired());
        let outcome = block_on(switch.replicated.next_completed());
        assert!(matches!(outcome, Err(Error::Io { .. })), "{outcome:?}");
        Persist::<TestChannelSigner>::archive_persisted_channel(&switch.replicated, name);
        assert_eq!(recorder.sequence(), before, "nothing is archived");
        assert_eq!(switch.replicated.waiting(), 0, "nothing waits any more");
        pay!(nodes);
        assert_eq!(switch.replicated.waiting(), 0, "nothing waits any more");
        nodes[0].node.get_and_clear_pending_msg_events();
    });
}

#[test]
fn a_store_that_does_not_wait_for_the_cloud_is_refused() {
    let recorder = recorder(Arc::new(MemStore::new()));
    let outcome = ReplicatedPersister::open(recorder.clone());
    assert!(matches!(outcome, Err(OpenError::NotReplicated)), "{outcome:?}");
    let open = |primary| {
        let mixed = Policies::default().with(primary, Policy::Replicated);
        ReplicatedPersister::open(Replicated::new(recorder.clone(), mixed, 10))
    };
    let outcome = open("others");
    assert!(matches!(outcome, Err(OpenError::NotReplicated)), "{outcome:?}");
    open("monitors").unwrap();
}

/// A small node with what is in the store, and its persister.
fn small_node(recorder: &Arc<Recorder>) -> (Small, Arc<ReplicatedPersister>) {
    let persister = Arc::new(ReplicatedPersister::open(replicated(recorder, 100)).unwrap());
    let (parts, local) = (Parts::new(&[1; 32]), StrongroomStore::new(recorder.clone()));
    let node = match KVStoreSync::read(&local, "", "", "manager") {
        Ok(manager) => {
            let keys = &*parts.keys;
            let read = persister.read_channel_monitors(keys, keys, &*parts.sent, &*parts.fees);
            Small::load(parts.clone(), persister.clone(), &manager, read.unwrap()).unwrap()
        }
        Err(_) => Small::new(parts, persister.clone()),
    };
    (node, persister)
}

fn peer() -> Small {
    Small::new(Parts::new(&[2; 32]), Arc::new(StrongroomStore::new(Arc::new(MemStore::new()))))
}

/// Tells LDK what the cloud has by now, each update that it has; in the order in which it was told.
fn pass_on(persister: &ReplicatedPersister, node: &Small) -> Vec<(ChannelId, u64)> {
    let mut told = Vec::new();
    while let Poll::Ready(update) = next(persister) {
        let (channel, update) = update.unwrap();
        node.monitors.channel_monitor_updated(channel, update).unwrap();
        told.push((channel, update));
    }
    told
}

fn is_secret(message: &MessageSendEvent) -> bool {
    matches!(message, MessageSendEvent::SendRevokeAndACK { .. })
}

#[test]
fn no_secret_is_given_away_before_the_cloud_has_the_state_after_it() {
    let medium = Medium::default();
    let first = recorder(Arc::new(MemStore::open(medium.clone()).unwrap()));
    let (node, persister) = small_node(&first);
    let peer = peer();
    open_channel(&node, &peer, || {
        cloud_takes_everything(&first);
        !pass_on(&persister, &node).is_empty()
    });
    // The peer offers a payment and signs the state with it; the cloud is away.
    peer.pay(&node, 1_000_000);
    peer.handle_events();
    assert!(peer.deliver(&node, |_| ()));
    node.handle_events();
    assert_eq!(persister.waiting(), 1);
    assert!(pass_on(&persister, &node).is_empty());
    assert!(!node.deliver(&peer, |_| ()), "the old state is not revoked");
    let local = StrongroomStore::new(first.clone());
    KVStoreSync::write(&local, "", "", "manager", node.manager.encode()).unwrap();

    // Killed, and started again offline.
    medium.crash();
    drop((node, persister));
    let again = recorder(Arc::new(MemStore::open(medium.clone()).unwrap()));
    let outcome = ReplicatedPersister::open(replicated(&again, 100));
    assert!(matches!(outcome, Err(OpenError::NotYetReplicated { .. })), "{outcome:?}");

    // The cloud is back. Nothing is said before the peer is.
    cloud_takes_everything(&again);
    let (node, persister) = small_node(&again);
    node.handle_events();
    assert!(!node.deliver(&peer, |_| ()));
    connect(&node, &peer);
    let mut secrets = 0;
    let mut idle = 0;
    while idle < 2 {
        node.handle_events();
        peer.handle_events();
        cloud_takes_everything(&again);
        let mut any = !pass_on(&persister, &node).is_empty();
        any |= node.deliver(&peer, |message| secrets += u32::from(is_secret(message)));
        any |= peer.deliver(&node, |_| ());
        idle = if any { 0 } else { idle + 1 };
    }
    // The one that was kept back, and that of the settled payment.
    assert_eq!(secrets, 2);
    assert_eq!(peer.paid(), 1);
}

#[test]
fn each_of_several_updates_under_way_is_told_once() {
    let recorder = recorder(Arc::new(MemStore::new()));
    let (node, persister) = small_node(&recorder);
    let peer = peer();
    let settle = || {
        cloud_takes_everything(&recorder);
        !pass_on(&persister, &node).is_empty()
    };
    open_channel(&node, &peer, settle);
    // A payment of ours, and meanwhile one of the peer's over the same channel.
    node.pay(&peer, 10_000_000);
    assert_eq!(persister.waiting(), 1);
    peer.pay(&node, 20_000_000);
    assert!(peer.deliver(&node, |_| ()));
    assert_eq!(persister.waiting(), 2);
    let pending: Vec<(ChannelId, u64)> = node
        .monitors
        .list_pending_monitor_updates()
        .into_iter()
        .flat_map(|(channel, updates)| updates.into_iter().map(move |update| (channel, update)))
        .collect();
    assert_eq!(pending.len(), 2);
    assert!(pass_on(&persister, &node).is_empty(), "the cloud has nothing yet");
    cloud_takes_everything(&recorder);
    assert_eq!(pass_on(&persister, &node), pending, "each once, in their order");
    assert!(next(&persister).is_pending());
    run(&node, &peer, settle);
    assert_eq!((node.paid(), peer.paid()), (1, 1));

    // What a block changes goes to the cloud as well, and LDK wants to hear nothing of it.
    let listeners: [&dyn Confirm; 4] =
        [&*node.monitors, &node.manager, &*peer.monitors, &peer.manager];
    let mut height = 2;
    while persister.waiting() == 0 {
        assert!(height < 300, "no block changes a monitor");
        mine(height, &[], &listeners);
        height += 1;
    }
    cloud_takes_everything(&recorder);
    assert!(pass_on(&persister, &node).is_empty());
    assert_eq!(persister.waiting(), 0);
}
