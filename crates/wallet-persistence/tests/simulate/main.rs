//! Two devices and two clouds under seeded schedules: writes, backups, merges, crashes, lost
//! devices, restores, clocks that jump, and clouds that fail and lie. And three devices, with clouds
//! that are honest.
//!
//! `cargo xtask simulate` runs more of them. A failing seed is printed with all that happened.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test panics, and says what it did"
)]

mod backups;
mod content;
mod device;
mod line;
mod medium;
mod merging;
mod oracle;
mod steps;
mod tally;
mod three;
mod world;

use std::{
    env,
    panic::{self, AssertUnwindSafe},
    sync::{
        Mutex,
        atomic::{AtomicU64, Ordering},
    },
    thread,
};

use tally::Tally;
use world::World;

/// How many schedules the tests run; `cargo xtask simulate` asks for more.
const SCHEDULES: u64 = 500;

fn asked(name: &str) -> Option<u64> {
    env::var(name).ok().map(|value| value.parse().unwrap())
}

/// Which simulation: makes the world of a seed.
type Make = fn(u64) -> World;

/// Runs one schedule; what it did, or all that is known of its failure.
fn run(make: Make, seed: u64, talk: bool) -> Result<Tally, String> {
    let mut world = make(seed);
    let outcome = panic::catch_unwind(AssertUnwindSafe(|| {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .unwrap();
        runtime.block_on(world.run())
    }));
    let deeds = world.deeds();
    let broken = match outcome {
        Ok(Ok(())) if !talk => {
            let mut tally = world.tally;
            tally.schedules = 1;
            tally.deeds = deeds.iter().map(|malice| malice.deeds().len() as u64).sum();
            return Ok(tally);
        }
        Ok(Ok(())) => "nothing is wrong".to_owned(),
        Ok(Err(broken)) => broken,
        Err(_) => "a panic".to_owned(),
    };
    Err(format!("{}{deeds:?}\nseed {seed}: {broken}", world.told))
}

#[test]
fn schedules_of_two_devices_and_two_clouds() {
    let (tally, failure) = run_many(World::two);
    println!("{tally}");
    if let Some(failure) = failure {
        panic!("{failure}");
    }
}

#[test]
fn schedules_of_three_devices_and_two_clouds() {
    let (tally, failure) = run_many(World::three);
    println!("{tally}");
    if let Some(failure) = failure {
        panic!("{failure}");
    }
}

/// After so many schedules of a long run it is told how far it has come.
const TELL_EVERY: u64 = 1000;

/// Runs as many schedules as are asked for; what they did, and how the first one failed.
#[expect(clippy::print_stdout, reason = "a long run tells how far it has come")]
fn run_many(make: Make) -> (Tally, Option<String>) {
    let schedules = asked("STRONGROOM_SIMULATE_SCHEDULES").unwrap_or(SCHEDULES);
    let first = asked("STRONGROOM_SIMULATE_SEED").unwrap_or(0);
    let (next, total) = (AtomicU64::new(first), Mutex::new(Tally::default()));
    let failures = Mutex::new(Vec::new());
    let work = || {
        loop {
            let seed = next.fetch_add(1, Ordering::SeqCst);
            if seed >= first + schedules || !failures.lock().unwrap().is_empty() {
                return;
            }
            match run(make, seed, schedules == 1) {
                Ok(tally) => {
                    let mut total = total.lock().unwrap();
                    *total += tally;
                    if total.schedules % TELL_EVERY == 0 {
                        println!("{} of {schedules}, from seed {first} on", total.schedules);
                    }
                }
                Err(failure) => failures.lock().unwrap().push(failure),
            }
        }
    };
    thread::scope(|scope| {
        for _ in 0..thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(work);
        }
    });
    let failure = failures.lock().unwrap().first().cloned();
    (*total.lock().unwrap(), failure)
}

/// Seeds that have found a fault, with what it was.
const FOUND: [(u64, &str); 12] = [
    (704, "a copy from a cloud whose listing lied was taken for whole"),
    (
        1349,
        "a head that was given up, and so was never put into a second cloud, looked like damage",
    ),
    (2350, "of two heads of one millisecond the older one could count, and hide a retirement"),
    (2877, "the schedule took a backup for a promise of what its device had failed to write"),
    (3513, "a device that was shown an older fencing head overwrote the newer one"),
    (4487, "a head before the dump that a cloud began with looked like damage there"),
    (
        4608,
        "what the newest head named was destroyed in its cloud, and an older one of the other cloud \
         was not tried",
    ),
    (5004, "so did one that only the other cloud had got before the device was started again"),
    (5336, "a takeover named a head in a cloud that had not said whether it has it"),
    (8974, "a crash brought back a state that built on what a sweep had deleted (1 run in 30)"),
    (12504, "an older head was restored, since a segment that its dump holds was gone"),
    (
        15933,
        "a number that had left was taken again after a crash, for what changed without an entry",
    ),
];

#[test]
fn schedules_that_have_found_a_fault() {
    run_again(World::two, &FOUND);
}

/// The same of three devices.
const FOUND_BY_THREE: [(u64, &str); 2] = [
    (588, "a wallet that nobody had touched said after a suspension that it was changed"),
    (2018, "who rejoined dropped what it had merged of another one that was passed over like it"),
];

#[test]
fn schedules_of_three_that_have_found_a_fault() {
    run_again(World::three, &FOUND_BY_THREE);
}

fn run_again(make: Make, seeds: &[(u64, &str)]) {
    for (seed, fault) in seeds {
        if let Err(failure) = run(make, *seed, false) {
            panic!("{failure}\nonce it was that {fault}");
        }
    }
}
