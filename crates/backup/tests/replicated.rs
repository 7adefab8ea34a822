//! Replicated acknowledgement: what waits, for how long, and what an outage or a restart does to it.

#![expect(clippy::unwrap_used, reason = "helpers of tests panic")]

mod common;

use std::{
    future::Future,
    pin::pin,
    sync::{
        Arc, Weak,
        atomic::{AtomicU64, Ordering},
        mpsc,
    },
    task::{Context, Poll, Waker},
    thread,
};

use backup::{Gate, Policies, Policy, Recorder, Refusal, Replicated, WriterId};
use common::{clock, key, ns, numbered, recorder, recorder_with};
use kv_core::{
    Batch, Commit, Error, Key, KvStore, KvStoreExt, Namespace, Operation, Result,
    testing::{Damage, Fault, FaultyStore, Landing, Testbed},
};
use kv_mem::{Medium, MemStore};

/// A cloud that has everything as soon as somebody asks for it, and a fence that passes it.
fn prompt_cloud(recorder: &Arc<Recorder>) {
    let (urge, urged) = mpsc::channel();
    recorder.on_urge(move || urge.send(()).unwrap_or_default());
    let recorder: Weak<Recorder> = Arc::downgrade(recorder);
    thread::spawn(move || {
        while urged.recv().is_ok() {
            let Some(recorder) = recorder.upgrade() else { return };
            if let Ok(Some(cut)) = recorder.cut(0) {
                let _ = recorder.acknowledge(upto(&recorder, cut.to));
                recorder.fence_passed(cut.to);
            }
        }
    });
}

/// The cloud has everything up to here, and the fence has passed it.
fn acknowledge(recorder: &Recorder, to: u64) {
    recorder.acknowledge(upto(recorder, to)).unwrap();
    recorder.fence_passed(to);
}

fn upto(recorder: &Recorder, backed_up: u64) -> backup::BackupState {
    let mut state = recorder.state();
    state.backed_up = backed_up;
    state
}

#[derive(Default)]
struct Bed {
    medium: Medium,
    fault: Arc<Fault>,
    landings: AtomicU64,
}

impl Testbed for Bed {
    fn open(&self) -> Result<Arc<dyn KvStore>> {
        let store = Arc::new(MemStore::open(self.medium.clone())?);
        let store = Arc::new(FaultyStore::new(store, self.fault.clone()));
        let settings = common::budget(u64::MAX);
        let recorder = Recorder::open(store, common::rules(), clock(), settings)?;
        prompt_cloud(&recorder);
        Ok(Replicated::new(recorder, Policies::all(Policy::Replicated), usize::MAX))
    }

    fn crash(&self) {
        self.medium.crash();
    }

    fn fail_nth(&self, nth: u64) {
        let lands = self.landings.fetch_add(1, Ordering::Relaxed).is_multiple_of(2);
        self.fault.fail_nth(nth, if lands { Landing::Landed } else { Landing::Absent });
    }

    fn fired(&self) -> bool {
        self.fault.fired()
    }

    // Memory has no bytes at rest, no format and no key.
    fn damage(&self, _: Damage, _: &Namespace, _: &Key) -> bool {
        false
    }
}

mod conformance {
    use super::Bed;
    kv_core::conformance!(Bed::default);
}

fn poll(commit: &mut Commit) -> Poll<Result<()>> {
    pin!(commit).poll(&mut Context::from_waker(Waker::noop()))
}

fn replicated(recorder: &Arc<Recorder>, max: usize) -> Arc<Replicated> {
    Replicated::new(recorder.clone(), Policies::all(Policy::Replicated), max)
}

fn put(n: u64) -> Batch {
    Batch::new().put(&ns("s"), &numbered(n), b"x")
}

