//! The process is killed while a wallet is created, persisted or folded.

#![expect(clippy::unwrap_used, reason = "tests may panic")]
#![expect(clippy::print_stderr, reason = "what a child tells its parent")]

mod common;

use std::{
    env,
    io::{BufRead, BufReader},
    path::Path,
    process::{Child, ChildStderr, Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::Duration,
};

use bdk_wallet::{ChangeSet, WalletPersister};
use common::{Changes, states};
use kv_bdk::BdkPersister;
use kv_core::{
    Batch, Capabilities, Commit, Key, KvStore, KvStoreExt, Namespace, Result, Value,
    testing::Random,
};
use kv_fs::{FsStore, Settings};
use tempfile::TempDir;

const FOLDER: &str = "STRONGROOM_BDK_TEST_FOLDER";
const HALT: &str = "STRONGROOM_BDK_TEST_HALT";
const SEED: u64 = 41;
/// How many change sets a child persists at most.
const LIFE: usize = 100;

fn open(folder: &Path) -> Arc<FsStore> {
    Arc::new(FsStore::open(folder, Settings::default()).unwrap())
}

fn load(store: Arc<dyn KvStore>) -> ChangeSet {
    WalletPersister::initialize(&mut BdkPersister::new(store, "w").unwrap()).unwrap()
}

/// The numbers of the wallet's entries.
fn numbers(store: &dyn KvStore) -> Vec<u64> {
    let keys = store.list_all(&Namespace::new("bdk", "w").unwrap()).unwrap();
    keys.iter().map(|key| key.as_number().unwrap()).collect()
}

/// How many change sets are stored: each one adds what no other has.
fn stored(whole: &ChangeSet, states: &[ChangeSet]) -> usize {
    states.iter().position(|state| state == whole).expect("it is none of the wallet's states")
}

/// Comes to a halt around one of its batches: whoever is killed then has not submitted it, or has
/// submitted it and not waited.
#[derive(Debug)]
struct Halting {
    inner: Arc<dyn KvStore>,
    left: AtomicU64,
    behind: bool,
}

impl Halting {
    fn halt() -> ! {
        eprintln!("halted");
        loop {
            thread::park();
        }
    }
}

impl KvStore for Halting {
    fn read(&self, ns: &Namespace, key: &Key) -> Result<Option<Value>> {
        self.inner.read(ns, key)
    }

    fn list(&self, ns: &Namespace, after: Option<&Key>, limit: usize) -> Result<Vec<Key>> {
        self.inner.list(ns, after, limit)
    }

    fn namespaces(&self) -> Result<Vec<Namespace>> {
        self.inner.namespaces()
    }

    fn submit(&self, batch: Batch) -> Commit {
        // Nothing is in it where the persister flushes.
        let is_it =
            batch.changes().next().is_some() && self.left.fetch_sub(1, Ordering::SeqCst) == 1;
        if is_it && !self.behind {
            Self::halt();
        }
        let commit = self.inner.submit(batch);
        if is_it {
            Self::halt();
        }
        commit
    }

    fn capabilities(&self) -> Capabilities<'_> {
        self.inner.capabilities()
    }

    fn close(&self) -> Result<()> {
        self.inner.close()
    }
}

/// Not a test of its own: what the tests below kill. It persists one change set after the other from
/// where the store is, and says each time how many are acknowledged.
#[test]
fn child_process() {
    let Some(folder) = env::var_os(FOLDER) else { return };
    let halt: i64 = env::var(HALT).unwrap().parse().unwrap();
    let inner = open(folder.as_ref());
    let changes: Vec<_> = Changes::seeded(SEED).take(700).collect();
    // Each change set takes one number.
    let from = numbers(&*inner).last().map_or(0, |newest| *newest as usize);
    let (left, behind) = (AtomicU64::new(halt.unsigned_abs()), halt < 0);
    let mut persister = BdkPersister::new(Arc::new(Halting { inner, left, behind }), "w").unwrap();
    // However slow its parent is, it does not get far.
    for (n, change) in changes.iter().enumerate().skip(from).take(LIFE) {
        WalletPersister::persist(&mut persister, change).unwrap();
        eprintln!("{}", n + 1);
    }
}

