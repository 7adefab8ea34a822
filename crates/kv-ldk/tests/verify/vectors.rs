//! Managers and monitors that belong together, or not.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "helpers of tests panic")]

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use kv_ldk::StrongroomStore;
use kv_mem::MemStore;

use super::{
    ldk::{
        chain::{
            ChannelMonitorUpdateStatus, Confirm,
            chainmonitor::Persist,
            channelmonitor::{ChannelMonitor, ChannelMonitorUpdate},
        },
        events::Event,
        ln::{msgs::DecodeError, types::ChannelId},
        sign::InMemorySigner,
        util::{
            persist::{KVStoreSync, MonitorName},
            ser::Writeable,
        },
    },
    ours::{ChannelsReport, ForceClose, ManagerVerdict, ReadArgs, Verdict, verify_channels},
    small::{Parts, Small, ask_for_channel, mine, run},
};
use crate::common::Counting;

type Monitor = (String, Vec<u8>);
type Found = (ManagerVerdict, Vec<(ChannelId, Verdict)>);

const BEHIND: Verdict = Verdict::WouldBeForceClosed { cause: ForceClose::ManagerIsBehind };
const UNKNOWN: Verdict = Verdict::WouldBeForceClosed { cause: ForceClose::UnknownToManager };

/// Keeps nothing, at once or never.
#[derive(Default)]
struct Keeper {
    never: AtomicBool,
}

impl Keeper {
    fn answer(&self) -> ChannelMonitorUpdateStatus {
        if self.never.load(Ordering::SeqCst) {
            ChannelMonitorUpdateStatus::InProgress
        } else {
            ChannelMonitorUpdateStatus::Completed
        }
    }
}

impl Persist<InMemorySigner> for Keeper {
    fn persist_new_channel(
        &self,
        _: MonitorName,
        _: &ChannelMonitor<InMemorySigner>,
    ) -> ChannelMonitorUpdateStatus {
        self.answer()
    }

    fn update_persisted_channel(
        &self,
        _: MonitorName,
        _: Option<&ChannelMonitorUpdate>,
        _: &ChannelMonitor<InMemorySigner>,
    ) -> ChannelMonitorUpdateStatus {
        self.answer()
    }

    fn archive_persisted_channel(&self, _: MonitorName) {}
}

/// A node with two channels to its peer.
struct Two {
    node: Small,
    peer: Small,
    keeper: Arc<Keeper>,
    /// What the manager was before it had any, and when it had one.
    before: [Vec<u8>; 2],
    channels: [ChannelId; 2],
}

impl Two {
    fn open() -> Self {
        let keeper = Arc::new(Keeper::default());
        let node = Small::new(Parts::new(&[1; 32]), keeper.clone());
        let peer = Small::new(Parts::new(&[2; 32]), Arc::new(Keeper::default()));
        let before = [(); 2].map(|()| {
            let manager = node.manager.encode();
            ask_for_channel(&node, &peer);
            run(&node, &peer, || false);
            manager
        });
        let fundings = std::mem::take(&mut *node.parts.sent.0.lock().unwrap());
        assert_eq!(fundings.len(), 2);
        let all: [&dyn Confirm; 4] =
            [&*node.monitors, &node.manager, &*peer.monitors, &peer.manager];
        mine(1, &fundings, &all);
        run(&node, &peer, || false);
        let channels = node.manager.list_usable_channels();
        let channels = [channels[0].channel_id, channels[1].channel_id];
        Self { node, peer, keeper, before, channels }
    }

    fn manager(&self) -> Vec<u8> {
        self.node.manager.encode()
    }

    fn monitor(&self, channel: ChannelId) -> Monitor {
        let monitor = self.node.monitors.get_monitor(channel).unwrap();
        (monitor.persistence_key().to_string(), monitor.encode())
    }

    fn monitors(&self) -> [Monitor; 2] {
        self.channels.map(|channel| self.monitor(channel))
    }

    fn updates(&self, channel: ChannelId) -> u64 {
        self.node.monitors.get_monitor(channel).unwrap().get_latest_update_id()
    }