#[test]
fn a_replicated_commit_resolves_only_when_the_cloud_has_it() {
    let recorder = recorder(MemStore::new());
    let store = replicated(&recorder, 10);
    assert!(store.capabilities().replication.is_some());
    assert!(recorder.capabilities().replication.is_none());
    let mut first = store.submit(put(1));
    let mut second = store.submit(put(2));
    assert!(poll(&mut first).is_pending() && poll(&mut second).is_pending());
    assert!(store.read(&ns("s"), &numbered(1)).unwrap().is_some(), "durable here already");
    assert!(matches!(first.receipt().outcome(), Some(Ok(()))));
    recorder.write(&ns("s"), &numbered(3), b"local").unwrap();
    let cut = recorder.cut(0).unwrap().unwrap();
    assert!(poll(&mut first).is_pending(), "a cut is not in the cloud");
    let mut later = store.submit(put(4));
    acknowledge(&recorder, 1);
    assert!(matches!(poll(&mut first), Poll::Ready(Ok(()))));
    assert!(poll(&mut second).is_pending(), "not before its turn");
    acknowledge(&recorder, cut.to);
    assert!(matches!(poll(&mut second), Poll::Ready(Ok(()))));
    assert!(poll(&mut later).is_pending());
    // An older acknowledgement that comes late takes nothing back.
    acknowledge(&recorder, 1);
    assert_eq!(recorder.state().backed_up, cut.to);
    // A flush asks for everything before it.
    let mut flush = store.submit(Batch::new());
    assert!(poll(&mut flush).is_pending());
    acknowledge(&recorder, 4);
    assert!(matches!(poll(&mut flush), Poll::Ready(Ok(()))));
    assert!(matches!(poll(&mut later), Poll::Ready(Ok(()))));
}

#[test]
fn while_the_cloud_is_away_commits_wait_and_the_queue_is_bounded() {
    let recorder = recorder(MemStore::new());
    let store = replicated(&recorder, 3);
    let mut commits: Vec<_> = (1..=3).map(|n| store.submit(put(n))).collect();
    assert_eq!(store.waiting(), 3);
    let refused = store.submit(put(4)).wait();
    assert!(matches!(&refused, Err(error @ Error::Backlog { .. }) if error.is_refusal()));
    assert_eq!(recorder.sequence(), 3, "nothing was written");
    // Local work does not wait, and neither does what is lazy or refused.
    recorder.write(&ns("s"), &key("local"), b"x").unwrap();
    store.submit(put(5).lazy()).wait().unwrap();
    acknowledge(&recorder, 2);
    assert!(matches!(poll(commits.first_mut().unwrap()), Poll::Ready(Ok(()))));
    assert_eq!(store.waiting(), 1);
    let again = store.submit(put(4));
    acknowledge(&recorder, recorder.sequence());
    again.wait().unwrap();
    assert_eq!(store.waiting(), 0);
}

#[test]
fn a_restart_tells_what_is_durable_and_not_yet_replicated() {
    let medium = Medium::default();
    let open = || {
        let store = Arc::new(MemStore::open(medium.clone()).unwrap());
        recorder_with(store, clock(), u64::MAX)
    };
    let first = open();
    assert!(first.not_yet_replicated().is_none());
    let store = replicated(&first, 10);
    let mut waits = store.submit(put(1));
    let waiting = thread::spawn({
        let store = store.clone();
        move || store.submit(put(2)).wait()
    });
    assert!(poll(&mut waits).is_pending());
    while first.sequence() < 2 {
        thread::yield_now();
    }
    store.close().unwrap();
    assert!(matches!(poll(&mut waits), Poll::Ready(Err(Error::Closed { .. }))));
    assert!(matches!(waiting.join().unwrap(), Err(Error::Closed { .. })), "nobody waits in vain");
    drop((store, first));

    let second = open();
    let left = second.not_yet_replicated().unwrap();
    assert_eq!(left.lag.records, 2);
    let mut replicated = pin!(left.replicated());
    let mut cx = Context::from_waker(Waker::noop());
    assert!(replicated.as_mut().poll(&mut cx).is_pending());
    // What comes later is not waited for.
    second.write(&ns("s"), &numbered(3), b"x").unwrap();
    prompt_cloud(&second);
    left.replicated().wait().unwrap();
    assert!(matches!(replicated.poll(&mut cx), Poll::Ready(Ok(()))));
}

/// Counts how often it is woken.
#[derive(Default)]
struct Woken(AtomicU64);

impl std::task::Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

/// As `join!` and `select!` do it.
#[test]
fn a_task_that_waits_for_two_places_is_woken_for_the_first() {
    let recorder = recorder(MemStore::new());
    let store = replicated(&recorder, 10);
    let (mut first, mut second) = (store.submit(put(1)), store.submit(put(2)));
    let woken = Arc::new(Woken::default());
    let waker = Waker::from(woken.clone());
    let mut cx = Context::from_waker(&waker);
    assert!(pin!(&mut first).poll(&mut cx).is_pending());
    assert!(pin!(&mut second).poll(&mut cx).is_pending());
    acknowledge(&recorder, 1);
    assert_eq!(woken.0.load(Ordering::SeqCst), 1, "nobody says that the first is there");
    assert!(matches!(pin!(&mut first).poll(&mut cx), Poll::Ready(Ok(()))));
    acknowledge(&recorder, 2);
    assert_eq!(woken.0.load(Ordering::SeqCst), 2);
    assert!(matches!(pin!(&mut second).poll(&mut cx), Poll::Ready(Ok(()))));
}

