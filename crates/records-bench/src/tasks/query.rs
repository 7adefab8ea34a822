//! Records that are opened and asked for.

use std::{path::Path, time::Instant};

use bench_report::{Result, machine, random::Random};
use records::{KeyRange, ObjectStore, Query, RecordKey};
use serde::{Deserialize, Serialize};

use super::Who;
use crate::{
    activity::{Activity, activity, own, time},
    sqlite::Sqlite,
    tower::Tower,
};

/// What a user waits for.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Queried {
    /// Seconds from nothing to the first answer.
    pub(crate) unlock: f64,
    /// Microseconds for a record by its key.
    pub(crate) get: f64,
    /// For fifty by an index.
    pub(crate) page: f64,
    /// For the newest of an account.
    pub(crate) latest: f64,
    /// For the number of records in a range.
    pub(crate) count: f64,
    /// Bytes of memory that the process has more than before, and at most had.
    pub(crate) memory: u64,
    pub(crate) peak: u64,
}

/// How often each question is asked, each time for something else.
const GETS: usize = 100_000;
const PAGES: usize = 5000;
const LATESTS: usize = 20_000;
const COUNTS: usize = 5000;
/// SQLite walks a range to count it.
const PEER_COUNTS: usize = 50;

pub(super) fn run(who: Who, folder: &Path, records: usize) -> Result<Queried> {
    let before = machine::resident_bytes();
    let begun = Instant::now();
    match who {
        Who::Records(below) => {
            let tower = Tower::open(below, folder)?;
            let unlock = begun.elapsed().as_secs_f64();
            let queried = ours(&tower.records, records, unlock, before)?;
            tower.close()?;
            Ok(queried)
        }
        Who::Peer => {
            let peer = Sqlite::open(folder)?;
            let unlock = begun.elapsed().as_secs_f64();
            let queried = theirs(&peer, records, unlock, before)?;
            peer.close()?;
            Ok(queried)
        }
    }
}

fn ours(
    store: &ObjectStore<Activity>,
    records: usize,
    unlock: f64,
    before: u64,
) -> Result<Queried> {
    let memory = machine::resident_bytes().saturating_sub(before);
    if store.count(&Query::all())? != records {
        return Err("not all records are there".into());
    }
    let get = time_each(GETS, |random| {
        let wanted = activity(random.below(records));
        Ok(move || Ok(found(store.get((1u64, wanted.hash.as_slice()))?.is_some(), 1)))
    })?;
    let page = time_each(PAGES, |random| {
        let (account, until) = (own(random.below(100)), time(random.below(records)));
        Ok(move || {
            let first = RecordKey::from((1u64, account.as_slice()));
            let last = RecordKey::from((1u64, account.as_slice(), until));
            let range = KeyRange::within(&first..=&last);
            let query = Query::index("from").range(range).backward().limit(50);
            Ok(store.query(&query)?.map(|tx| tx.nonce % 2 + 1).sum())
        })
    })?;
    let latest = time_each(LATESTS, |random| {
        let account = own(random.below(100));
        Ok(move || {
            let range = KeyRange::prefix((1u64, account.as_slice()));
            let query = Query::index("to").range(range).backward().limit(1);
            Ok(store.query(&query)?.map(|tx| tx.nonce + 1).sum())
        })
    })?;
    let count = time_each(COUNTS, |random| {
        let (a, b) = (time(random.below(records)), time(random.below(records)));
        Ok(move || {
            let bounds = [(a.min(b),).into(), (a.max(b),).into()];
            let [first, last]: [RecordKey; 2] = bounds;
            let query = Query::index("time").range(KeyRange::within(&first..&last));
            Ok(store.count(&query)? as u64 + 1)
        })
    })?;
    Ok(Queried { unlock, get, page, latest, count, memory, peak: machine::peak_resident_bytes() })
}

fn theirs(peer: &Sqlite, records: usize, unlock: f64, before: u64) -> Result<Queried> {
    // The whole file has been read once: what is compared is memory with memory.
    if peer.count(0, u64::MAX >> 1)? != records {
        return Err("not all records are there".into());
    }
    for account in 0..100 {
        peer.page(1, &own(account), u64::MAX >> 1)?;
    }
    let get = time_each(GETS, |random| {
        let wanted = activity(random.below(records));
        Ok(move || Ok(found(peer.get(1, &wanted.hash)?.is_some(), 1)))
    })?;
    let page = time_each(PAGES, |random| {
        let (account, until) = (own(random.below(100)), time(random.below(records)));
        Ok(move || Ok(peer.page(1, &account, until)?.iter().map(|tx| tx.nonce % 2 + 1).sum()))
    })?;
    let latest = time_each(LATESTS, |random| {
        let account = own(random.below(100));
        Ok(move || Ok(peer.latest(1, &account)?.iter().map(|tx| tx.nonce + 1).sum()))
    })?;
    let count = time_each(PEER_COUNTS, |random| {
        let (a, b) = (time(random.below(records)), time(random.below(records)));
        Ok(move || Ok(peer.count(a.min(b), a.max(b))? as u64 + 1))
    })?;
    let memory = machine::resident_bytes().saturating_sub(before);
    Ok(Queried { unlock, get, page, latest, count, memory, peak: machine::peak_resident_bytes() })
}

fn found(is_there: bool, mark: u64) -> u64 {
    if is_there { mark } else { 0 }
}

/// Microseconds for one of many questions. Each is made up outside the measurement, and its answer
/// is looked at: one that finds nothing is a mistake here.
fn time_each<Ask: FnOnce() -> Result<u64>>(
    times: usize,
    mut make: impl FnMut(&mut Random) -> Result<Ask>,
) -> Result<f64> {
    let mut random = Random::seeded(5);
    let asks = (0..times).map(|_| make(&mut random)).collect::<Result<Vec<_>>>()?;
    let mut answered = 0;
    let begun = Instant::now();
    for ask in asks {
        answered += u64::from(ask()? > 0);
    }
    let micros = begun.elapsed().as_secs_f64() * 1e6 / times.max(1) as f64;
    // The first records of an account may have nobody before them.
    if answered * 100 < times as u64 * 99 {
        return Err("questions without answers".into());
    }
    Ok(micros)
}
