//! Power cuts, kills and failures at every disk call of a workload with rotations, checkpoints, big
//! values, removals, a close and a recovery: what was acknowledged is there, batches are whole, order holds.

#![expect(clippy::unwrap_used, reason = "tests may panic")]

mod common;

use std::io;

use common::{Contents, key, ns, small, verify};
use kv_core::{Batch, KvStore, Namespace, Result};
use kv_fs::{FsStore, Settings, disk::SimDisk};

/// So small that a short workload fills segments and needs checkpoints.
fn tiny() -> Settings {
    let mut settings = small();
    settings.segment_size = 4 << 10;
    settings.checkpoint_after = 5 << 10;
    settings.big_value = 2 << 10;
    settings
}

/// The batches of the workload. The store is closed and opened again at each `None`.
fn workload() -> Vec<Option<Batch>> {
    let (a, b) = (ns("a"), Namespace::reserved("~own", "x").unwrap());
    let mut steps = Vec::new();
    for n in 0u8..14 {
        let name = key(&format!("key-{}", n % 5));
        let mut batch = Batch::new().put(&a, &name, vec![n; 900]).put(&b, &key("count"), &[n]);
        if n % 4 == 1 {
            batch = batch.remove(&a, &key(&format!("key-{}", (n + 2) % 5)));
        }
        if n % 5 == 2 {
            batch = batch.put(&ns("big"), &key(&format!("big-{}", n % 2)), vec![n; 3000]);
        }
        if n == 9 {
            batch = batch.remove(&ns("big"), &key("big-0"));
        }
        steps.push(Some(batch));
        if n == 6 {
            steps.push(None);
        }
    }
    steps.push(None);
    steps
}

/// How far a run came.
#[derive(Debug, Default, Clone, Copy)]
struct Reached {
    acknowledged: usize,
    submitted: usize,
}

fn run(disk: &SimDisk, reached: &mut Reached) -> Result<()> {
    let open = || FsStore::open_on(disk.mount(), tiny());
    let mut store = open()?;
    let mut waiting = Vec::new();
    for step in workload() {
        let Some(batch) = step else {
            store.close()?;
            store = open()?;
            continue;
        };
        let commit = store.submit(batch);
        if let Some(Err(error)) = commit.receipt().outcome() {
            // A refused batch is surely absent; any other error leaves it unknown.
            reached.submitted += usize::from(!error.is_refusal());
            return Err(error);
        }
        waiting.push(commit);
        reached.submitted += 1;
        // Pairs share a flush, so that a torn group occurs.
        if reached.submitted.is_multiple_of(2) {
            for commit in waiting.drain(..) {
                commit.wait()?;
                reached.acknowledged += 1;
            }
        }
    }
    Ok(())
}

/// What the store may hold, by the number of batches in it.
fn expected() -> Vec<Contents> {
    let mut states = vec![Contents::default()];
    for batch in workload().into_iter().flatten() {
        let mut next = states.last().unwrap().clone();
        next.apply(&batch);
        states.push(next);
    }
    states
}

/// Opens the disk again and again; every time the same legal state must be there.
fn check(disk: &SimDisk, reached: Reached, states: &[Contents], what: &str) {
    let mut before: Option<Contents> = None;
    for end in ["crash", "kill", "close"] {
        let store =
            FsStore::open_on(disk.mount(), tiny()).unwrap_or_else(|e| panic!("{what}: {e:?}"));
        let found = Contents::of(&store).unwrap_or_else(|e| panic!("{what}: {e:?}"));
        let allowed = states.get(reached.acknowledged..=reached.submitted).unwrap();
        let at = states.iter().position(|state| *state == found);
        assert!(
            allowed.contains(&found),
            "{what}: {reached:?}, found {at:?}: {found:?} EXPECTED {allowed:?}"
        );
        assert!(before.is_none_or(|before| before == found), "{what}: two openings disagree");
        before = Some(found);
        assert!(!verify(&store).is_damaged(), "{what}: {:?}", verify(&store).findings);
        match end {
            "crash" => disk.crash(),
            "kill" => disk.kill(),
            _ => store.close().unwrap(),
        }
    }
}

/// Counts `n` up until the fault no longer fires.
fn sweep(mut round: impl FnMut(u64) -> bool) -> u64 {
    for n in 1..5000 {
        if !round(n) {
            return n;
        }
    }
    panic!("the fault never stopped firing");
}

#[test]
fn the_workload_does_what_it_is_for() {
    let disk = SimDisk::new();
    let mut reached = Reached::default();
    run(&disk, &mut reached).unwrap();
    assert_eq!(reached.acknowledged, 14);
    let store = FsStore::open_on(disk.mount(), tiny()).unwrap();
    assert_eq!(&Contents::of(&store).unwrap(), expected().last().unwrap());
    assert!(disk.calls() > 200, "{}", disk.calls());
}

#[test]
fn a_power_cut_at_every_call() {
    let states = expected();
    sweep(|n| {
        let (disk, mut reached) = (SimDisk::new(), Reached::default());
        disk.crash_nth(n);
        let outcome = run(&disk, &mut reached);
        let fired = disk.fired();
        disk.crash_nth(0);
        assert!(fired || outcome.is_ok(), "{outcome:?}");
        check(&disk, reached, &states, &format!("power cut at call {n}"));
        fired
    });
}

#[test]
fn a_failure_at_every_call_then_a_kill_then_a_power_cut() {
    let states = expected();
    for kind in [io::ErrorKind::Other, io::ErrorKind::StorageFull] {
        sweep(|n| {
            let (disk, mut reached) = (SimDisk::new(), Reached::default());
            disk.fail_nth(n, kind);
            let outcome = run(&disk, &mut reached);
            let fired = disk.fired();
            assert!(fired || outcome.is_ok(), "{outcome:?}");
            // What a program sees after a failed sync need not be on the disk: the recovery after
            // the kill must not trust it, or the power cut in `check` loses it.
            disk.fail_nth(0, kind);
            disk.kill();
            check(&disk, reached, &states, &format!("{kind} at call {n}"));
            fired
        });
    }
}

#[test]
fn a_power_cut_at_every_call_of_a_recovery() {
    let states = expected();
    for first in (5..400).step_by(9) {
        let (disk, mut reached) = (SimDisk::new(), Reached::default());
        disk.crash_nth(first);
        run(&disk, &mut reached).ok();
        if !disk.fired() {
            return;
        }
        let crashed = disk.copy();
        sweep(|n| {
            let disk = crashed.copy();
            disk.crash_nth(n);
            let store = FsStore::open_on(disk.mount(), tiny());
            let fired = disk.fired();
            disk.crash_nth(0);
            drop(store);
            disk.crash();
            check(&disk, reached, &states, &format!("power cuts at {first}, then {n}"));
            fired && n < 200
        });
    }
}

#[test]
fn a_failure_at_every_call_of_a_recovery() {
    let states = expected();
    for first in (5..400).step_by(17) {
        let (disk, mut reached) = (SimDisk::new(), Reached::default());
        disk.fail_nth(first, io::ErrorKind::Other);
        run(&disk, &mut reached).ok();
        if !disk.fired() {
            return;
        }
        disk.kill();
        sweep(|n| {
            let disk = disk.copy();
            disk.fail_nth(n, io::ErrorKind::Other);
            let store = FsStore::open_on(disk.mount(), tiny());
            let fired = disk.fired();
            disk.fail_nth(0, io::ErrorKind::Other);
            disk.kill();
            drop(store);
            check(&disk, reached, &states, &format!("failures at {first}, then {n}"));
            fired
        });
    }
}