/// Without [`KvStore::close`].
#[test]
fn who_waits_for_a_recorder_that_is_dropped_is_woken() {
    let recorder = recorder(MemStore::new());
    recorder.write(&ns("s"), &numbered(1), b"x").unwrap();
    let store = replicated(&recorder, 10);
    let mut commit = store.submit(put(1));
    let woken = Arc::new(Woken::default());
    let waker = Waker::from(woken.clone());
    let mut cx = Context::from_waker(&waker);
    assert!(pin!(&mut commit).poll(&mut cx).is_pending());
    drop((store, recorder));
    assert_eq!(woken.0.load(Ordering::SeqCst), 1);
    assert!(matches!(pin!(&mut commit).poll(&mut cx), Poll::Ready(Err(Error::Closed { .. }))));
}

#[test]
fn the_policy_of_a_namespace_decides() {
    let recorder = recorder(MemStore::new());
    let policies = Policies::default().with("s", Policy::Replicated);
    let store = Replicated::new(recorder.clone(), policies, 10);
    let replication = store.capabilities().replication.unwrap();
    assert!(!replication.waits(&ns("others")));
    store.write(&ns("m"), &key("k"), b"local").unwrap();
    store.write(&ns("local"), &key("k"), b"never leaves").unwrap();
    store.flush().unwrap();
    let mut both = store.submit(put(1).put(&ns("m"), &key("k"), b"with it"));
    assert!(poll(&mut both).is_pending());
    acknowledge(&recorder, 2);
    assert!(matches!(poll(&mut both), Poll::Ready(Ok(()))));
    // What is never backed up cannot be waited for.
    let all = replicated(&recorder, 10);
    all.write(&ns("local"), &key("k"), b"never leaves").unwrap();
}

#[test]
fn a_backup_is_urged_when_somebody_waits_and_when_enough_has_gathered() {
    let mut settings = common::budget(u64::MAX);
    settings.segment_bytes = 100;
    let store = Arc::new(MemStore::new());
    let recorder = Recorder::open(store, common::rules(), clock(), settings).unwrap();
    let urged = Arc::new(AtomicU64::new(0));
    let count = urged.clone();
    recorder.on_urge(move || _ = count.fetch_add(1, Ordering::Relaxed));
    recorder.write(&ns("s"), &key("k"), vec![0; 99]).unwrap();
    recorder.write(&ns("s"), &key("k"), vec![1; 99]).unwrap();
    assert_eq!(urged.load(Ordering::Relaxed), 0, "the last value counts, not every one");
    recorder.write(&ns("s"), &key("l"), b"x").unwrap();
    assert_eq!(urged.load(Ordering::Relaxed), 1);
    let cut = recorder.cut(0).unwrap().unwrap();
    recorder.write(&ns("s"), &key("k"), b"x").unwrap();
    assert_eq!(urged.load(Ordering::Relaxed), 1, "what is on its way up counts no more");
    acknowledge(&recorder, cut.to);
    let mut waits = replicated(&recorder, 10).submit(put(1));
    assert_eq!(urged.load(Ordering::Relaxed), 1, "nobody waits yet");
    assert!(poll(&mut waits).is_pending());
    assert_eq!(urged.load(Ordering::Relaxed), 2);
}

#[test]
fn single_writer_data_waits_for_the_fence_and_data_that_merges_does_not() {
    let recorder = recorder(MemStore::new());
    let store = replicated(&recorder, 10);
    let mut single = store.submit(put(1));
    let mut merges = store.submit(Batch::new().put(&ns("m"), &key("k"), b"x"));
    let mut flush = store.submit(Batch::new());
    recorder.acknowledge(upto(&recorder, 2)).unwrap();
    assert!(poll(&mut single).is_pending(), "the segment is there, the fence has not passed it");
    assert!(matches!(poll(&mut merges), Poll::Ready(Ok(()))));
    assert!(poll(&mut flush).is_pending(), "a flush asks for both");
    assert_eq!(store.waiting(), 1);
    recorder.fence_passed(2);
    assert!(matches!(poll(&mut single), Poll::Ready(Ok(()))));
    assert!(matches!(poll(&mut flush), Poll::Ready(Ok(()))));
    assert_eq!(store.waiting(), 0);
    // The fence alone is not enough either.
    let mut single = store.submit(put(2));
    recorder.fence_passed(3);
    assert!(poll(&mut single).is_pending());
    recorder.acknowledge(upto(&recorder, 3)).unwrap();
    assert!(matches!(poll(&mut single), Poll::Ready(Ok(()))));
}

