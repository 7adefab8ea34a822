//! Several processes and threads at once, on the real disk.

#![expect(clippy::unwrap_used, reason = "tests may panic")]

mod common;

use std::{
    env,
    io::{BufRead, BufReader, Read, Write},
    process::{Child, Command, Stdio},
    sync::{
        Barrier,
        atomic::{AtomicBool, AtomicU64, Ordering::SeqCst},
    },
    thread,
};

use common::{file_in, key, ns, small, verify};
use kv_core::{Batch, Error, KvStore, KvStoreExt};
use kv_sqlite::SqliteStore;
use tempfile::TempDir;

const FOLDER: &str = "STRONGROOM_RACES_FOLDER";

/// The other process: opens the store when told to, says how that went, and closes when told to.
#[test]
fn child_process() {
    let Ok(folder) = env::var(FOLDER) else { return };
    let wait = || std::io::stdin().read_exact(&mut [0]);
    // Printed to standard error, which the test harness leaves alone.
    let say = |what: &str| eprintln!("{what}");
    say("ready");
    wait().unwrap();
    match SqliteStore::open(&file_in(folder.as_ref()), small()) {
        Ok(store) => {
            store.write(&ns("a"), &key("winner"), std::process::id().to_string()).unwrap();
            say("opened");
            if wait().is_ok() {
                store.close().unwrap();
            }
        }
        Err(Error::InUse { .. }) => say("in use"),
        Err(error) => say(&format!("failed: {error:?}")),
    }
}

struct Process {
    child: Child,
    answers: BufReader<std::process::ChildStderr>,
}

impl Process {
    fn start(folder: &TempDir) -> Self {
        let mut child = Command::new(env::current_exe().unwrap())
            .args(["--exact", "child_process", "--nocapture"])
            .env(FOLDER, folder.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let answers = BufReader::new(child.stderr.take().unwrap());
        let mut process = Self { child, answers };
        assert_eq!(process.answer(), "ready");
        process
    }

    fn go_on(&mut self) {
        self.child.stdin.as_mut().unwrap().write_all(b".").unwrap();
    }

    fn answer(&mut self) -> String {
        let mut line = String::new();
        self.answers.read_line(&mut line).unwrap();
        line.trim().to_owned()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

#[test]
fn of_two_processes_one_opens_the_folder() {
    for round in 0..10 {
        let dir = TempDir::new().unwrap();
        let mut processes = [Process::start(&dir), Process::start(&dir)];
        processes.iter_mut().for_each(Process::go_on);
        let answers = [0, 1].map(|n: usize| processes[n].answer());
        let winner = answers.iter().position(|answer| answer == "opened").unwrap();
        assert_eq!(answers[1 - winner], "in use", "{answers:?}");
        let here = SqliteStore::open(&file_in(dir.path()), small());
        assert!(matches!(here, Err(Error::InUse { .. })), "{here:?}");

        // A process that is killed leaves no lock behind, and one that closes does not either.
        let process = &mut processes[winner];
        let id = process.child.id();
        if round % 2 == 0 {
            process.child.kill().unwrap();
        } else {
            process.go_on();
        }
        process.child.wait().unwrap();
        let store = SqliteStore::open(&file_in(dir.path()), small()).unwrap();
        let found = store.read_required(&ns("a"), &key("winner")).unwrap();
        assert_eq!(&*found, id.to_string().as_bytes());
        assert!(!verify(&store).is_damaged());
    }
}

#[test]
fn of_many_writers_of_one_key_the_last_submit_wins() {
    let dir = TempDir::new().unwrap();
    let store = SqliteStore::open(&file_in(dir.path()), small()).unwrap();
    for round in 0..20u64 {
        // The order of submits is the order in which this lock is taken.
        let order = std::sync::Mutex::new(Vec::new());
        let barrier = Barrier::new(8);
        thread::scope(|scope| {
            for writer in 0..8u64 {
                let (store, order, barrier) = (&store, &order, &barrier);
                scope.spawn(move || {
                    barrier.wait();
                    for n in 0..5u64 {
                        let id = (round * 8 + writer) * 5 + n;
                        let len = if id.is_multiple_of(7) { 3000 } else { 300 };
                        let value = [id.to_le_bytes().as_slice(), &vec![0; len]].concat();
                        let batch = Batch::new().put(&ns("a"), &key("k"), value);
                        let mut order = order.lock().unwrap();
                        let commit = store.submit(batch);
                        order.push(id);
                        drop(order);
                        commit.wait().unwrap();
                    }
                });
            }
        });
        let last = *order.into_inner().unwrap().last().unwrap();
        let found = store.read_required(&ns("a"), &key("k")).unwrap();
        assert_eq!(found[..8], last.to_le_bytes(), "round {round}");
    }
    let before = store.read_required(&ns("a"), &key("k")).unwrap();
    drop(store);
    let store = SqliteStore::open(&file_in(dir.path()), small()).unwrap();
    assert_eq!(store.read_required(&ns("a"), &key("k")).unwrap(), before);
}

/// A reader sees each key's values in the order in which they were written, whole, and never an
/// absence or an error, while the log is moved.
#[test]
fn reads_while_the_log_is_moved_never_go_back() {
    let dir = TempDir::new().unwrap();
    let store = SqliteStore::open(&file_in(dir.path()), small()).unwrap();
    let names = ["k0", "k1", "k2"].map(key);
    let value = |n: u64| {
        let len = if n.is_multiple_of(3) { 4000 } else { 200 };
        [n.to_le_bytes().as_slice(), &vec![n as u8; len]].concat()
    };
    for name in &names {
        store.write(&ns("a"), name, value(0)).unwrap();
    }
    let (done, seen) = (AtomicBool::new(false), AtomicU64::new(0));
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                let mut last = [0; 3];
                while !done.load(SeqCst) {
                    for (name, last) in names.iter().zip(&mut last) {
                        let found = store.read_required(&ns("a"), name).unwrap();
                        let n = u64::from_le_bytes(found[..8].try_into().unwrap());
                        assert!(n >= *last, "{n} after {last}");
                        assert_eq!(&*found, value(n));
                        *last = n;
                        seen.fetch_add(1, SeqCst);
                    }
                }
            });
        }
        scope.spawn(|| {
            for n in 1..=200 {
                store.write(&ns("a"), &names[n as usize % 3], value(n)).unwrap();
            }
            done.store(true, SeqCst);
        });
    });
    assert!(seen.load(SeqCst) > 0);
    assert!(!verify(&store).is_damaged());
}