    /// The node offers a payment, of which nobody hears: the channel it goes through has one update
    /// more. That channel, and the other one.
    fn pay(&self) -> [ChannelId; 2] {
        let before = self.channels.map(|channel| self.updates(channel));
        self.node.pay(&self.peer, 1_000_000);
        let after = self.channels.map(|channel| self.updates(channel));
        let [x, y] = self.channels;
        let (paid, other) = if after[0] > before[0] { (x, y) } else { (y, x) };
        assert_eq!(after[0] + after[1], before[0] + before[1] + 1);
        [paid, other]
    }

    /// What is found in a store with these; that it writes nothing and sends nothing is seen each
    /// time.
    fn verify(&self, manager: Option<&[u8]>, monitors: &[&Monitor]) -> ChannelsReport {
        let counting = Arc::new(Counting::new(Arc::new(MemStore::new())));
        let store = StrongroomStore::new(counting.clone());
        if let Some(manager) = manager {
            KVStoreSync::write(&store, "", "", "manager", manager.to_vec()).unwrap();
        }
        for (name, bytes) in monitors {
            KVStoreSync::write(&store, "monitors", "", name, bytes.clone()).unwrap();
        }
        let before = counting.batches();
        let parts = self.node.parts.clone();
        let args = ReadArgs {
            entropy_source: parts.keys.clone(),
            node_signer: parts.keys.clone(),
            signer_provider: parts.keys,
            fee_estimator: parts.fees,
            router: parts.router,
            message_router: parts.message_router,
            config: parts.config,
        };
        let report = verify_channels(&store, args).unwrap();
        assert_eq!(counting.batches(), before, "it writes nothing");
        assert!(self.node.parts.sent.0.lock().unwrap().is_empty(), "it sends nothing");
        report
    }
}

/// The verdicts, by channel.
fn found(report: ChannelsReport) -> Found {
    let verdicts = report.channels.iter().map(|found| (found.channel.unwrap(), found.verdict));
    (report.manager, sorted(verdicts.collect()))
}

fn sorted(mut verdicts: Vec<(ChannelId, Verdict)>) -> Vec<(ChannelId, Verdict)> {
    verdicts.sort_by_key(|(channel, _)| channel.0);
    verdicts
}

/// In the order of [`found`].
fn both(channels: [ChannelId; 2], verdicts: [Verdict; 2]) -> Vec<(ChannelId, Verdict)> {
    sorted(channels.into_iter().zip(verdicts).collect())
}

fn refused(cause: DecodeError) -> ManagerVerdict {
    ManagerVerdict::Refused { cause }
}

#[test]
fn what_fits_together_is_fine() {
    let two = Two::open();
    let [x, y] = two.monitors();
    for _ in 0..2 {
        let report = two.verify(Some(&two.manager()), &[&x, &y]);
        assert!(report.is_fine());
        assert!(report.channels.iter().all(|found| found.said.is_empty()));
        let peer = Some(two.peer.manager.get_our_node_id());
        assert!(report.channels.iter().all(|found| found.counterparty == peer));
        let fine = both(two.channels, [Verdict::Fine; 2]);
        assert_eq!(found(report), (ManagerVerdict::Loads, fine));
    }
}

#[test]
fn a_manager_one_behind_closes_the_channel_it_is_behind_in() {
    let two = Two::open();
    let manager = two.manager();
    let [paid, other] = two.pay();
    let [x, y] = two.monitors();
    let report = two.verify(Some(&manager), &[&x, &y]);
    assert!(!report.is_fine());
    let behind = report.channels.iter().find(|found| found.channel == Some(paid)).unwrap();
    assert!(behind.said[0].contains("stale"), "{:?}", behind.said);
    let verdicts = both([paid, other], [BEHIND, Verdict::Fine]);
    assert_eq!(found(report), (ManagerVerdict::Loads, verdicts));
}

#[test]
fn a_monitor_one_behind_stops_the_whole_node() {
    let two = Two::open();
    let [x, y] = two.monitors();
    let [paid, other] = two.pay();
    let report = two.verify(Some(&two.manager()), &[&x, &y]);
    assert!(!report.is_fine());
    let verdicts = both([paid, other], [Verdict::Unreadable, Verdict::NotReached]);
    assert_eq!(found(report), (refused(DecodeError::DangerousValue), verdicts));
}

