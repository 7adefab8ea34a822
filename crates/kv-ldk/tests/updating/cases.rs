//! LDK's `MonitorUpdatingPersister`, waiting and awaited, over stores of each kind: what it stores is
//! what a node goes on from.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "helpers of tests panic")]

use std::{
    pin::pin,
    sync::Arc,
    task::{Context, Poll, Waker},
};

use backup::{Policies, Policy, Recorder, Replicated};
use kv_core::testing::block_on;
use kv_ldk::StrongroomStore;
use kv_mem::MemStore;

use super::{
    Locator, async_monitors,
    ldk::{
        chain::{
            ChannelMonitorUpdateStatus, Watch, chainmonitor::Persist,
            channelmonitor::ChannelMonitor,
        },
        sign::InMemorySigner,
        util::{
            persist::{KVStore, KVStoreSync, MonitorName, read_channel_monitors},
            ser::{ReadableArgs, Writeable},
        },
    },
    ours::{ReadArgs, ReplicatedPersister, verify_channels},
    small::{
        AsyncMonitors, Manager, Parts, Small, Updating, async_updating, connect, open_channel, run,
        updating,
    },
};
use crate::common::{cloud_takes_everything, later::Later, recorder, stores};

/// Every so many updates the whole monitor is stored again.
const WHOLE: u64 = 7;

type Monitor = ChannelMonitor<InMemorySigner>;

fn waiting(parts: &Parts, store: &Arc<StrongroomStore>) -> Updating {
    updating(parts, store, WHOLE)
}

fn awaited(parts: &Parts, store: &Arc<StrongroomStore>, later: &Later) -> Arc<AsyncMonitors> {
    async_monitors(parts, async_updating(parts, store, later, WHOLE))
}

/// The other node, on a store of its own.
fn peer() -> Small {
    let store = StrongroomStore::new(Arc::new(MemStore::new()));
    Small::new(Parts::new(&[2; 32]), Arc::new(store))
}

fn everything_is_done() -> bool {
    false
}

/// The store has one monitor and its later updates, and what LDK says of them is good.
fn check(name: &str, parts: &Parts, store: &StrongroomStore, updates: u64) {
    let monitors = KVStoreSync::list(store, "monitors", "").unwrap();
    assert_eq!(monitors.len(), 1, "{name}");
    let mut ids: Vec<u64> = KVStoreSync::list(store, "monitor_updates", &monitors[0])
        .unwrap()
        .iter()
        .map(|id| id.parse().unwrap())
        .collect();
    ids.sort_unstable();
    let since: Vec<u64> = (updates / WHOLE * WHOLE + 1..=updates).collect();
    assert_eq!(ids, since, "{name}: the whole monitor replaces its updates");
    let args = ReadArgs {
        entropy_source: parts.keys.clone(),
        node_signer: parts.keys.clone(),
        signer_provider: parts.keys.clone(),
        fee_estimator: parts.fees.clone(),
        router: parts.router.clone(),
        message_router: parts.message_router.clone(),
        config: parts.config.clone(),
    };
    let report = verify_channels(store, args).unwrap();
    assert!(report.is_fine(), "{name}: {report:?}");
}

fn store_manager<M: Watch<InMemorySigner>>(store: &StrongroomStore, manager: &Manager<M>) {
    block_on(KVStore::write(store, "", "", "manager", manager.encode())).unwrap();
}

#[test]
fn updates_are_stored_one_by_one_and_read_again() {
    for made in stores() {
        let store = Arc::new(StrongroomStore::new(made.store.clone()));
        let (parts, peer) = (Parts::new(&[1; 32]), peer());
        let node = Small::new(parts.clone(), Arc::new(waiting(&parts, &store)));
        open_channel(&node, &peer, everything_is_done);
        for _ in 0..3 {
            node.pay(&peer, 1_000_000);
            run(&node, &peer, everything_is_done);
        }
        assert_eq!(node.paid(), 3, "{}", made.name);
        store_manager(&store, &node.manager);
        let channel = node.manager.list_channels()[0].channel_id;
        let updates = node.monitors.get_monitor(channel).unwrap().get_latest_update_id();
        made.store.submit(kv_core::Batch::new()).wait().unwrap();
        check(made.name, &parts, &store, updates);

        // It ends, and goes on from the store.
        drop(node);
        let persister = waiting(&parts, &store);
        let read = persister.read_all_channel_monitors_with_updates().unwrap();
        assert_eq!(read[0].1.get_latest_update_id(), updates, "{}", made.name);
        let manager = KVStoreSync::read(&*store, "", "", "manager").unwrap();
        let node = Small::load(parts.clone(), Arc::new(persister), &manager, read).unwrap();
        connect(&node, &peer);
        run(&node, &peer, everything_is_done);
        peer.pay(&node, 2_000_000);
        run(&node, &peer, everything_is_done);
        assert_eq!(peer.paid(), 1, "{}", made.name);
    }
}

