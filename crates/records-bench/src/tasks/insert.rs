//! Records that are written: one by one, and in batches of a thousand.

use std::{collections::VecDeque, fs, path::Path, time::Instant};

use bench_report::Result;
use kv_core::Commit;
use records::ObjectStore;
use serde::{Deserialize, Serialize};

use super::Who;
use crate::{
    activity::{Activity, activity},
    sqlite::Sqlite,
    tower::Tower,
};

/// How many records a batch has.
const BATCH: usize = 1000;

/// After so many, a wallet's backup has caught up.
const BACKED_UP: usize = 100_000;

/// How many commits one thread keeps in flight.
const IN_FLIGHT: usize = 1000;

/// Durable records in a second.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Inserted {
    /// One by one; ours with many in flight, since a commit need not be waited for.
    pub(crate) single: f64,
    /// In batches of a thousand.
    pub(crate) batches: f64,
}

pub(super) fn fill(who: Who, folder: &Path, records: usize) -> Result<()> {
    match who {
        Who::Records(below) => {
            let tower = Tower::open(below, folder)?;
            for from in (0..records).step_by(BACKED_UP) {
                put_batches(&tower.records, from, records.min(from + BACKED_UP))?;
                tower.is_backed_up()?;
            }
            tower.close()
        }
        Who::Peer => {
            let mut peer = Sqlite::open(folder)?;
            peer_batches(&mut peer, 0, records)?;
            peer.close()
        }
    }
}

pub(super) fn run(who: Who, folder: &Path, records: usize) -> Result<Inserted> {
    // SQLite syncs for each: a tenth is enough.
    let singles = if who == Who::Peer { records / 10 } else { records };
    fs::create_dir_all(folder)?;
    let per_second = |count: usize, begun: Instant| count as f64 / begun.elapsed().as_secs_f64();
    match who {
        Who::Records(below) => {
            let tower = Tower::open(below, folder)?;
            let begun = Instant::now();
            put_singles(&tower.records, 0, singles)?;
            let single = per_second(singles, begun);
            let begun = Instant::now();
            put_batches(&tower.records, singles, singles + records)?;
            let batches = per_second(records, begun);
            tower.close()?;
            Ok(Inserted { single, batches })
        }
        Who::Peer => {
            let mut peer = Sqlite::open(folder)?;
            let begun = Instant::now();
            for number in 0..singles {
                peer.put([activity(number)].into_iter())?;
            }
            let single = per_second(singles, begun);
            let begun = Instant::now();
            peer_batches(&mut peer, singles, singles + records)?;
            let batches = per_second(records, begun);
            peer.close()?;
            Ok(Inserted { single, batches })
        }
    }
}

fn put_singles(store: &ObjectStore<Activity>, from: usize, to: usize) -> Result<()> {
    let mut in_flight: VecDeque<Commit> = VecDeque::new();
    for number in from..to {
        in_flight.push_back(store.put(&activity(number))?);
        if in_flight.len() > IN_FLIGHT
            && let Some(oldest) = in_flight.pop_front()
        {
            oldest.wait()?;
        }
    }
    in_flight.into_iter().try_for_each(|commit| Ok(commit.wait()?))
}

fn put_batches(store: &ObjectStore<Activity>, from: usize, to: usize) -> Result<()> {
    let mut last: Option<Commit> = None;
    for start in (from..to).step_by(BATCH) {
        let batch: Vec<Activity> = (start..to.min(start + BATCH)).map(activity).collect();
        // The next batch is made while this one is on its way.
        if let Some(commit) = last.replace(store.put_many(&batch)?) {
            commit.wait()?;
        }
    }
    Ok(last.map_or(Ok(()), Commit::wait)?)
}

fn peer_batches(peer: &mut Sqlite, from: usize, to: usize) -> Result<()> {
    for start in (from..to).step_by(BATCH) {
        peer.put((start..to.min(start + BATCH)).map(activity))?;
    }
    Ok(())
}
