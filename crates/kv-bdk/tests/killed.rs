//! The process is killed while a wallet is created, persisted or folded.

#![expect(clippy::unwrap_used, reason = "tests may panic")]

mod common;

use std::{path::Path, sync::Arc, thread, time::Duration};

use bdk_wallet::{ChangeSet, WalletPersister};
use common::{Changes, states};
use kv_bdk::BdkPersister;
use kv_core::{
    KvStore, KvStoreExt, Namespace,
    testing::{
        Random,
        child::{Halting, Process, Told, say},
    },
};
use kv_fs::{FsStore, Settings};
use tempfile::TempDir;

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

/// Not a test of its own: what the tests below kill. It persists one change set after the other from
/// where the store is, and says each time how many are acknowledged.
#[test]
fn child_process() {
    let Some(told) = Told::here() else { return };
    let inner = open(&told.folder);
    let changes: Vec<_> = Changes::seeded(SEED).take(700).collect();
    // Each change set takes one number.
    let from = numbers(&*inner).last().map_or(0, |newest| *newest as usize);
    let store = Halting::over(inner);
    store.halt_around(told.halt);
    let mut persister = BdkPersister::new(store, "w").unwrap();
    // However slow its parent is, it does not get far.
    for (n, change) in changes.iter().enumerate().skip(from).take(LIFE) {
        WalletPersister::persist(&mut persister, change).unwrap();
        say(n + 1);
    }
}

/// It halts around its batch of this number, see [`Halting::halt_around`].
fn start(folder: &Path, halt: i64) -> Process {
    Process::start("child_process", folder, "", halt)
}

/// Kills it; the highest number it has ever said.
fn kill(process: Process, acknowledged: usize) -> usize {
    let numbers = process.kill().into_iter().rev().find_map(|line| line.parse().ok());
    numbers.unwrap_or(acknowledged)
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
            let mut process = start(folder.path(), halt);
            let mut acknowledged = from;
            loop {
                match process.line().unwrap().as_str() {
                    Halting::SAYS => break,
                    number => acknowledged = number.parse().unwrap(),
                }
            }
            assert_eq!(acknowledged, from + halt.unsigned_abs() as usize - 1);
            assert_eq!(kill(process, acknowledged), acknowledged);
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
        let mut process = start(folder.path(), 0);
        let mut acknowledged = found;
        for _ in 0..random.below(LIFE as u64 - 10) {
            acknowledged = process.line().unwrap().parse().unwrap();
        }
        thread::sleep(Duration::from_micros(random.below(1500)));
        acknowledged = kill(process, acknowledged);
        found = holds(folder.path(), &states, acknowledged);
        kills += 1;
    }
    println!("killed {kills} times");
    assert!(kills > 5);
}