#[test]
fn what_a_takeover_leaves_out_is_refused_with_its_reason() {
    let recorder = recorder(MemStore::new());
    let store = replicated(&recorder, 10);
    let mut counts = store.submit(put(1));
    let mut late = store.submit(put(2));
    let mut merges = store.submit(Batch::new().put(&ns("m"), &key("k"), b"x"));
    let refusal = Refusal::Fenced { epoch: 2, writer: WriterId::from_bytes([9; 16]) };
    let gate = Gate::Fenced { epoch: 2, writer: WriterId::from_bytes([9; 16]) };
    recorder.set_fence_state(recorder.fence_state().with_gate(gate)).unwrap();
    recorder.fence_stopped(1, Arc::new(refusal) as kv_core::BoxError);
    let Poll::Ready(Err(error)) = poll(&mut late) else { panic!("it waits in vain") };
    assert_eq!(Refusal::behind(&error), Some(refusal));
    assert!(matches!(error, Error::NotReplicated { .. }) && !error.is_refusal(), "{error:?}");
    let Poll::Ready(Err(_)) = poll(&mut store.submit(Batch::new())) else { panic!("a flush") };
    // What the takeover counts is acknowledged as soon as the cloud has it, and what merges too.
    assert!(poll(&mut counts).is_pending() && poll(&mut merges).is_pending());
    recorder.acknowledge(upto(&recorder, 3)).unwrap();
    assert!(matches!(poll(&mut counts), Poll::Ready(Ok(()))));
    assert!(matches!(poll(&mut merges), Poll::Ready(Ok(()))));
    let refused = store.submit(put(3)).wait().unwrap_err();
    assert!(refused.is_refusal() && Refusal::behind(&refused) == Some(refusal), "{refused:?}");
    // Taken back: it goes on.
    recorder.set_fence_state(recorder.fence_state().with_gate(Gate::Open)).unwrap();
    let mut again = store.submit(put(4));
    assert!(poll(&mut again).is_pending());
    acknowledge(&recorder, 4);
    assert!(matches!(poll(&mut again), Poll::Ready(Ok(()))));
}

#[test]
fn clouds_that_cannot_fence_take_no_single_writer_data_that_has_to_be_replicated() {
    let recorder = recorder(MemStore::new());
    let store = replicated(&recorder, 10);
    let mut first = store.submit(put(1));
    let why: kv_core::BoxError = Arc::new(std::io::Error::other("it ignores conditions"));
    recorder.fence_impossible(why);
    let Poll::Ready(Err(Error::NotReplicated { source, .. })) = poll(&mut first) else {
        panic!("it waits in vain")
    };
    assert_eq!(source.to_string(), "it ignores conditions");
    let refused = store.submit(put(2)).wait().unwrap_err();
    assert!(matches!(refused, Error::Refused { .. }), "{refused:?}");
    assert_eq!(recorder.sequence(), 1, "nothing was written");
    // A backup with nothing for the fence says nothing of what went up before.
    recorder.fence_not_needed(1);
    recorder.acknowledge(upto(&recorder, 1)).unwrap();
    assert!(matches!(poll(&mut first), Poll::Ready(Err(Error::NotReplicated { .. }))));
    assert!(store.submit(put(2)).wait().is_err());
    recorder.write(&ns("s"), &numbered(3), b"on this device").unwrap();
    let mut merges = store.submit(Batch::new().put(&ns("m"), &key("k"), b"x"));
    recorder.acknowledge(upto(&recorder, recorder.sequence())).unwrap();
    assert!(matches!(poll(&mut merges), Poll::Ready(Ok(()))));
}

