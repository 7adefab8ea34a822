//! Nodes whose monitors are deferred, as LDK's background processor wants them: the manager is stored
//! first, so a crash between any two writes closes no channel.

#![expect(clippy::unwrap_used, reason = "helpers of tests panic")]
#![expect(clippy::print_stdout, reason = "what was tried is worth seeing")]

use std::{
    collections::HashSet,
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll, Waker},
    time::Duration,
};

use backup::{Policies, Policy, Recorder, Replicated};
use kv_core::{KvStore, KvStoreExt, testing::Random};
use kv_fs::{FsStore, Settings, disk::SimDisk};
use kv_ldk::StrongroomStore;
use kv_mem::MemStore;

use super::{
    deferred_async_monitors, deferred_monitors,
    keeps::{Keeps, WHOLE},
    ldk::{
        events::Event,
        ln::msgs::MessageSendEvent,
        util::{persist::KVStoreSync, ser::Writeable},
    },
    ours::ReplicatedPersister,
    processor::{Awaited, on_a_thread, until},
    small::{
        AsyncMonitors, Parts, Small, ask_for_channel, async_updating, hidden_number, mine_funding,
    },
};
use crate::{
    common::{cloud_takes_everything, later::Later, recorder},
    tape::Tape,
};

/// Counts on the tape.
fn revoking(tape: &Arc<Tape>) -> Box<dyn Fn()> {
    let tape = tape.clone();
    Box::new(move || tape.revoke())
}

/// Long enough for payments to be forwarded, and nothing times out.
const TURN: Duration = Duration::from_millis(500);

/// With what the store has, or new.
fn node(seed: u8, store: &Arc<StrongroomStore>, keeps: &Keeps) -> Arc<Small> {
    let parts = Parts::new(&[seed; 32]);
    let monitors = deferred_monitors(&parts, keeps.persister(&parts, store));
    Arc::new(match KVStoreSync::read(&**store, "", "", "manager") {
        Ok(manager) => {
            let read = keeps.read(&parts, store);
            Small::load_over(parts, monitors, &manager, read).unwrap()
        }
        Err(_) => Small::over(parts, monitors),
    })
}

/// A node and its processor.
pub(super) struct Alive {
    pub(super) node: Arc<Small>,
    pub(super) processor: Awaited,
    /// Called when the peer is about to get the secret of one more state.
    pub(super) revokes: Box<dyn Fn()>,
}

impl Alive {
    pub(super) fn new(seed: u8, store: Arc<dyn KvStore>) -> Self {
        Self::with(seed, store, &Keeps::Whole)
    }

    pub(super) fn with(seed: u8, store: Arc<dyn KvStore>, keeps: &Keeps) -> Self {
        let store = Arc::new(StrongroomStore::new(store));
        let node = node(seed, &store, keeps);
        let processor = Awaited::start(&node, &store);
        Self { node, processor, revokes: Box::new(|| ()) }
    }

    /// Gives its messages to the other one; whether there were any.
    pub(super) fn deliver(&self, to: &Self) -> bool {
        self.node.deliver(&to.node, |message| {
            if let MessageSendEvent::SendRevokeAndACK { .. } = message {
                (self.revokes)();
            }
        })
    }

    fn turn(&mut self) {
        assert!(self.processor.pass(TURN).is_pending());
    }
}

/// Until both have nothing to say; `complete` completes what is completed later, and tells whether there
/// was something.
fn settle(a: &mut Alive, b: &mut Alive, mut complete: impl FnMut() -> bool) {
    let mut idle = 0;
    // Where the store is waited for, a step takes a few turns.
    while idle < 8 {
        a.turn();
        b.turn();
        let mut any = complete();
        any |= a.deliver(b);
        any |= b.deliver(a);
        idle = if any { 0 } else { idle + 1 };
    }
}

fn open_channel(a: &mut Alive, b: &mut Alive, mut complete: impl FnMut() -> bool) {
    ask_for_channel(&a.node, &b.node);
    settle(a, b, &mut complete);
    mine_funding(&a.node, &b.node);
    settle(a, b, &mut complete);
    assert_eq!(a.node.manager.list_usable_channels().len(), 1);
}

/// The other node, without a processor.
fn peer() -> Small {
    let local = StrongroomStore::new(Arc::new(MemStore::new()));
    Small::new(Parts::new(&[2; 32]), Arc::new(local))
}

