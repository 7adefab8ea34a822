//! Managers and monitors that belong together, or not.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "helpers of tests panic")]

use std::sync::{
    Arc, Mutex,
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
        io,
        ln::{
            msgs::{DecodeError, MessageSendEvent},
            types::ChannelId,
        },
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

/// Its name, and what is stored of it.
pub(super) type Monitor = (String, Vec<u8>);
type Found = (ManagerVerdict, Vec<(ChannelId, Verdict)>);

const BEHIND: Verdict = Verdict::WouldBeForceClosed { cause: ForceClose::ManagerIsBehind };
const UNKNOWN: Verdict = Verdict::WouldBeForceClosed { cause: ForceClose::UnknownToManager };

/// Keeps updates alone, at once or never.
#[derive(Default)]
pub(super) struct Keeper {
    never: AtomicBool,
    updates: Mutex<Vec<Update>>,
}

/// An update as `MonitorUpdatingPersister` stores it.
#[derive(Debug, Clone)]
struct Update {
    monitor: String,
    id: u64,
    bytes: Vec<u8>,
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
        name: MonitorName,
        update: Option<&ChannelMonitorUpdate>,
        _: &ChannelMonitor<InMemorySigner>,
    ) -> ChannelMonitorUpdateStatus {
        if let Some(update) = update {
            let (monitor, id, bytes) = (name.to_string(), update.update_id, update.encode());
            self.updates.lock().unwrap().push(Update { monitor, id, bytes });
        }
        self.answer()
    }

    fn archive_persisted_channel(&self, _: MonitorName) {}
}

/// A node with two channels to its peer.
pub(super) struct Two {
    pub(super) node: Small,
    pub(super) peer: Small,
    keeper: Arc<Keeper>,
    /// What the manager was before it had any, and when it had one.
    pub(super) before: [Vec<u8>; 2],
    pub(super) channels: [ChannelId; 2],
}