#[test]
fn a_monitor_one_behind_is_fine_while_its_update_is_in_flight() {
    let two = Two::open();
    let [x, y] = two.monitors();
    two.keeper.never.store(true, Ordering::SeqCst);
    let [paid, _] = two.pay();
    let manager = two.manager();
    let report = two.verify(Some(&manager), &[&x, &y]);
    assert!(report.is_fine(), "{report:?}");
    assert_eq!(found(report).1, both(two.channels, [Verdict::Fine; 2]));
    // The monitor may have got it meanwhile.
    let newer = two.monitor(paid);
    let other = if newer.0 == x.0 { &y } else { &x };
    assert!(two.verify(Some(&manager), &[&newer, other]).is_fine());
}

#[test]
fn a_missing_monitor_stops_the_whole_node() {
    let two = Two::open();
    let [_, y] = two.monitors();
    let report = two.verify(Some(&two.manager()), &[&y]);
    let gone = Some(two.channels[0]);
    let missing = report.channels.iter().find(|found| found.channel == gone).unwrap();
    assert_eq!(missing.monitor, None);
    let verdicts = both(two.channels, [Verdict::Unreadable, Verdict::NotReached]);
    assert_eq!(found(report), (refused(DecodeError::InvalidValue), verdicts));
}

#[test]
fn a_damaged_monitor_stops_the_whole_node() {
    let two = Two::open();
    let [mut x, y] = two.monitors();
    x.1.truncate(1000);
    let report = two.verify(Some(&two.manager()), &[&x, &y]);
    assert_eq!(report.channels.len(), 2, "it is told once");
    let broken = Some(two.channels[0]);
    let damaged = report.channels.iter().find(|found| found.channel == broken).unwrap();
    assert_eq!(damaged.monitor.as_ref(), Some(&x.0));
    let verdicts = both(two.channels, [Verdict::Unreadable, Verdict::NotReached]);
    assert_eq!(found(report), (refused(DecodeError::InvalidValue), verdicts));
}

#[test]
fn an_extra_monitor_closes_its_channel() {
    let two = Two::open();
    let [x, y] = two.monitors();
    let report = two.verify(Some(&two.before[0]), &[&x, &y]);
    assert_eq!(found(report), (ManagerVerdict::Loads, both(two.channels, [UNKNOWN; 2])));
    // And only that one.
    let (manager, verdicts) = found(two.verify(Some(&two.before[1]), &[&x, &y]));
    assert_eq!(manager, ManagerVerdict::Loads);
    let mut verdicts: Vec<_> = verdicts.into_iter().map(|(_, verdict)| verdict).collect();
    verdicts.sort_by_key(|verdict| *verdict == UNKNOWN);
    assert_eq!(verdicts, [Verdict::Fine, UNKNOWN]);
}

#[test]
fn a_closed_channel_is_no_trouble() {
    let two = Two::open();
    let (peer, why) = (two.peer.manager.get_our_node_id(), "by the test".to_owned());
    two.node.manager.force_close_broadcasting_latest_txn(&two.channels[0], &peer, why).unwrap();
    two.node.handle_events();
    let told = two.node.told.lock().unwrap();
    assert!(told.iter().any(|event| matches!(event, Event::ChannelClosed { .. })), "{told:?}");
    two.node.parts.sent.0.lock().unwrap().clear();
    let [x, y] = two.monitors();
    let report = two.verify(Some(&two.manager()), &[&x, &y]);
    assert!(report.is_fine());
    assert_eq!(found(report).1, both(two.channels, [Verdict::Closed, Verdict::Fine]));
}

#[test]
fn a_manager_that_is_absent_or_damaged_is_told() {
    let two = Two::open();
    assert!(two.verify(None, &[]).is_fine(), "a new node");
    let [x, y] = two.monitors();
    let not_reached = both(two.channels, [Verdict::NotReached; 2]);
    let absent = two.verify(None, &[&x, &y]);
    assert!(!absent.is_fine());
    assert_eq!(found(absent), (ManagerVerdict::Absent, not_reached.clone()));
    let blank = &two.before[0];
    let damaged = two.verify(Some(&blank[..blank.len() - 1]), &[&x, &y]);
    assert!(!damaged.is_fine());
    let (why, verdicts) = found(damaged);
    assert!(matches!(why, ManagerVerdict::Refused { .. }), "{why:?}");
    assert_eq!(verdicts, not_reached);
    let odd = two.verify(None, &[&("odd".to_owned(), vec![1])]);
    assert_eq!((odd.channels[0].channel, odd.channels[0].verdict), (None, Verdict::Unreadable));
}
