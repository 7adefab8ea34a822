//! A panic in what a store does for itself poisons it, and nobody waits for ever: neither who waits for
//! a commit, nor who awaits one, nor who closes. A waker that panics harms no other.

mod common;

use std::{
    future::Future,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
        mpsc,
    },
    task::{Context, Wake, Waker},
    thread,
    time::Duration,
};

use common::{SimBed, key, ns, small, verify};
use kv_core::{Batch, Error, KvStore, KvStoreExt, testing::block_on};
use kv_fs::{
    FsStore, Settings,
    disk::{Again, Cause, Fault, SimDisk},
};

/// Long enough for what takes milliseconds, and short for what never ends.
const LONG: Duration = Duration::from_secs(30);

const KEYS: u8 = 3;

fn settings() -> Settings {
    let mut settings = small();
    settings.segment_size = 4 << 10;
    settings.checkpoint_after = 4 << 10;
    settings.big_value = 2 << 10;
    settings
}

/// What a key holds after the `n`th batch.
fn value(n: u8) -> Vec<u8> {
    vec![n; if n % 4 == 1 { 3000 } else { 900 }]
}

fn name(n: u8) -> kv_core::Key {
    key(&format!("key-{}", n % KEYS))
}

/// Batches that fill segments, need checkpoints and have big values, waited for and awaited in turn.
/// Answers how many were acknowledged.
fn run(store: &FsStore) -> u8 {
    let mut acknowledged = 0;
    for n in 0..12 {
        let commit = store.submit(Batch::new().put(&ns("a"), &name(n), value(n)));
        let outcome = if n % 2 == 0 { commit.wait() } else { block_on(commit) };
        match outcome {
            Ok(()) => {
                assert_eq!(acknowledged, n, "a poisoned store has taken a change");
                acknowledged += 1;
            }
            Err(error) => {
                let expected = matches!(error, Error::Io { .. } | Error::Poisoned { .. });
                assert!(expected, "{error:?}");
            }
        }
    }
    acknowledged
}

#[test]
fn a_panic_at_every_call_poisons_the_store_and_nobody_waits_for_ever() {
    let mut poisoned = 0;
    for nth in 1.. {
        let disk = SimDisk::new();
        let (cause, again) = (Cause::Panic, Again::Never);
        disk.fail(Some(Fault { nth, only: &[], cause, short: false, again }));
        let (told, hears) = mpsc::channel();
        let mount = disk.mount();
        thread::spawn(move || {
            // Whoever opens a store does it on its own thread, and may panic there.
            let store = catch_unwind(AssertUnwindSafe(|| FsStore::open_on(mount, settings())));
            let outcome = store.ok().and_then(Result::ok).map(|store| (run(&store), store.close()));
            told.send(outcome).ok();
        });
        let outcome = match hears.recv_timeout(LONG) {
            Ok(outcome) => outcome,
            Err(mpsc::RecvTimeoutError::Timeout) => panic!("call {nth}: somebody waits for ever"),
            Err(_) => panic!("call {nth}: the panic has come to a caller"),
        };
        let fired = disk.fired();
        disk.fail(None);
        disk.kill();
        if let Some((acknowledged, closed)) = outcome {
            assert!(fired || (acknowledged == 12 && closed.is_ok()), "call {nth}: {closed:?}");
            if acknowledged < 12 {
                poisoned += 1;
                assert!(closed.is_err(), "call {nth}: the close of a poisoned store");
            }
            let store = FsStore::open_on(disk.mount(), settings()).unwrap();
            for n in acknowledged.saturating_sub(KEYS)..acknowledged {
                let found = store.read_required(&ns("a"), &name(n)).unwrap();
                assert!(found.first() >= Some(&n), "call {nth}: batch {n} is lost");
            }
            assert!(!verify(&store).is_damaged(), "call {nth}");
        }
        if !fired {
            break;
        }
    }
    assert!(poisoned > 20, "{poisoned} runs came to a panic");
}

struct Woken(mpsc::SyncSender<()>);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.try_send(()).ok();
    }
}

struct Panics;

impl Wake for Panics {
    fn wake(self: Arc<Self>) {
        panic!("on purpose");
    }
}

/// An empty batch shares its place in the order with the one before it, so both are woken at once.
#[test]
fn a_waker_that_panics_harms_no_other() {
    let bed = SimBed::default();
    let store = bed.store().unwrap();
    let mut both_waited = 0;
    for n in 0..100 {
        let batch = Batch::new().put(&ns("a"), &key("k"), vec![n; 2000]);
        let mut commits = [store.submit(batch), store.submit(Batch::new())];
        let (told, hears) = mpsc::sync_channel(1);
        let wakers = [Waker::from(Arc::new(Panics)), Waker::from(Arc::new(Woken(told)))];
        let [first, second] = [0, 1].map(|at: usize| {
            let commit = commits.get_mut(at).unwrap();
            let waker = wakers.get(at).unwrap();
            Pin::new(commit).poll(&mut Context::from_waker(waker)).is_pending()
        });
        both_waited += u32::from(first && second);
        if second {
            hears.recv_timeout(LONG).expect("it is woken");
        }
    }
    assert!(both_waited > 0, "the flushes were too quick to show anything");
    store.close().unwrap();
}

/// Nobody serves the store any more once it is closed, so the close itself must wake them.
#[test]
fn the_close_of_a_poisoned_store_wakes_those_who_await_a_batch() {
    let disk = SimDisk::new();
    let store = FsStore::open_alone(disk.mount(), settings()).unwrap();
    let mut commit = store.submit(Batch::new().put(&ns("a"), &key("k"), b"x"));
    let woken = Arc::new(Flag(AtomicBool::new(false)));
    let waker = Waker::from(woken.clone());
    assert!(Pin::new(&mut commit).poll(&mut Context::from_waker(&waker)).is_pending());
    disk.fail_nth(1, std::io::ErrorKind::Other);
    let failed = store.submit(Batch::new().put(&ns("a"), &key("big"), vec![1; 3000]));
    assert!(matches!(failed.wait(), Err(Error::Io { .. })));
    store.close().unwrap_err();
    assert!(woken.0.load(Ordering::SeqCst));
    assert!(matches!(block_on(commit), Err(Error::Io { .. })));
}

struct Flag(AtomicBool);

impl Wake for Flag {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::SeqCst);
    }
}