impl Two {
    pub(super) fn open() -> Self {
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

    pub(super) fn manager(&self) -> Vec<u8> {
        self.node.manager.encode()
    }

    fn monitor(&self, channel: ChannelId) -> Monitor {
        let monitor = self.node.monitors.get_monitor(channel).unwrap();
        (monitor.persistence_key().to_string(), monitor.encode())
    }

    pub(super) fn monitors(&self) -> [Monitor; 2] {
        self.channels.map(|channel| self.monitor(channel))
    }

    fn updates(&self, channel: ChannelId) -> u64 {
        self.node.monitors.get_monitor(channel).unwrap().get_latest_update_id()
    }

    /// The node offers a payment, of which nobody hears: the channel it goes through has one update
    /// more. That channel, and the other one.
    pub(super) fn pay(&self) -> [ChannelId; 2] {
        let before = self.channels.map(|channel| self.updates(channel));
        self.node.pay(&self.peer, 1_000_000);
        let after = self.channels.map(|channel| self.updates(channel));
        let [x, y] = self.channels;
        let (paid, other) = if after[0] > before[0] { (x, y) } else { (y, x) };
        assert_eq!(after[0] + after[1], before[0] + before[1] + 1);
        [paid, other]
    }

    /// Two payments there and back over the channels: what the monitors were before, their updates
    /// since, and the secrets that the peer has given away.
    fn pay_for_good(&self) -> ([Monitor; 2], Vec<Update>, Vec<[u8; 32]>) {
        let before = self.monitors();
        self.keeper.updates.lock().unwrap().clear();
        let mut secrets = Vec::new();
        for _ in 0..2 {
            self.node.pay(&self.peer, 1_000_000);
            let mut idle = 0;
            while idle < 2 {
                self.node.handle_events();
                self.peer.handle_events();
                let mut any = self.node.deliver(&self.peer, |_| ());
                any |= self.peer.deliver(&self.node, |message| {
                    if let MessageSendEvent::SendRevokeAndACK { msg, .. } = message {
                        secrets.push(msg.per_commitment_secret);
                    }
                });
                idle = if any { 0 } else { idle + 1 };
            }
        }
        let updates = self.keeper.updates.lock().unwrap().clone();
        assert!(updates.len() >= 8, "{} updates", updates.len());
        (before, updates, secrets)
    }

    /// What is found in a store with these; that it writes nothing and sends nothing is seen each
    /// time.
    pub(super) fn verify(&self, manager: Option<&[u8]>, monitors: &[&Monitor]) -> ChannelsReport {
        self.verify_with(manager, monitors, &[])
    }

    fn verify_with(
        &self,
        manager: Option<&[u8]>,
        monitors: &[&Monitor],
        updates: &[Update],
    ) -> ChannelsReport {
        let counting = Arc::new(Counting::new(Arc::new(MemStore::new())));
        let store = StrongroomStore::new(counting.clone());
        if let Some(manager) = manager {
            KVStoreSync::write(&store, "", "", "manager", manager.to_vec()).unwrap();
        }
        for (name, bytes) in monitors {
            KVStoreSync::write(&store, "monitors", "", name, bytes.clone()).unwrap();
        }
        for Update { monitor, id, bytes } in updates {
            let id = id.to_string();
            KVStoreSync::write(&store, "monitor_updates", monitor, &id, bytes.clone()).unwrap();
        }
        let before = counting.batches();
        let report = self.ask(&store).unwrap();
        assert_eq!(counting.batches(), before, "it writes nothing");
        assert!(self.node.parts.sent.0.lock().unwrap().is_empty(), "it sends nothing");
        report
    }

    pub(super) fn ask(&self, store: &StrongroomStore) -> io::Result<ChannelsReport> {
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
        verify_channels(store, args)
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

/// The channel of this monitor cannot be read, and so nothing is.
fn stops(two: &Two, report: ChannelsReport, monitor: &str) -> Vec<String> {
    assert!(!report.is_fine());
    let mut said = Vec::new();
    for found in &report.channels {
        if found.monitor.as_deref() == Some(monitor) {
            assert_eq!(found.verdict, Verdict::Unreadable, "{report:?}");
            said.clone_from(&found.said);
        } else {
            assert_eq!(found.verdict, Verdict::NotReached, "{report:?}");
        }
    }
    assert_eq!(report.channels.len(), two.channels.len());
    assert_eq!(report.manager, refused(DecodeError::InvalidValue));
    said
}

/// What is said of the channel of this monitor.
fn of(report: &ChannelsReport, monitor: &str) -> Vec<String> {
    let mut all = report.channels.iter();
    all.find(|found| found.monitor.as_deref() == Some(monitor)).unwrap().said.clone()
}

#[test]
fn updates_are_read_with_their_monitor_unless_one_is_missing() {
    let two = Two::open();
    let ([x, y], updates, _) = two.pay_for_good();
    let manager = two.manager();
    let whole = two.verify_with(Some(&manager), &[&x, &y], &updates);
    assert!(whole.is_fine(), "{whole:?}");
    assert_eq!(found(whole).1, both(two.channels, [Verdict::Fine; 2]));
    // A whole monitor has them already, where they were not removed yet.
    let [newer_x, newer_y] = two.monitors();
    assert!(two.verify_with(Some(&manager), &[&newer_x, &newer_y], &updates).is_fine());
    // The first one, one in the middle: there is one behind it.
    for missing in 0..updates.len() {
        let mut some = updates.clone();
        let gone = some.remove(missing);
        let is_last = !some.iter().any(|other| other.monitor == gone.monitor && other.id > gone.id);
        let report = two.verify_with(Some(&manager), &[&x, &y], &some);
        if is_last {
            // That is a monitor one behind.
            assert_eq!(report.manager, refused(DecodeError::DangerousValue));
            continue;
        }
        let said = stops(&two, report, &gone.monitor);
        assert!(said.iter().any(|said| said.contains("is missing")), "{said:?}");
    }
}

#[test]
fn an_update_that_does_not_fit_stops_the_whole_node() {
    let two = Two::open();
    let ([x, y], updates, secrets) = two.pay_for_good();
    let manager = two.manager();
    // Another one under its name, as it is or with the number that is expected.
    for renumbered in [false, true] {
        let mut swapped = updates.clone();
        let other =
            updates.iter().position(|u| u.monitor == updates[0].monitor && u.id > updates[0].id);
        swapped[0].bytes.clone_from(&updates[other.unwrap()].bytes);
        if renumbered {
            swapped[0].bytes[..8].copy_from_slice(&updates[0].id.to_be_bytes());
            // LDK may take it. Whatever it does, it is told.
            let report = two.verify_with(Some(&manager), &[&x, &y], &swapped);
            assert_eq!(report.channels.len(), 2);
        } else {
            let report = two.verify_with(Some(&manager), &[&x, &y], &swapped);
            let said = stops(&two, report, &updates[0].monitor);
            assert!(said[0].contains("another one"), "{said:?}");
        }
    }
    // One of another channel, with the number that is expected.
    let mut foreign = updates.clone();
    foreign[0].monitor = if foreign[0].monitor == x.0 { y.0.clone() } else { x.0.clone() };
    let report = two.verify_with(Some(&manager), &[&x, &y], &foreign[..1]);
    let said = of(&report, &foreign[0].monitor);
    assert!(said.iter().any(|said| said.contains("another one")), "{report:?}");
    // The peer's secret is another one: LDK sees that at each second one.
    let mut refused = 0;
    for (n, update) in updates.iter().enumerate() {
        let secret = secrets
            .iter()
            .find_map(|secret| update.bytes.windows(32).position(|window| window == secret));
        let Some(at) = secret else { continue };
        let mut wrong = updates.clone();
        wrong[n].bytes[at] ^= 1;
        let report = two.verify_with(Some(&manager), &[&x, &y], &wrong);
        if !report.is_fine() {
            let said = stops(&two, report, &update.monitor);
            assert!(said.iter().any(|said| said.contains("does not fit")), "{said:?}");
            refused += 1;
        }
    }
    assert!(refused > 0);
    // And what is no update at all.
    let mut damaged = updates.clone();
    damaged[0].bytes.truncate(9);
    stops(&two, two.verify_with(Some(&manager), &[&x, &y], &damaged), &updates[0].monitor);
}

#[test]
fn a_manager_that_is_behind_and_damaged_is_blamed_on_no_channel() {
    let two = Two::open();
    let manager = two.manager();
    two.pay();
    let [x, y] = two.monitors();
    for cut in [1, 8, 64] {
        let report = two.verify(Some(&manager[..manager.len() - cut]), &[&x, &y]);
        assert!(!report.is_fine());
        let (why, verdicts) = found(report);
        assert!(matches!(why, ManagerVerdict::Refused { .. }), "{why:?}");
        assert_eq!(verdicts, both(two.channels, [Verdict::NotReached; 2]), "{cut}");
    }
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
fn what_a_stored_update_would_send_is_told_and_not_sent() {
    let two = Two::open();
    let [x, y] = two.monitors();
    two.keeper.updates.lock().unwrap().clear();
    let (peer, why) = (two.peer.manager.get_our_node_id(), "by the test".to_owned());
    two.node.manager.force_close_broadcasting_latest_txn(&two.channels[0], &peer, why).unwrap();
    two.node.handle_events();
    let sent = std::mem::take(&mut *two.node.parts.sent.0.lock().unwrap());
    let updates = two.keeper.updates.lock().unwrap().clone();
    assert_eq!((sent.len(), updates.len()), (1, 1));
    let manager = two.manager();
    for manager in [Some(&manager[..]), None] {
        let report = two.verify_with(manager, &[&x, &y], &updates);
        assert_eq!(report.would_send, [sent[0].compute_txid()], "{report:?}");
        assert_eq!(report.is_fine(), manager.is_some());
    }
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
