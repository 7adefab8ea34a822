//! Every error of the operating system at every call to the disk, once and from then on: it is
//! answered, nothing acknowledged is lost, and when the cause is gone a reopening heals.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests may panic")]

mod common;

use std::collections::{BTreeMap, BTreeSet};

use common::{Contents, key, ns, small, verify};
use kv_core::{Batch, Error, KvStore, KvStoreExt, Namespace, Result};
use kv_fs::{
    FsStore, Settings,
    disk::{Again, Cause, DiskCall, Fault, SimDisk},
};

/// Errors by name: number of the operating system, and whether a write leaves half of its bytes.
const CAUSES: [(&str, i32, bool); 6] = [
    ("EIO", 5, false),
    ("ENOSPC", 28, false),
    ("EINTR", 4, false),
    ("EMFILE", 24, false),
    ("EDQUOT", 122, false),
    ("a short write", 5, true),
];

/// Windows and macOS number some of them otherwise; then the kind is what counts.
fn cause(number: i32) -> Cause {
    match number {
        _ if cfg!(target_os = "linux") => Cause::Os(number),
        28 => Cause::Kind(std::io::ErrorKind::StorageFull),
        122 => Cause::Kind(std::io::ErrorKind::QuotaExceeded),
        _ => Cause::Kind(std::io::ErrorKind::Other),
    }
}

fn settings() -> Settings {
    let mut settings = small();
    settings.segment_size = 4 << 10;
    settings.checkpoint_after = 6 << 10;
    settings.big_value = 2 << 10;
    settings
}

/// Some checkpoints sync their files one by one, some the disk at once.
fn at_once() -> Settings {
    let mut settings = settings();
    settings.sync_disk_from = 1;
    settings
}

enum Step {
    Submit(Batch),
    Wait,
    Checkpoint,
    Reopen,
}

/// Rotations, checkpoints, big values, removals, own names, a close and a recovery.
fn workload() -> Vec<Step> {
    let (a, own) = (ns("a"), Namespace::reserved("~own", "x").unwrap());
    let mut steps = Vec::new();
    for n in 0u8..12 {
        let name = key(&format!("key-{}", n % 4));
        let mut batch = Batch::new().put(&a, &name, vec![n; 700]).put(&own, &key("n"), &[n]);
        if n % 4 == 2 {
            batch = batch.put(&ns("big"), &key(&format!("big-{}", n % 8)), vec![n; 3000]);
        }
        if n % 5 == 3 {
            batch = batch.remove(&a, &key(&format!("key-{}", (n + 1) % 4)));
        }
        if n == 9 {
            batch = batch.remove(&ns("big"), &key("big-2"));
        }
        steps.push(Step::Submit(batch));
        if n % 2 == 1 {
            steps.push(Step::Wait);
        }
        if n % 4 == 3 {
            steps.push(Step::Checkpoint);
        }
        if n == 7 {
            steps.push(Step::Reopen);
        }
    }
    steps.push(Step::Wait);
    steps
}

/// A run of the workload: the states it may have reached.
struct Run {
    store: Option<FsStore>,
    states: Vec<Contents>,
    acknowledged: usize,
}

impl Run {
    fn new() -> Self {
        Self { store: None, states: vec![Contents::default()], acknowledged: 0 }
    }

    fn allowed(&self) -> &[Contents] {
        &self.states[self.acknowledged..]
    }

    fn go(&mut self, disk: &SimDisk, settings: &Settings) -> Result<()> {
        let open = || FsStore::open_alone(disk.mount(), settings.clone());
        self.store = Some(open()?);
        let mut waiting = Vec::new();
        for step in workload() {
            let store = self.store.as_ref().unwrap();
            match step {
                Step::Submit(batch) => {
                    let mut next = self.states.last().unwrap().clone();
                    next.apply(&batch);
                    let commit = store.submit(batch);
                    match commit.receipt().outcome() {
                        // Surely absent, and the store goes on.
                        Some(Err(Error::Full { .. })) => continue,
                        Some(Err(error)) => {
                            // A poisoned store has refused it, any other failure leaves it unknown.
                            if !error.is_refusal() {
                                self.states.push(next);
                            }
                            return Err(error);
                        }
                        _ => {}
                    }
                    self.states.push(next);
                    waiting.push(commit);
                }
                Step::Wait => {
                    for commit in waiting.drain(..) {
                        commit.wait()?;
                        self.acknowledged += 1;
                    }
                    store.do_background();
                }
                Step::Checkpoint => {
                    // A failure is a warning to the caller, and does no harm.
                    store.checkpoint_now().ok();
                }
                Step::Reopen => {
                    store.close()?;
                    self.store = None;
                    self.store = Some(open()?);
                }
            }
        }
        Ok(())
    }

