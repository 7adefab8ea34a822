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

use common::{copy_store, file_in, key, log_of, ns, small, verify};
use kv_core::{Batch, Error, KvStore, KvStoreExt};
use kv_sqlite::SqliteStore;
use tempfile::TempDir;

const FOLDER: &str = "STRONGROOM_RACES_FOLDER";
const READS: &str = "STRONGROOM_RACES_READS";

/// Another program: reads the file with SQLite, and closes it.
#[test]
fn reading_process() {
    let Ok(folder) = env::var(READS) else { return };
    let reader = rusqlite::Connection::open(file_in(folder.as_ref())).unwrap();
    reader.query_row("SELECT count(*) FROM kv", [], |_| Ok(())).unwrap();
    reader.close().unwrap();
}

fn another_program_reads(folder: &std::path::Path) {
    let mut reads = Command::new(env::current_exe().unwrap());
    let reads = reads.args(["--exact", "reading_process"]).env(READS, folder);
    assert!(reads.stdout(Stdio::null()).status().unwrap().success());
}

/// Whether this process holds a record lock on the file. SQLite of today notices that it was lost
/// before it removes a log; the one that other programs bring along may not.
#[cfg(target_os = "linux")]
fn is_locked(file: &std::path::Path) -> bool {
    use std::os::unix::fs::MetadataExt as _;
    let node = format!(":{}", std::fs::metadata(file).unwrap().ino());
    let process = std::process::id().to_string();
    let is_listed = || {
        std::fs::read_to_string("/proc/locks").unwrap().lines().any(|line| {
            let words: Vec<_> = line.split_whitespace().collect();
            words.contains(&"POSIX")
                && words.contains(&process.as_str())
                && words.iter().any(|word| word.ends_with(&node))
        })
    };
    // The list leaves one out now and then while others come and go. What has gone stays away.
    (0..20).any(|_| is_listed())
}

#[cfg(not(target_os = "linux"))]
fn is_locked(_: &std::path::Path) -> bool {
    true
}

/// The system drops SQLite's locks on the database when any handle of the process to it is closed;
/// then another program takes itself for the last one, and removes the log.
#[test]
fn nothing_this_process_asks_of_an_open_store_drops_its_locks() {
    let dir = TempDir::new().unwrap();
    let file = file_in(dir.path());
    let store = SqliteStore::open(&file, small()).unwrap();
    store.write(&ns("a"), &key("before"), b"x").unwrap();
    let in_use = |outcome: kv_core::Result<()>| {
        assert!(matches!(outcome, Err(Error::InUse { .. })), "{outcome:?}");
    };
    let asks: [&dyn Fn(); 4] = [
        &|| in_use(SqliteStore::open(&file, small()).map(drop)),
        &|| in_use(SqliteStore::open_existing(&file, small()).map(drop)),
        &|| assert!(SqliteStore::exists(&file).unwrap()),
        &|| in_use(SqliteStore::accept_copy(&file)),
    ];
    for (n, ask) in asks.into_iter().enumerate() {
        ask();
        assert!(is_locked(&file), "{n}: the lock has gone");
        another_program_reads(dir.path());
        assert!(log_of(&file).exists(), "{n}: the log has gone");
        store.write(&ns("a"), &key(&format!("after-{n}")), b"x").unwrap();
    }
    // As a kill would leave it.
    let copy = TempDir::new().unwrap();
    copy_store(&file, &file_in(copy.path()));
    let copy = SqliteStore::open(&file_in(copy.path()), small()).unwrap();
    assert_eq!(copy.list_all(&ns("a")).unwrap().len(), 5);
}

/// The same while a file is opened for the first time by several threads.
#[test]
fn of_many_threads_that_open_a_file_at_once_one_has_it_and_keeps_its_locks() {
    for round in 0..20 {
        let dir = TempDir::new().unwrap();
        let file = file_in(dir.path());
        SqliteStore::open(&file, small()).unwrap().close().unwrap();
        std::fs::remove_file(dir.path().join("store.sqlite-owner")).unwrap();
        let barrier = Barrier::new(8);
        let opened: Vec<_> = thread::scope(|scope| {
            let threads: Vec<_> = (0..8)
                .map(|_| {
                    scope.spawn(|| {
                        barrier.wait();
                        SqliteStore::open(&file, small())
                    })
                })
                .collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        let open: Vec<_> = opened.into_iter().filter_map(Result::ok).collect();
        assert_eq!(open.len(), 1, "round {round}");
        assert!(is_locked(&file), "round {round}: the lock has gone");
    }
}

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