/// Starts the first node with what is in the store; the hidden number of the state it goes on from.
pub(super) fn keeps_its_channel(store: Arc<dyn KvStore>, keeps: &Keeps, when: &str) -> u64 {
    let mut alive = Alive::with(1, store.clone(), keeps);
    alive.turn();
    alive.turn();
    let node = &alive.node;
    assert_eq!(node.manager.list_channels().len(), 1, "{when}");
    let told = std::mem::take(&mut *node.told.lock().unwrap());
    let closed = told.iter().any(|event| matches!(event, Event::ChannelClosed { .. }));
    assert!(!closed, "{when}: {told:?}");
    assert!(node.parts.sent.0.lock().unwrap().is_empty(), "nothing is published {when}");
    // It publishes its newest state when it is told to.
    let channel = node.manager.list_channels().remove(0);
    let (id, peer) = (channel.channel_id, channel.counterparty.node_id);
    let closing = node.manager.force_close_broadcasting_latest_txn(&id, &peer, when.to_owned());
    closing.unwrap();
    // What is under way, the manager, and then the monitor, where nobody else flushes.
    for _ in 0..3 {
        alive.turn();
        store.flush().unwrap();
    }
    alive.turn();
    let sent = alive.node.parts.sent.0.lock().unwrap();
    hidden_number(sent.first().expect(when))
}

/// Starts the first node with what each crash has left; how many there were.
fn after_each_batch(
    tape: &Tape,
    keeps: &Keeps,
    first: usize,
    number_0: u64,
    open: impl Fn(Arc<dyn KvStore>) -> Arc<dyn KvStore>,
) -> usize {
    let all = tape.len();
    assert!(tape.revoked_before(all) > 0, "states were revoked");
    for batches in first..=all {
        let when = format!("after {batches} of {all}");
        let newest = keeps_its_channel(open(tape.after(batches)), keeps, &when) ^ number_0;
        let revoked = tape.revoked_before(batches);
        assert!(newest >= revoked, "{newest} comes back, {revoked} are revoked {when}");
    }
    all - first + 1
}

fn no_crash_closes_a_channel(keeps: &Keeps) {
    let tape = Tape::new();
    let mut a = Alive::with(1, tape.clone(), keeps);
    let mut b = Alive::new(2, Arc::new(MemStore::new()));
    open_channel(&mut a, &mut b, || false);
    let first = tape.len();
    let number_0 = keeps_its_channel(tape.after(first), keeps, "at the beginning");
    a.revokes = revoking(&tape);
    for _ in 0..2 {
        a.node.pay(&b.node, 3_000_000);
        settle(&mut a, &mut b, || false);
        b.node.pay(&a.node, 2_000_000);
        settle(&mut a, &mut b, || false);
    }
    assert_eq!((a.node.paid(), b.node.paid()), (2, 2));

    let all = tape.len();
    assert!(all - first > 16, "{} writes of four payments", all - first);
    let places = after_each_batch(&tape, keeps, first, number_0, |store| store);
    println!("{places} places for a crash, no channel closed");
}

#[test]
fn with_deferred_monitors_no_crash_closes_a_channel() {
    no_crash_closes_a_channel(&Keeps::Whole);
}

#[test]
fn with_deferred_monitors_stored_in_updates_no_crash_closes_a_channel() {
    no_crash_closes_a_channel(&Keeps::Updates);
}

/// A node whose monitors are awaited; it lives by steps as LDK's processor takes them.
struct Stepping {
    node: Small<AsyncMonitors>,
    store: Arc<StrongroomStore>,
    later: Later,
}

impl Stepping {
    fn new(store: Arc<dyn KvStore>) -> Self {
        let (parts, later) = (Parts::new(&[1; 32]), Later::default());
        let store = Arc::new(StrongroomStore::new(store));
        let persister = async_updating(&parts, &store, &later, WHOLE);
        let monitors = deferred_async_monitors(&parts, persister);
        Self { node: Small::over(parts, monitors), store, later }
    }

    /// The manager first, then the monitors that it has changed, as far as they were changed before.
    fn step(&self) -> bool {
        self.node.handle_events();
        if self.node.manager.get_and_clear_needs_persistence() {
            let changed = self.node.monitors.pending_operation_count();
            let manager = self.node.manager.encode();
            KVStoreSync::write(&*self.store, "", "", "manager", manager).unwrap();
            self.node.monitors.flush(changed, &self.node.parts.quiet);
        }
        self.later.finish_in_order()
    }
}

