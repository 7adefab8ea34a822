//! The process is killed while LDK's processor runs its node, whose monitors are deferred.

#![expect(clippy::unwrap_used, reason = "helpers of tests panic")]
#![expect(clippy::print_stdout, reason = "what was tried is worth seeing")]

use std::{path::Path, sync::Arc, thread, time::Duration};

use kv_core::testing::{
    Random,
    child::{Halting, Process, Told, say},
};
use kv_fs::{FsStore, Settings};
use kv_ldk::StrongroomStore;
use kv_mem::MemStore;
use tempfile::TempDir;

use super::{
    deferred::{Alive, keeps_its_channel},
    keeps::Keeps,
    ldk::util::persist::{KVStoreSync, migrate_kv_store_data},
    small::{Small, ask_for_channel, mine_funding},
};

const REVOKED: &str = "revoked";
const PAID: &str = "paid";

fn open(folder: &Path) -> Arc<FsStore> {
    Arc::new(FsStore::open(folder, Settings::default()).unwrap())
}

fn kept(kind: &str) -> Keeps {
    if kind == "updates" { Keeps::Updates } else { Keeps::Whole }
}

/// Not a test of its own: what the tests below kill. It pays for as long as it lives, and says what it
/// revokes before the peer hears of it.
#[test]
fn child_process() {
    let Some(told) = Told::here() else { return };
    let keeps = kept(&told.kind);
    let below = Halting::over(open(&told.folder));
    let mut a = Alive::with(1, below.clone(), &keeps);
    let mut b = Alive::new(2, Arc::new(MemStore::new()));
    ask_for_channel(&a.node, &b.node);
    live_until(&mut a, &mut b, |a, _| !a.parts.sent.0.lock().unwrap().is_empty());
    mine_funding(&a.node, &b.node);
    let usable = |node: &Small| node.manager.list_usable_channels().len() == 1;
    live_until(&mut a, &mut b, |a, b| usable(a) && usable(b));
    let mut stored = StrongroomStore::new(below.clone());
    let is_stored = |store: &StrongroomStore| KVStoreSync::read(store, "", "", "manager").is_ok();
    live_until(&mut a, &mut b, |_, _| is_stored(&stored));
    let copy = Arc::new(MemStore::new());
    migrate_kv_store_data(&mut stored, &mut StrongroomStore::new(copy.clone())).unwrap();
    say(keeps_its_channel(copy, &keeps, "at the beginning"));

    below.halt_around(told.halt);
    a.revokes = Box::new(|| say(REVOKED));
    for n in 1.. {
        a.node.pay(&b.node, 3_000_000);
        live_until(&mut a, &mut b, |a, _| a.paid() == n);
        b.node.pay(&a.node, 2_000_000);
        live_until(&mut a, &mut b, |_, b| b.paid() == n);
        say(PAID);
    }
}

/// Runs the processors of both and carries their messages until it is so.
fn live_until(a: &mut Alive, b: &mut Alive, so: impl Fn(&Small, &Small) -> bool) {
    while !so(&a.node, &b.node) {
        // So little that no timer runs out while a disk is waited for.
        for alive in [&mut *a, &mut *b] {
            assert!(alive.processor.pass(Duration::from_millis(20)).is_pending());
        }
        if !(a.deliver(b) | b.deliver(a)) {
            thread::sleep(Duration::from_micros(300));
        }
    }
}

fn start(folder: &TempDir, kind: &str, halt: i64) -> (Process, u64) {
    let test = "of_0_3::killed::child_process";
    let mut process = Process::start(test, folder.path(), kind, halt);
    let number_0 = process.line().unwrap().parse().unwrap();
    (process, number_0)
}

/// Starts the node with what the killed process has left.
fn goes_on(folder: &TempDir, kind: &str, number_0: u64, lines: &[String]) {
    let when = format!("{kind}, after {lines:?}");
    let newest = keeps_its_channel(open(folder.path()), &kept(kind), &when) ^ number_0;
    let revoked = lines.iter().filter(|line| *line == REVOKED).count() as u64;
    assert!(newest >= revoked, "{newest} comes back, {revoked} are revoked: {when}");
}

#[test]
fn a_process_that_is_killed_at_random_closes_no_channel() {
    let mut random = Random::seeded(5);
    for kind in ["whole", "updates"].iter().cycle().take(8) {
        let folder = TempDir::new().unwrap();
        let (mut process, number_0) = start(&folder, kind, 0);
        let mut lines = Vec::new();
        for _ in 0..1 + random.below(12) {
            lines.push(process.line().unwrap());
        }
        thread::sleep(Duration::from_micros(random.below(3000)));
        // What it said and nobody has read yet counts, too.
        lines.extend(process.kill());
        goes_on(&folder, kind, number_0, &lines);
    }
}

/// Whether there is such a write in a payment there and back.
fn killed_before(kind: &str, halt: i64) -> bool {
    let folder = TempDir::new().unwrap();
    let (mut process, number_0) = start(&folder, kind, halt);
    let mut lines = Vec::new();
    while lines.last().is_none_or(|line| line != Halting::SAYS) {
        lines.push(process.line().unwrap());
        if lines.last().is_some_and(|line| line == PAID) {
            return false;
        }
    }
    lines.extend(process.kill());
    goes_on(&folder, kind, number_0, &lines);
    true
}

fn killed_everywhere(kind: &str) {
    // Two at a time.
    let every_second =
        |first| (first..).step_by(2).take_while(|halt| killed_before(kind, *halt)).count();
    let places: usize = thread::scope(|scope| {
        let both = [1, 2].map(|first| scope.spawn(move || every_second(first)));
        both.into_iter().map(|half| half.join().unwrap()).sum()
    });
    println!("{kind}: killed before each of {places} writes, no channel closed");
    assert!(places > 8, "{places}");
}

#[test]
fn a_process_that_is_killed_before_any_write_closes_no_channel() {
    killed_everywhere("whole");
}

#[test]
fn a_process_that_is_killed_before_any_write_of_updates_closes_no_channel() {
    killed_everywhere("updates");
}
