//! The process is killed while it pays.

use std::{collections::BTreeMap, sync::Arc, thread};

use kv_core::testing::{
    Random,
    child::{Halting, Process, Told, say},
};
use kv_fs::{FsStore, Settings};
use kv_ldk::StrongroomStore;
use tempfile::TempDir;

use crate::pair::{Keeps, Pair, load};

const REVOKED: &str = "revoked";
const PAID: &str = "paid";

fn open(folder: &std::path::Path) -> Arc<FsStore> {
    Arc::new(FsStore::open(folder, Settings::default()).unwrap())
}

/// Not a test of its own: what the tests below kill. It pays for as long as it lives, and says what it
/// revokes before the peer hears of it.
#[test]
fn child_process() {
    let Some(told) = Told::here() else { return };
    let keeps = if told.kind == "updates" { Keeps::Updates } else { Keeps::Whole };
    let store = Halting::over(open(&told.folder));
    let (revoke, idle) = (|| say(REVOKED), || ());
    let pair = Pair::open(keeps, store.clone(), &revoke, &idle);
    say(pair.number());
    store.halt_around(told.halt);
    loop {
        pair.pay_both_ways(1);
        say(PAID);
    }
}

fn start(folder: &TempDir, keeps: Keeps, halt: i64) -> (Process, u64) {
    let kind = if matches!(keeps, Keeps::Updates) { "updates" } else { "whole" };
    let mut process = Process::start("killed::child_process", folder.path(), kind, halt);
    let number_0 = process.line().unwrap().parse().unwrap();
    (process, number_0)
}

#[test]
fn a_process_that_is_killed_leaves_what_ldk_loads() {
    let mut random = Random::seeded(9);
    for _ in 0..10 {
        let folder = TempDir::new().unwrap();
        let (mut process, number_0) = start(&folder, Keeps::Whole, 0);
        let mut lines = Vec::new();
        for _ in 0..1 + random.below(12) {
            lines.push(process.line().unwrap());
        }
        // What it said and nobody has read yet counts, too.
        lines.extend(process.kill());
        let revoked = lines.iter().filter(|line| *line == REVOKED).count();
        let store = StrongroomStore::new(open(folder.path()));
        load(Keeps::Whole, store, number_0, revoked as u64);
    }
}

/// Whether LDK closes the channel after a kill before this write of a payment there and back; `None` if
/// there are not that many.
fn killed_before(keeps: Keeps, halt: i64) -> Option<bool> {
    let folder = TempDir::new().unwrap();
    let (mut process, number_0) = start(&folder, keeps, halt);
    let mut revoked = 0;
    loop {
        match process.line().unwrap().as_str() {
            REVOKED => revoked += 1,
            PAID => return None,
            said => {
                assert_eq!(said, Halting::SAYS);
                break;
            }
        }
    }
    assert!(process.kill().is_empty(), "it goes on behind the halt");
    Some(load(keeps, StrongroomStore::new(open(folder.path())), number_0, revoked))
}

fn killed_everywhere(keeps: Keeps) {
    // Two at a time.
    let every_second = |first| {
        let each = (first..).step_by(2).map(|halt| (halt, killed_before(keeps, halt)));
        each.map_while(|(halt, closed)| closed.map(|closed| (halt, closed))).collect::<Vec<_>>()
    };
    let closed: BTreeMap<i64, bool> = thread::scope(|scope| {
        let both = [1, 2].map(|first| scope.spawn(move || every_second(first)));
        both.into_iter().flat_map(|half| half.join().unwrap()).collect()
    });
    let times = closed.values().filter(|closed| **closed).count();
    println!("killed before each of {} writes, the channel closed after {times}", closed.len());
    assert!(closed.len() > 12, "{closed:?}");
    assert!(closed.keys().copied().eq(1..=closed.len() as i64), "{closed:?}");
    // LDK 0.2 does this by design, where the manager is not stored yet.
    assert!(times > 0 && times < closed.len(), "{closed:?}");
}

#[test]
fn a_process_that_is_killed_before_any_write_leaves_what_ldk_loads() {
    killed_everywhere(Keeps::Whole);
}

#[test]
fn a_process_that_is_killed_before_any_write_of_updates_leaves_what_ldk_loads() {
    killed_everywhere(Keeps::Updates);
}