/// Updates are run in the order in which LDK hands them out: 0.3.0-rc3 submits each when it is first
/// polled, and not at the call as 0.2 does.
#[test]
fn with_deferred_monitors_awaited_in_updates_no_crash_closes_a_channel() {
    let tape = Tape::new();
    let (a, b) = (Stepping::new(tape.clone()), peer());
    let live = || {
        let mut idle = 0;
        while idle < 3 {
            b.handle_events();
            let mut any = a.step();
            any |= a.node.deliver(&b, |message| {
                if let MessageSendEvent::SendRevokeAndACK { .. } = message {
                    tape.revoke();
                }
            });
            any |= b.deliver(&a.node, |_| ());
            idle = if any { 0 } else { idle + 1 };
        }
    };
    ask_for_channel(&a.node, &b);
    live();
    mine_funding(&a.node, &b);
    live();
    let (first, before) = (tape.len(), tape.revoked_before(tape.len()));
    assert_eq!((a.node.manager.list_usable_channels().len(), before), (1, 0));
    let number_0 = keeps_its_channel(tape.after(first), &Keeps::Updates, "at the beginning");
    for _ in 0..2 {
        a.node.pay(&b, 3_000_000);
        live();
        b.pay(&a.node, 2_000_000);
        live();
    }
    assert_eq!((a.node.paid(), b.paid()), (2, 2));
    let keys = tape.keys();
    assert!(keys.iter().any(|key| key == "5"), "updates are stored one by one: {keys:?}");
    let places = after_each_batch(&tape, &Keeps::Updates, first, number_0, |store| store);
    println!("{places} places for a crash, no channel closed");
}

/// Writes and messages come as they come.
#[test]
fn with_deferred_monitors_on_ldks_thread_no_crash_closes_a_channel() {
    let tape = Tape::new();
    let stores = [tape.clone() as Arc<dyn KvStore>, Arc::new(MemStore::new())];
    let stores = stores.map(|store| Arc::new(StrongroomStore::new(store)));
    let [a, b] =
        [(1, &stores[0]), (2, &stores[1])].map(|(seed, store)| node(seed, store, &Keeps::Whole));
    let both = [on_a_thread(&a, &stores[0]), on_a_thread(&b, &stores[1])];
    let usable = |node: &Small| node.manager.list_usable_channels().len() == 1;
    ask_for_channel(&a, &b);
    until(&a, &b, || (), || !a.parts.sent.0.lock().unwrap().is_empty());
    mine_funding(&a, &b);
    until(&a, &b, || (), || usable(&a) && usable(&b));
    let stored =
        |store: &Arc<StrongroomStore>| KVStoreSync::read(&**store, "", "", "manager").is_ok();
    until(&a, &b, || (), || stored(&stores[0]));
    let first = tape.len();
    a.pay(&b, 3_000_000);
    until(&a, &b, || (), || a.paid() == 1);
    b.pay(&a, 2_000_000);
    until(&a, &b, || (), || b.paid() == 1);
    both.into_iter().for_each(|each| each.stop().unwrap());
    let all = tape.len();
    for batches in first..=all {
        let when = format!("after {batches} of {all}");
        keeps_its_channel(tape.after(batches), &Keeps::Whole, &when);
    }
    println!("{} places for a crash, no channel closed", all - first + 1);
}