#[test]
fn awaited_updates_count_in_the_order_in_which_they_were_made() {
    for made in stores() {
        let store = Arc::new(StrongroomStore::new(made.store.clone()));
        let (parts, peer, later) = (Parts::new(&[1; 32]), peer(), Later::default());
        let node = Small::over(parts.clone(), awaited(&parts, &store, &later));
        open_channel(&node, &peer, || later.finish());
        for _ in 0..3 {
            node.pay(&peer, 1_000_000);
            run(&node, &peer, || later.finish());
        }
        assert_eq!(node.paid(), 3, "{}", made.name);
        store_manager(&store, &node.manager);
        let channel = node.manager.list_channels()[0].channel_id;
        let updates = node.monitors.get_monitor(channel).unwrap().get_latest_update_id();
        made.store.submit(kv_core::Batch::new()).wait().unwrap();
        check(made.name, &parts, &store, updates);

        drop(node);
        let reader = async_updating(&parts, &store, &later, WHOLE);
        let read = later.finish_for(reader.read_all_channel_monitors_with_updates()).unwrap();
        assert_eq!(read[0].1.get_latest_update_id(), updates, "{}", made.name);
        let monitors = awaited(&parts, &store, &later);
        let bytes = block_on(KVStore::read(&*store, "", "", "manager")).unwrap();
        let manager = parts.read_manager(&bytes, monitors.clone(), &read).unwrap();
        for (_, monitor) in read {
            let loaded = monitors.load_existing_monitor(monitor.channel_id(), monitor);
            assert_eq!(loaded, Ok(ChannelMonitorUpdateStatus::Completed));
        }
        let node = Small::with(parts.clone(), monitors, manager);
        connect(&node, &peer);
        run(&node, &peer, || later.finish());
        peer.pay(&node, 2_000_000);
        run(&node, &peer, || later.finish());
        assert_eq!(peer.paid(), 1, "{}", made.name);
    }
}

#[test]
fn a_monitor_that_ldk_archives_is_kept_and_goes_to_no_node() {
    for made in stores() {
        let store = Arc::new(StrongroomStore::new(made.store.clone()));
        let (parts, peer) = (Parts::new(&[1; 32]), peer());
        let persister = Arc::new(waiting(&parts, &store));
        let node = Small::new(parts.clone(), persister.clone());
        open_channel(&node, &peer, everything_is_done);
        node.pay(&peer, 1_000_000);
        run(&node, &peer, everything_is_done);
        let channel = node.manager.list_channels()[0].channel_id;
        let (name, updates) = {
            let monitor = node.monitors.get_monitor(channel).unwrap();
            (monitor.persistence_key(), monitor.get_latest_update_id())
        };
        Persist::<InMemorySigner>::archive_persisted_channel(&*persister, name);
        made.store.submit(kv_core::Batch::new()).wait().unwrap();
        assert!(persister.read_all_channel_monitors_with_updates().unwrap().is_empty());
        let names = KVStoreSync::list(&*store, "archived_monitors", "").unwrap();
        assert_eq!(names, [name.to_string()], "{}", made.name);
        let bytes = KVStoreSync::read(&*store, "archived_monitors", "", &names[0]).unwrap();
        let keys = (&*parts.keys, &*parts.keys);
        let (_, archived) = <(Locator, Monitor)>::read(&mut &bytes[..], keys).unwrap();
        assert_eq!(archived.get_latest_update_id(), updates, "{}", made.name);
    }
}

