//! Replicated acknowledgement: what waits, for how long, and what an outage or a restart does to it.

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

use backup::{Policies, Policy, Recorder, Replicated};
use common::{clock, key, ns, numbered, recorder, recorder_with};
use kv_core::{
    Batch, Commit, Error, Key, KvStore, KvStoreExt, Namespace, Result,
    testing::{Damage, Fault, FaultyStore, Landing, Testbed},
};
use kv_mem::{Medium, MemStore};

/// A cloud that has everything as soon as somebody asks for it.
fn prompt_cloud(recorder: &Arc<Recorder>) {
    let (urge, urged) = mpsc::channel();
    recorder.on_urge(move || urge.send(()).unwrap_or_default());
    let recorder: Weak<Recorder> = Arc::downgrade(recorder);
    thread::spawn(move || {
        while urged.recv().is_ok() {
            let Some(recorder) = recorder.upgrade() else { return };
            if let Ok(Some(cut)) = recorder.cut(0) {
                let _ = recorder.acknowledge(upto(&recorder, cut.to));
            }
        }
    });
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
    assert!(store.capabilities().replicated && !recorder.capabilities().replicated);
    let mut first = store.submit(put(1));
    let mut second = store.submit(put(2));
    assert!(poll(&mut first).is_pending() && poll(&mut second).is_pending());
    assert!(store.read(&ns("s"), &numbered(1)).unwrap().is_some(), "durable here already");
    assert!(matches!(first.receipt().outcome(), Some(Ok(()))));
    recorder.write(&ns("s"), &numbered(3), b"local").unwrap();
    let cut = recorder.cut(0).unwrap().unwrap();
    assert!(poll(&mut first).is_pending(), "a cut is not in the cloud");
    let mut later = store.submit(put(4));
    recorder.acknowledge(upto(&recorder, 1)).unwrap();
    assert!(matches!(poll(&mut first), Poll::Ready(Ok(()))));
    assert!(poll(&mut second).is_pending(), "not before its turn");
    recorder.acknowledge(upto(&recorder, cut.to)).unwrap();
    assert!(matches!(poll(&mut second), Poll::Ready(Ok(()))));
    assert!(poll(&mut later).is_pending());
    // An older acknowledgement that comes late takes nothing back.
    recorder.acknowledge(upto(&recorder, 1)).unwrap();
    assert_eq!(recorder.state().backed_up, cut.to);
    // A flush asks for everything before it.
    let mut flush = store.submit(Batch::new());
    assert!(poll(&mut flush).is_pending());
    recorder.acknowledge(upto(&recorder, 4)).unwrap();
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
    recorder.acknowledge(upto(&recorder, 2)).unwrap();
    assert!(matches!(poll(commits.first_mut().unwrap()), Poll::Ready(Ok(()))));
    assert_eq!(store.waiting(), 1);
    let again = store.submit(put(4));
    recorder.acknowledge(upto(&recorder, recorder.sequence())).unwrap();
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

#[test]
fn the_policy_of_a_namespace_decides() {
    let recorder = recorder(MemStore::new());
    let policies = Policies::default().with("s", Policy::Replicated);
    let store = Replicated::new(recorder.clone(), policies, 10);
    assert!(!store.capabilities().replicated);
    store.write(&ns("m"), &key("k"), b"local").unwrap();
    store.write(&ns("local"), &key("k"), b"never leaves").unwrap();
    store.flush().unwrap();
    let mut both = store.submit(put(1).put(&ns("m"), &key("k"), b"with it"));
    assert!(poll(&mut both).is_pending());
    recorder.acknowledge(upto(&recorder, 2)).unwrap();
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
    recorder.acknowledge(upto(&recorder, cut.to)).unwrap();
    let mut waits = replicated(&recorder, 10).submit(put(1));
    assert_eq!(urged.load(Ordering::Relaxed), 1, "nobody waits yet");
    assert!(poll(&mut waits).is_pending());
    assert_eq!(urged.load(Ordering::Relaxed), 2);
}