#[test]
fn with_deferred_monitors_no_power_cut_closes_a_channel() {
    let open = |disk: &SimDisk| {
        let mut settings = Settings::default();
        settings.segment_size = 16 << 10;
        settings.checkpoint_after = 32 << 10;
        Arc::new(FsStore::open_alone(disk.mount(), settings).unwrap())
    };
    let disk = Arc::new(SimDisk::new());
    let store = open(&disk);
    // What a store with threads does for those who await.
    let background = || {
        store.flush().unwrap();
        store.do_background();
        false
    };
    let (mut a, mut b) = (Alive::new(1, store.clone()), Alive::new(2, Arc::new(MemStore::new())));
    open_channel(&mut a, &mut b, background);
    let number_0 = keeps_its_channel(open(&disk.copy()), &Keeps::Whole, "at the beginning");
    let (recording, revoked) = (disk.clone(), AtomicU64::new(0));
    a.revokes = Box::new(move || {
        recording.set_progress(revoked.fetch_add(1, Ordering::SeqCst) + 1);
    });
    disk.record();
    a.node.pay(&b.node, 3_000_000);
    settle(&mut a, &mut b, background);
    b.node.pay(&a.node, 2_000_000);
    settle(&mut a, &mut b, background);
    assert_eq!((a.node.paid(), b.node.paid()), (1, 1));
    let points = disk.recorded();
    disk.kill();

    let (mut random, mut seen, mut most) = (Random::seeded(3), HashSet::new(), 0);
    for point in &points {
        let mut choices = point.disk().choices(random.draw());
        while choices.len() > 2 {
            choices.swap_remove(random.below(choices.len() as u64) as usize);
        }
        for fates in choices {
            let disk = point.disk();
            disk.crash_keeping(&fates);
            if seen.insert((disk.fingerprint(), point.progress)) {
                let when = format!("after {} calls: {fates:?}", point.calls);
                let newest = keeps_its_channel(open(&disk), &Keeps::Whole, &when) ^ number_0;
                assert!(newest >= point.progress, "{newest} of {} {when}", point.progress);
                most = most.max(point.progress);
            }
        }
    }
    println!("{} disks at {} moments, no channel closed", seen.len(), points.len());
    assert!(seen.len() > 50, "{}", seen.len());
    assert!(most > 0, "states were revoked");
}

/// A node whose monitors wait for the cloud.
fn replicated(tape: Arc<Tape>) -> (Arc<Recorder>, Arc<ReplicatedPersister>, Alive) {
    let recorder = recorder(tape);
    let waiting = Replicated::new(recorder.clone(), Policies::all(Policy::Replicated), 100);
    let persister = Arc::new(ReplicatedPersister::open(waiting).unwrap());
    let alive = Alive::with(1, recorder.clone(), &Keeps::Replicated(persister.clone()));
    (recorder, persister, alive)
}

/// Tells LDK what the cloud has; whether that was anything.
fn complete(persister: &ReplicatedPersister, node: &Small) -> bool {
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
    let (recorder, persister, mut a) = replicated(Tape::new());
    let mut b = Alive::new(2, Arc::new(MemStore::new()));
    let node = a.node.clone();
    let goes_on = || {
        cloud_takes_everything(&recorder);
        complete(&persister, &node)
    };
    open_channel(&mut a, &mut b, goes_on);
    node.pay(&b.node, 3_000_000);
    // It waits for the manager, and then for the cloud.
    assert_eq!(node.monitors.pending_operation_count(), 1);
    assert!(!node.deliver(&b.node, |_| ()), "the manager is not stored yet");
    a.turn();
    assert_eq!((node.monitors.pending_operation_count(), persister.waiting()), (0, 1));
    assert!(!complete(&persister, &node));
    assert!(!node.deliver(&b.node, |_| ()), "the cloud does not have it yet");
    assert!(goes_on());
    assert!(node.deliver(&b.node, |_| ()));
    settle(&mut a, &mut b, goes_on);
    assert_eq!(node.paid(), 1);
}

#[test]
fn deferred_and_replicated_no_crash_closes_a_channel() {
    let tape = Tape::new();
    let (cloudy, persister, mut a) = replicated(tape.clone());
    let mut b = Alive::new(2, Arc::new(MemStore::new()));
    let node = a.node.clone();
    let goes_on = || {
        cloud_takes_everything(&cloudy);
        complete(&persister, &node)
    };
    open_channel(&mut a, &mut b, goes_on);
    let first = tape.len();
    // Below the recorder: what it adds for itself is in the way of nobody.
    let below = |store| recorder(store) as Arc<dyn KvStore>;
    let whole = &Keeps::Whole;
    let number_0 = keeps_its_channel(below(tape.after(first)), whole, "at the beginning");
    a.revokes = revoking(&tape);
    node.pay(&b.node, 3_000_000);
    settle(&mut a, &mut b, goes_on);
    b.node.pay(&node, 2_000_000);
    settle(&mut a, &mut b, goes_on);
    assert_eq!((node.paid(), b.node.paid()), (1, 1));
    let places = after_each_batch(&tape, whole, first, number_0, below);
    println!("{places} places for a crash, no channel closed");
}
