//! Power cuts that keep any part of what was not synced: at every call to the disk of every short
//! workload and of random long ones, during the recovery from that, and during that recovery.
//!
//! No threads serve these stores, so that a seed makes the same calls again. In one test they do.
//!
//! `STRONGROOM_CRASH_SEED` sets the seed (a failure prints the one that finds it again at once) and
//! `STRONGROOM_CRASH_SECONDS` lets the random workloads go on for so long.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests may panic")]

#[path = "../common/mod.rs"]
mod common;
mod explore;
mod workload;

use std::{
    env,
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    thread,
    time::{Duration, Instant},
};

use explore::{Explorer, Tried};
use workload::{Op, Plan, Prelude, Wait};

/// Fewer distinct states than this and the tests have become weak.
const AT_LEAST: u64 = 200_000;
const AT_LEAST_RANDOM: u64 = 60_000;
const AT_LEAST_SERVED: u64 = 10_000;

fn number(name: &str) -> Option<u64> {
    let text = env::var(name).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{name} takes a number, not {text:?}")))
}

/// Runs `work` for the numbers from `first` on, on all cores, until it answers `None`.
fn on_all_cores(first: u64, work: impl Fn(u64) -> Option<Tried> + Sync) -> Tried {
    let next = AtomicU64::new(first);
    let cores = thread::available_parallelism().map_or(2, Into::into);
    let worker = || {
        let mut tried = Tried::default();
        while let Some(more) = work(next.fetch_add(1, Relaxed)) {
            tried += more;
        }
        tried
    };
    thread::scope(|scope| {
        let workers: Vec<_> = (0..cores).map(|_| scope.spawn(worker)).collect();
        let mut tried = Tried::default();
        for worker in workers {
            match worker.join() {
                Ok(more) => tried += more,
                Err(panic) => std::panic::resume_unwind(panic),
            }
        }
        tried
    })
}

/// All workloads of one to three operations, from each prelude, waiting for each or for all.
fn short_plans() -> Vec<Plan> {
    let mut workloads: Vec<Vec<Op>> = vec![Vec::new()];
    let mut plans = Vec::new();
    for _ in 0..3 {
        let longer = |ops: &Vec<Op>| Op::ALL.map(|op| [ops.as_slice(), &[op]].concat());
        workloads = workloads.iter().flat_map(longer).collect();
        for ops in &workloads {
            for prelude in [Prelude::Room, Prelude::EndOfSegment] {
                for wait in [Wait::Each, Wait::AtTheEnd] {
                    // One operation is waited for either way.
                    if ops.len() > 1 || wait == Wait::Each {
                        for block in [512, 4096] {
                            plans.push(Plan::short(prelude, ops.clone(), wait, block));
                        }
                    }
                }
            }
        }
    }
    plans
}

#[test]
fn every_crash_state_of_every_short_workload() {
    let begun = Instant::now();
    let plans = short_plans();
    assert_eq!(plans.len(), (6 * 2 + (36 + 216) * 4) * 2);
    let seed = number("STRONGROOM_CRASH_SEED").unwrap_or(1);
    let tried = on_all_cores(0, |n| {
        let plan = plans.get(usize::try_from(n).ok()?)?;
        Some(Explorer::new(seed, n).explore(plan))
    });
    println!("{} workloads: {tried} in {:?}", plans.len(), begun.elapsed());
    assert!(tried.states >= AT_LEAST, "{tried}");
}

#[test]
fn crash_states_of_random_long_workloads() {
    let begun = Instant::now();
    let seconds = number("STRONGROOM_CRASH_SECONDS").map(Duration::from_secs);
    let seed = number("STRONGROOM_CRASH_SEED");
    let first = seed.unwrap_or(1);
    let tried = on_all_cores(first, |n| {
        let goes_on = match (seconds, seed) {
            (Some(limit), _) => begun.elapsed() < limit,
            (None, Some(only)) => n == only,
            (None, None) => n < first + 30,
        };
        goes_on.then(|| Explorer::new(n, 0).explore(&Plan::random(n)))
    });
    println!("random workloads from seed {first}: {tried} in {:?}", begun.elapsed());
    // Of one seed, or in a given time, it is what it is.
    let least =
        if seconds.or(seed.map(|_| Duration::ZERO)).is_none() { AT_LEAST_RANDOM } else { 1 };
    assert!(tried.states >= least, "{tried}");
}

/// Here checkpoints run beside flushes. Which calls meet is another matter each time, so that a seed
/// finds a failure again only by luck.
#[test]
fn crash_states_while_threads_serve_the_store() {
    let begun = Instant::now();
    let first = number("STRONGROOM_CRASH_SEED").unwrap_or(1);
    let plans = 24;
    let tried = on_all_cores(first, |n| {
        (n < first + plans).then(|| Explorer::new(n, 0).explore(&Plan::served(n)))
    });
    println!("{plans} workloads with threads from seed {first}: {tried} in {:?}", begun.elapsed());
    assert!(tried.states >= AT_LEAST_SERVED, "{tried}");
}