    /// The cause of the failure is gone: what holds for the open store, and for each opening.
    fn check(mut self, disk: &SimDisk, settings: &Settings, failed: Option<&Error>, what: &str) {
        let legal = |found: &Contents| assert!(self.allowed().contains(found), "{what}: {found:?}");
        if let Some(store) = &self.store
            && !matches!(store.namespaces(), Err(Error::Closed { .. }))
        {
            let found = Contents::of(store).unwrap_or_else(|e| panic!("{what}: {e:?}"));
            legal(&found);
            let next = store.write(&ns("a"), &key("next"), b"x");
            let poisoned = matches!(next, Err(Error::Poisoned { .. }));
            assert_eq!(poisoned, failed.is_some(), "{what}: {failed:?}, then {next:?}");
            if next.is_ok() {
                store.remove(&ns("a"), &key("next")).unwrap();
            }
        }
        // First the program ends and the system stays, then the power is cut, with luck and without.
        disk.kill();
        drop(self.store.take());
        let cut = disk.copy();
        let lost = disk.copy();
        lost.forget_cache();
        cut.crash();
        for disk in [disk, &cut, &lost] {
            let mut before: Option<Contents> = None;
            for _ in 0..2 {
                let store = FsStore::open_alone(disk.mount(), settings.clone());
                let store = store.unwrap_or_else(|e| panic!("{what}: {e:?}"));
                let found = Contents::of(&store).unwrap_or_else(|e| panic!("{what}: {e:?}"));
                let legal = self.allowed().contains(&found);
                assert!(legal, "{what}: {found:?}, allowed {:?}", self.allowed());
                assert!(!verify(&store).is_damaged(), "{what}: {:?}", verify(&store).findings);
                assert!(before.is_none_or(|before| before == found), "{what}");
                before = Some(found);
                disk.crash();
            }
        }
    }
}

#[test]
fn every_error_at_every_call_once_and_for_good() {
    let mut seen: BTreeMap<&str, BTreeSet<DiskCall>> = BTreeMap::new();
    let mut runs = 0;
    for (name, number, short) in CAUSES {
        for again in [Again::Never, Again::SameCall, Again::EveryChange] {
            for settings in [settings(), at_once()] {
                for nth in 1.. {
                    let (disk, mut run) = (SimDisk::new(), Run::new());
                    let cause = cause(number);
                    disk.fail(Some(Fault { nth, only: &[], cause, short, again }));
                    let outcome = run.go(&disk, &settings);
                    if !disk.fired() {
                        outcome.unwrap();
                        break;
                    }
                    runs += 1;
                    let call = disk.failed_call().unwrap();
                    seen.entry(name).or_default().insert(call);
                    disk.fail(None);
                    let what = format!("{name} at call {nth}, a {call:?}, {again:?}");
                    run.check(&disk, &settings, outcome.as_ref().err(), &what);
                }
            }
        }
    }
    println!("{runs} failures, of {:?}", seen["EIO"]);
    let all = BTreeSet::from([
        DiskCall::Lock,
        DiskCall::CreateDir,
        DiskCall::List,
        DiskCall::Read,
        DiskCall::Create,
        DiskCall::Open,
        DiskCall::Rename,
        DiskCall::Remove,
        DiskCall::SyncDir,
        DiskCall::SyncDisk,
        DiskCall::Modified,
        DiskCall::SetModified,
        DiskCall::Size,
        DiskCall::WriteAt,
        DiskCall::Sync,
        DiskCall::SyncAll,
    ]);
    for (name, calls) in seen {
        assert_eq!(calls, all, "{name}");
    }
}

fn fail_next(disk: &SimDisk, only: &'static [DiskCall]) {
    let cause = cause(5);
    disk.fail(Some(Fault { nth: 1, only, cause, short: false, again: Again::Never }));
}