/// What lives until it is killed.
struct Process {
    child: Child,
    lines: BufReader<ChildStderr>,
}

impl Process {
    /// It halts before its batch of this number, or behind it if the number is negative; 0: it does not.
    fn start(folder: &Path, halt: i64) -> Self {
        let mut child = Command::new(env::current_exe().unwrap())
            .args(["--exact", "child_process", "--nocapture"])
            .env(FOLDER, folder)
            .env(HALT, halt.to_string())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stderr.take().unwrap());
        Self { child, lines }
    }

    fn line(&mut self) -> Option<String> {
        let mut line = String::new();
        self.lines.read_line(&mut line).unwrap();
        (!line.is_empty()).then(|| line.trim().to_owned())
    }

    /// Kills it (`kill -9`); the highest number it has ever said.
    fn kill(mut self, mut acknowledged: usize) -> usize {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        while let Some(line) = self.line() {
            acknowledged = line.parse().unwrap_or(acknowledged);
        }
        acknowledged
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// What is there is a state of the wallet, no older than what was acknowledged, and at most one change
/// set newer; how many it has.
fn holds(folder: &Path, states: &[ChangeSet], acknowledged: usize) -> usize {
    let store = open(folder);
    let found = stored(&load(store.clone()), states);
    assert!((acknowledged..=acknowledged + 1).contains(&found), "{found}, {acknowledged} promised");
    // The entries since the last merge, which is one of them.
    let since = found.saturating_sub(1) / 256 * 256 + 1;
    let expected: Vec<_> = (since as u64..=found as u64).collect();
    assert_eq!(numbers(&*store), expected);
    store.close().unwrap();
    found
}

#[test]
fn a_process_that_is_killed_around_any_batch_leaves_a_state_of_the_wallet() {
    let changes: Vec<_> = Changes::seeded(SEED).take(300).collect();
    let states = states(&changes);
    // Around its creation, in the middle, and around the batch that replaces 256 entries.
    for from in [0, 7, 255] {
        for halt in [1, -1, 2, -2, 3, -3] {
            let folder = TempDir::new().unwrap();
            let store = open(folder.path());
            let mut persister = BdkPersister::new(store.clone(), "w").unwrap();
            for change in &changes[..from] {
                WalletPersister::persist(&mut persister, change).unwrap();
            }
            store.close().unwrap();
            drop((persister, store));
            let mut process = Process::start(folder.path(), halt);
            let mut acknowledged = from;
            loop {
                match process.line().unwrap().as_str() {
                    "halted" => break,
                    number => acknowledged = number.parse().unwrap(),
                }
            }
            assert_eq!(acknowledged, from + halt.unsigned_abs() as usize - 1);
            assert_eq!(process.kill(acknowledged), acknowledged);
            let found = holds(folder.path(), &states, acknowledged);
            assert!(halt < 0 || found == acknowledged, "{found}, {acknowledged} submitted");
        }
    }
}

#[test]
fn a_process_that_is_killed_again_and_again_leaves_a_state_of_the_wallet() {
    let changes: Vec<_> = Changes::seeded(SEED).take(700).collect();
    let (states, folder) = (states(&changes), TempDir::new().unwrap());
    let (mut random, mut found, mut kills) = (Random::seeded(8), 0, 0);
    // Through the batches that replace the others, twice.
    while found < 530 {
        let mut process = Process::start(folder.path(), 0);
        let mut acknowledged = found;
        for _ in 0..random.below(LIFE as u64 - 10) {
            acknowledged = process.line().unwrap().parse().unwrap();
        }
        thread::sleep(Duration::from_micros(random.below(1500)));
        acknowledged = process.kill(acknowledged);
        found = holds(folder.path(), &states, acknowledged);
        kills += 1;
    }
    println!("killed {kills} times");
    assert!(kills > 5);
}