#[test]
fn what_the_fence_has_not_passed_is_told_after_a_restart() {
    let medium = Medium::default();
    let open = || {
        let store = Arc::new(MemStore::open(medium.clone()).unwrap());
        recorder_with(store, clock(), u64::MAX)
    };
    let first = open();
    first.write(&ns("s"), &key("k"), b"x").unwrap();
    first.note_owed(1).unwrap();
    first.acknowledge(upto(&first, 1)).unwrap();
    first.close().unwrap();
    drop(first);
    let second = open();
    let left = second.not_yet_replicated().unwrap();
    assert_eq!(left.lag.records, 0, "the cloud has it");
    let mut waits = pin!(left.replicated());
    let mut cx = Context::from_waker(Waker::noop());
    assert!(waits.as_mut().poll(&mut cx).is_pending());
    // The store that waits says the same.
    let store = replicated(&second, 10);
    let replication = store.capabilities().replication.unwrap();
    assert!(replication.lag().is_some());
    let mut caught_up = replication.caught_up();
    assert!(poll(&mut caught_up).is_pending());
    replication.durable_here().wait().unwrap();
    second.fence_passed(1);
    assert!(matches!(waits.poll(&mut cx), Poll::Ready(Ok(()))));
    assert!(matches!(poll(&mut caught_up), Poll::Ready(Ok(()))));
}

#[test]
fn a_store_tells_which_namespaces_wait_for_the_cloud() {
    let recorder = self::recorder(MemStore::new());
    let over = |policies| Replicated::new(recorder.clone(), policies, 10);
    assert!(over(Policies::default()).capabilities().replication.is_none());
    let some = over(Policies::default().with("s", Policy::Replicated));
    let replication = some.capabilities().replication.unwrap();
    assert!(replication.waits(&ns("s")) && !replication.waits(&ns("m")));
    assert!(replication.lag().is_none());
    some.write(&ns("m"), &key("k"), b"x").unwrap();
    assert_eq!(replication.lag().unwrap().records, 1);

    // Above it names are hidden from the policies.
    let root = vault::RootSecret::from_bytes([7; 32]);
    let recorder = self::recorder(MemStore::new());
    prompt_cloud(&recorder);
    let policies = Policies::all(Policy::Replicated).with("s", Policy::Local);
    let others = Replicated::new(recorder.clone(), policies, 10);
    let sealed = vault::SealedStore::create(others, &root).unwrap();
    let replication = sealed.capabilities().replication.unwrap();
    assert!(replication.waits(&ns("s")));
    replication.durable_here().wait().unwrap();
    replication.caught_up().wait().unwrap();
    assert!(replication.lag().is_none());
    sealed.lock();
    assert!(replication.waits(&ns("s")), "what cannot be told is assumed");
}

#[test]
fn a_read_that_fails_once_ends_no_wait() {
    let (medium, fault) = (Medium::default(), Arc::new(Fault::default()));
    let store = FaultyStore::new(Arc::new(MemStore::open(medium).unwrap()), fault.clone());
    let recorder = recorder_with(Arc::new(store), clock(), 0);
    let store = replicated(&recorder, 10);
    let mut commit = store.submit(put(1));
    // The flush, then the value that is no longer in memory.
    fault.fail_nth(2, Landing::Absent);
    let failed = recorder.cut(0).unwrap_err();
    assert!(fault.fired() && matches!(failed, Error::Io { during: Operation::Read, .. }));
    assert!(poll(&mut commit).is_pending(), "the next backup reads it again");
    let cut = recorder.cut(0).unwrap().unwrap();
    acknowledge(&recorder, cut.to);
    assert!(matches!(poll(&mut commit), Poll::Ready(Ok(()))));
    // A store that takes nothing any more ends it.
    let mut commit = store.submit(put(2));
    fault.fail_nth(1, Landing::Absent);
    recorder.cut(cut.to).unwrap_err();
    assert!(matches!(poll(&mut commit), Poll::Ready(Err(Error::Io { .. }))));
}

#[test]
fn a_batch_of_preconditions_only_answers_as_the_store_does_and_waits_for_no_cloud() {
    let recorder = recorder(MemStore::new());
    let store = replicated(&recorder, 1);
    let mut waiting = store.submit(put(1));
    let absent = |n| Batch::new().require_absent(&ns("s"), &numbered(n));
    assert!(matches!(poll(&mut store.submit(absent(2))), Poll::Ready(Ok(()))));
    let refused = poll(&mut store.submit(absent(1)));
    assert!(matches!(refused, Poll::Ready(Err(Error::Precondition { .. }))), "{refused:?}");
    assert!(poll(&mut waiting).is_pending());
    assert_eq!((recorder.sequence(), store.waiting()), (1, 1), "it changes nothing");
}