#[test]
fn after_a_failed_log_sync_reads_go_on_and_a_reopening_recovers() {
    for forget in [false, true] {
        let disk = SimDisk::new();
        let store = FsStore::open_on(disk.mount(), settings()).unwrap();
        store.write(&ns("a"), &key("k"), b"old").unwrap();
        fail_next(&disk, &[DiskCall::Sync]);
        let failed = store.write(&ns("a"), &key("k"), b"new");
        assert!(matches!(failed, Err(Error::Io { .. })) && disk.fired(), "{failed:?}");
        // The disk is well again, but what it has lost is unknown: the store does not try.
        for _ in 0..2 {
            let refused = store.write(&ns("a"), &key("other"), b"x");
            assert!(matches!(refused, Err(Error::Poisoned { .. })), "{refused:?}");
        }
        assert_eq!(&*store.read_required(&ns("a"), &key("k")).unwrap(), b"old");
        assert_eq!(store.list_all(&ns("a")).unwrap(), [key("k")]);
        disk.kill();
        drop(store);
        if forget {
            disk.forget_cache();
        }
        let store = FsStore::open_on(disk.mount(), settings()).unwrap();
        let found = store.read_required(&ns("a"), &key("k")).unwrap();
        assert_eq!(&*found, if forget { &b"old"[..] } else { b"new" });
        // What is served now is durable now, whatever the failed sync has lost.
        disk.crash();
        drop(store);
        let store = FsStore::open_on(disk.mount(), settings()).unwrap();
        assert_eq!(store.read_required(&ns("a"), &key("k")).unwrap(), found);
        store.write(&ns("a"), &key("other"), b"x").unwrap();
    }
}

/// Of a value's file, of the folder, of the index, of the disk as a whole.
#[test]
fn a_failed_checkpoint_sync_keeps_the_log_and_writes_the_files_anew() {
    let syncs: [(&[DiskCall], Settings); 4] = [
        (&[DiskCall::SyncAll], settings()),
        (&[DiskCall::SyncDir], settings()),
        (&[DiskCall::Sync], settings()),
        (&[DiskCall::SyncDisk], at_once()),
    ];
    for (call, settings) in syncs {
        let disk = SimDisk::new();
        let store = FsStore::open_alone(disk.mount(), settings.clone()).unwrap();
        for n in 0..3 {
            store.write(&ns("a"), &key(&format!("key-{n}")), vec![n; 600]).unwrap();
        }
        store.write(&ns("a"), &key("big"), vec![9; 5000]).unwrap();
        fail_next(&disk, call);
        store.checkpoint_now().unwrap_err();
        assert!(disk.fired());
        let check = |disk: SimDisk, keys: usize| {
            disk.crash();
            let store = FsStore::open_alone(disk.mount(), settings.clone()).unwrap();
            assert_eq!(store.list_all(&ns("a")).unwrap().len(), keys, "{call:?}");
            assert!(!verify(&store).is_damaged(), "{call:?}: {:?}", verify(&store).findings);
        };
        check(disk.copy(), 4);
        // The store is not poisoned, and the next checkpoint does not trust what the failed one wrote.
        store.write(&ns("a"), &key("key-3"), vec![3; 600]).unwrap();
        store.checkpoint_now().unwrap();
        check(disk.copy(), 5);
        let forgetful = disk.copy();
        forgetful.forget_cache();
        check(forgetful, 5);
        assert!(!verify(&store).is_damaged());
    }
}

/// What that sync has left at the end of the index must not be built upon.
#[test]
fn a_close_after_a_failed_sync_of_the_index_is_not_clean() {
    let disk = SimDisk::new();
    let open = || FsStore::open_alone(disk.mount(), settings()).unwrap();
    let store = open();
    store.write(&ns("a"), &key("k"), b"x").unwrap();
    store.checkpoint_now().unwrap();
    // Nothing is left to be moved: only the place where the log goes on is noted.
    fail_next(&disk, &[DiskCall::Sync]);
    store.checkpoint_now().unwrap_err();
    store.close().unwrap();
    drop(store);
    let index = disk.contents(common::INDEX).unwrap();
    let store = open();
    assert_ne!(disk.contents(common::INDEX).unwrap(), index, "the index was not written anew");
    disk.crash();
    drop(store);
    assert_eq!(&*open().read_required(&ns("a"), &key("k")).unwrap(), b"x");
}

#[test]
fn a_failed_read_is_an_error_and_passes() {
    let disk = SimDisk::new();
    let store = FsStore::open_on(disk.mount(), settings()).unwrap();
    store.write(&ns("a"), &key("k"), b"x").unwrap();
    store.close().unwrap();
    let store = FsStore::open_on(disk.mount(), settings()).unwrap();
    fail_next(&disk, &[DiskCall::Read]);
    let failed = store.read(&ns("a"), &key("k"));
    assert!(matches!(failed, Err(Error::Io { .. })), "{failed:?}");
    assert_eq!(&*store.read_required(&ns("a"), &key("k")).unwrap(), b"x");
    store.write(&ns("a"), &key("l"), b"y").unwrap();
}