/// Keys that stay are in every listing, each listing is ascending and free of doubles, and a key
/// is never listed before it was written or after its removal was acknowledged.
#[test]
fn listings_are_right_while_keys_come_and_go() {
    let dir = TempDir::new().unwrap();
    let store = SqliteStore::open(&file_in(dir.path()), small()).unwrap();
    let stays: Vec<_> = (0..20).map(|n| key(&format!("stays-{n:02}"))).collect();
    for name in &stays {
        store.write(&ns("a"), name, b"x").unwrap();
    }
    let done = AtomicBool::new(false);
    // Keys below the first number are surely gone, from the second on surely not written yet.
    let (gone, begun) = (AtomicU64::new(0), AtomicU64::new(0));
    thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(SeqCst) {
                let low = gone.load(SeqCst);
                let found = store.list_all(&ns("a")).unwrap();
                let high = begun.load(SeqCst);
                // This one asks the database itself.
                let size = store.capabilities().footprint.unwrap().footprint().unwrap();
                assert!(size.keys >= 20, "{size:?}");
                assert!(found.is_sorted_by(|a, b| a < b), "{found:?}");
                assert!(stays.iter().all(|name| found.contains(name)), "{found:?}");
                for name in found.iter().filter_map(|k| k.as_str().strip_prefix("comes-")) {
                    let n: u64 = name.parse().unwrap();
                    assert!((low..high).contains(&n), "{n} is listed, not in {low}..{high}");
                }
            }
        });
        scope.spawn(|| {
            for n in 0..150u64 {
                begun.store(n + 1, SeqCst);
                store.write(&ns("a"), &key(&format!("comes-{n}")), vec![1; 300]).unwrap();
                if let Some(old) = n.checked_sub(3) {
                    store.remove(&ns("a"), &key(&format!("comes-{old}"))).unwrap();
                    gone.store(old + 1, SeqCst);
                }
            }
            done.store(true, SeqCst);
        });
    });
}

/// Threads that write, remove and read one key see one order, whoever leads the flush.
#[test]
fn a_key_that_comes_and_goes_is_never_half_there() {
    let dir = TempDir::new().unwrap();
    let store = SqliteStore::open(&file_in(dir.path()), small()).unwrap();
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while !done.load(SeqCst) {
                    // The two are written and removed together. Between these two reads they may
                    // change, but never is one damaged or missing where it is listed.
                    for name in ["one", "two"] {
                        if let Some(value) = store.read(&ns("a"), &key(name)).unwrap() {
                            assert!(value.len() == 900);
                        }
                    }
                }
            });
        }
        scope.spawn(|| {
            for n in 0..300_u64 {
                let (one, two) = (key("one"), key("two"));
                let batch = if n % 2 == 0 {
                    Batch::new().put(&ns("a"), &one, vec![1; 900]).put(&ns("a"), &two, vec![2; 900])
                } else {
                    Batch::new().remove(&ns("a"), &one).remove(&ns("a"), &two)
                };
                store.submit(batch).wait().unwrap();
            }
            done.store(true, SeqCst);
        });
    });
    assert!(!verify(&store).is_damaged());
}