#[test]
fn awaited_updates_wait_for_the_cloud_where_the_store_does() {
    let recorder = recorder(Arc::new(MemStore::new()));
    let replicated = Replicated::new(recorder.clone(), Policies::all(Policy::Replicated), 100);
    let store = Arc::new(StrongroomStore::new(replicated));
    let (parts, peer, later) = (Parts::new(&[1; 32]), peer(), Later::default());
    let node = Small::over(parts.clone(), awaited(&parts, &store, &later));
    // A whole monitor is followed by the removal of its updates, which waits for the cloud again.
    let cloud = || later.finish_while(|| cloud_takes_everything(&recorder));
    open_channel(&node, &peer, cloud);
    node.pay(&peer, 1_000_000);
    // The cloud is away: the update is under way, and nothing leaves the node.
    node.handle_events();
    assert_eq!(later.count(), 1);
    assert!(!node.deliver(&peer, |_| ()));
    run(&node, &peer, cloud);
    assert_eq!(node.paid(), 1);
}

fn open_replicated(recorder: &Arc<Recorder>) -> Arc<ReplicatedPersister> {
    let waits = Replicated::new(recorder.clone(), Policies::all(Policy::Replicated), 100);
    Arc::new(ReplicatedPersister::open(waits).unwrap())
}

/// A node that has stored updates one by one goes on with whole monitors that wait for the cloud.
#[test]
fn what_was_stored_in_updates_is_opened_replicated() {
    let recorder = recorder(Arc::new(MemStore::new()));
    let store = Arc::new(StrongroomStore::new(recorder.clone()));
    let (parts, peer) = (Parts::new(&[1; 32]), peer());
    let node = Small::new(parts.clone(), Arc::new(waiting(&parts, &store)));
    open_channel(&node, &peer, everything_is_done);
    for _ in 0..2 {
        node.pay(&peer, 1_000_000);
        run(&node, &peer, everything_is_done);
    }
    store_manager(&store, &node.manager);
    let channel = node.manager.list_channels()[0].channel_id;
    let (name, updates) = {
        let monitor = node.monitors.get_monitor(channel).unwrap();
        (monitor.persistence_key(), monitor.get_latest_update_id())
    };
    drop(node);
    assert!(updates % WHOLE > 1, "some updates lie beside the monitor");
    cloud_takes_everything(&recorder);
    let open = || open_replicated(&recorder);
    let archived = || KVStoreSync::list(&*store, "archived_monitors", "").unwrap();
    // Nobody has read the monitor, so what is stored of it alone is an old one.
    Persist::<InMemorySigner>::archive_persisted_channel(&*open(), name);
    assert!(archived().is_empty());

    let persister = open();
    let (keys, sent, fees) = (&*parts.keys, &*parts.sent, &*parts.fees);
    let before = recorder.sequence();
    let read = persister.read_channel_monitors(keys, keys, sent, fees).unwrap();
    assert_eq!(recorder.sequence(), before + 1, "it becomes whole in one batch");
    assert_eq!(read[0].1.get_latest_update_id(), updates);
    assert_eq!(persister.waiting(), 1, "it is stored as a whole");
    assert!(KVStoreSync::list(&*store, "monitor_updates", &name.to_string()).unwrap().is_empty());
    let plain = read_channel_monitors(&*store, keys, keys).unwrap();
    assert_eq!(plain[0].1.get_latest_update_id(), updates);

    let manager = KVStoreSync::read(&*store, "", "", "manager").unwrap();
    let node = Small::load(parts.clone(), persister.clone(), &manager, read).unwrap();
    let cloud = || {
        cloud_takes_everything(&recorder);
        let mut any = false;
        while let Poll::Ready(done) =
            pin!(persister.next_completed()).poll(&mut Context::from_waker(Waker::noop()))
        {
            let (channel, update) = done.unwrap();
            node.monitors.channel_monitor_updated(channel, update).unwrap();
            any = true;
        }
        any
    };
    connect(&node, &peer);
    run(&node, &peer, cloud);
    node.pay(&peer, 2_000_000);
    run(&node, &peer, cloud);
    assert_eq!(node.paid(), 1);
    let newest = node.monitors.get_monitor(channel).unwrap().get_latest_update_id();
    assert!(newest > updates);
    Persist::<InMemorySigner>::archive_persisted_channel(&*persister, name);
    assert_eq!(archived(), [name.to_string()]);
    let bytes = KVStoreSync::read(&*store, "archived_monitors", "", &archived()[0]).unwrap();
    let (_, monitor) = <(Locator, Monitor)>::read(&mut &bytes[..], (keys, keys)).unwrap();
    assert_eq!(monitor.get_latest_update_id(), newest);
}

/// The monitor of a node's channel, and its newest update.
fn monitor_of(node: &Small) -> (MonitorName, u64) {
    let channel = node.manager.list_channels()[0].channel_id;
    let monitor = node.monitors.get_monitor(channel).unwrap();
    (monitor.persistence_key(), monitor.get_latest_update_id())
}

/// Opened replicated, it is from then on one value in which LDK reads the newest state without anything
/// else, and it is archived as that.
fn becomes_whole(recorder: &Arc<Recorder>, parts: &Parts, (name, updates): (MonitorName, u64)) {
    cloud_takes_everything(recorder);
    let store = StrongroomStore::new(recorder.clone());
    let persister = open_replicated(recorder);
    let (keys, sent, fees) = (&*parts.keys, &*parts.sent, &*parts.fees);
    let newest = |read: Vec<(Locator, Monitor)>| read[0].1.get_latest_update_id();
    let read = || newest(persister.read_channel_monitors(keys, keys, sent, fees).unwrap());
    assert_eq!(read(), updates);
    assert_eq!(newest(read_channel_monitors(&store, keys, keys).unwrap()), updates);
    assert!(KVStoreSync::list(&store, "monitor_updates", &name.to_string()).unwrap().is_empty());
    let before = recorder.sequence();
    assert_eq!(read(), updates);
    assert_eq!(recorder.sequence(), before, "what is whole is left as it is");
    Persist::<InMemorySigner>::archive_persisted_channel(&*persister, name);
    let bytes = KVStoreSync::read(&store, "archived_monitors", "", &name.to_string()).unwrap();
    let (_, archived) = <(Locator, Monitor)>::read(&mut &bytes[..], (keys, keys)).unwrap();
    assert_eq!(archived.get_latest_update_id(), updates);
}

#[test]
fn a_monitor_whose_updates_are_all_in_it_loses_the_mark_of_those_that_have_some() {
    let recorder = recorder(Arc::new(MemStore::new()));
    let store = Arc::new(StrongroomStore::new(recorder.clone()));
    let (parts, peer) = (Parts::new(&[1; 32]), peer());
    // The whole monitor each time.
    let node = Small::new(parts.clone(), Arc::new(updating(&parts, &store, 1)));
    open_channel(&node, &peer, everything_is_done);
    node.pay(&peer, 1_000_000);
    run(&node, &peer, everything_is_done);
    let (name, updates) = monitor_of(&node);
    assert!(KVStoreSync::list(&*store, "monitor_updates", &name.to_string()).unwrap().is_empty());
    let (keys, bytes) =
        (&*parts.keys, KVStoreSync::read(&*store, "monitors", "", &name.to_string()));
    assert!(bytes.unwrap().starts_with(&[0xff; 2]));
    assert!(read_channel_monitors(&*store, keys, keys).is_err(), "the mark keeps others away");
    becomes_whole(&recorder, &parts, (name, updates));
}

#[test]
fn updates_beside_a_monitor_that_was_whole_before_them_become_one_with_it() {
    let recorder = recorder(Arc::new(MemStore::new()));
    let store = Arc::new(StrongroomStore::new(recorder.clone()));
    let (parts, peer) = (Parts::new(&[1; 32]), peer());
    // Its monitors were whole at first.
    let node = Small::new(parts.clone(), store.clone());
    open_channel(&node, &peer, everything_is_done);
    store_manager(&store, &node.manager);
    let before = monitor_of(&node).1;
    drop(node);
    let persister = updating(&parts, &store, 1000);
    let read = persister.read_all_channel_monitors_with_updates().unwrap();
    let manager = KVStoreSync::read(&*store, "", "", "manager").unwrap();
    let node = Small::load(parts.clone(), Arc::new(persister), &manager, read).unwrap();
    connect(&node, &peer);
    run(&node, &peer, everything_is_done);
    node.pay(&peer, 1_000_000);
    run(&node, &peer, everything_is_done);
    let (name, updates) = monitor_of(&node);
    assert!(updates > before);
    let beside = KVStoreSync::list(&*store, "monitor_updates", &name.to_string()).unwrap();
    assert_eq!(beside.len() as u64, updates - before);
    let bytes = KVStoreSync::read(&*store, "monitors", "", &name.to_string()).unwrap();
    assert!(!bytes.starts_with(&[0xff; 2]));
    becomes_whole(&recorder, &parts, (name, updates));
}
