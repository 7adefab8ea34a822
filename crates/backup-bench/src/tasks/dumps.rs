//! Dumps of a wallet in memory: full, and of 1 % of its records.

use std::{path::Path, time::Instant};

use kv_core::{Batch, Change};
use serde::{Deserialize, Serialize};
use wallet_persistence::{DumpKind, DumpReport, Session};

use crate::{Result, data, machine, random::Random, wallet};

/// All of them, round by round.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Dumps {
    /// The first backup of the wallet.
    pub(crate) first: Dumped,
    /// Full ones, before each of the others.
    pub(crate) full: Vec<Dumped>,
    /// After changes all over the wallet.
    pub(crate) scattered: Vec<Dumped>,
    /// After changes of neighbours.
    pub(crate) together: Vec<Dumped>,
}

/// One of them.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Dumped {
    pub(crate) seconds: f64,
    /// Of processor time, of all threads.
    pub(crate) processor: f64,
    /// Bytes of the values in it.
    pub(crate) plain: u64,
    /// Bytes of their keys.
    pub(crate) keys: u64,
    /// Bytes put.
    pub(crate) bytes: u64,
}

/// Batches of changes between two segments, as a second of load would leave.
const SEGMENT: usize = 1000;
/// Changes in a batch.
const CHANGES: usize = 10;

pub(super) fn cloud(cloud: &Path, records: usize) -> Result<()> {
    let cloud = wallet::cloud(cloud)?;
    wallet::run(async {
        let wallet = wallet::in_memory().cloud(cloud).settings(wallet::by_hand()).build();
        let session = wallet.create(&wallet::root()).await?;
        wallet::fill_session(&session, records).await?;
        session.post_backup().await?;
        Ok(session.lock().await?)
    })
}

pub(super) fn run(cloud: &Path, records: usize, rounds: usize) -> Result<Dumps> {
    let cloud = wallet::cloud(cloud)?;
    wallet::run(async {
        let wallet = wallet::in_memory().cloud(cloud).settings(wallet::by_hand()).build();
        let session = wallet.create(&wallet::root()).await?;
        wallet::fill_session(&session, records).await?;
        eprintln!("filled a wallet with {records} records");
        let mut dumps = Dumps::default();
        let (begun, cpu) = (Instant::now(), machine::cpu_seconds());
        let report = session.post_backup().await?;
        let (seconds, processor) = (begun.elapsed().as_secs_f64(), machine::cpu_seconds() - cpu);
        let plain = (records * data::RECORD) as u64;
        let keys = (records * data::KEY) as u64;
        dumps.first = Dumped { seconds, processor, plain, keys, bytes: report.bytes };
        let ordered = in_order(records)?;
        let mut shuffled = ordered.clone();
        let mut random = Random::seeded(11);
        let count = records / 100;
        for round in 0..rounds {
            for scattered in [round % 2 == 0, round % 2 != 0] {
                dumps.full.push(dump(&session, DumpKind::Full).await?);
                let changed: Vec<usize> = if scattered {
                    (0..count).for_each(|at| shuffled.swap(at, at + random.below(records - at)));
                    shuffled.iter().take(count).copied().collect()
                } else {
                    let first = random.below(records - count);
                    ordered.iter().skip(first).take(count).copied().collect()
                };
                change(&session, &changed, (round * 2 + usize::from(scattered) + 1) as u64).await?;
                let dumped = dump(&session, DumpKind::Delta).await?;
                eprintln!(
                    "round {}: full {:.2} s, 1 % {} {:.3} s",
                    round + 1,
                    dumps.full.last().map_or(0.0, |full| full.seconds),
                    if scattered { "scattered" } else { "together" },
                    dumped.seconds
                );
                if scattered { &mut dumps.scattered } else { &mut dumps.together }.push(dumped);
            }
        }
        session.lock().await?;
        Ok(dumps)
    })
}

/// Full dumps of values as large as the state of a channel.
pub(super) fn large(cloud: &Path, values: usize, rounds: usize) -> Result<Vec<Dumped>> {
    let cloud = wallet::cloud(cloud)?;
    wallet::run(async {
        let wallet = wallet::in_memory().cloud(cloud).settings(wallet::by_hand()).build();
        let session = wallet.create(&wallet::root()).await?;
        let (kv, ns) = (session.kv()?, data::namespace()?);
        for number in 0..values {
            let value = data::large_value(number);
            kv.submit(Batch::new().put(&ns, &data::key(number)?, value)).await?;
        }
        session.post_backup().await?;
        let mut dumps = Vec::new();
        for _ in 0..rounds {
            dumps.push(dump(&session, DumpKind::Full).await?);
        }
        session.lock().await?;
        Ok(dumps)
    })
}

/// The numbers of the records in the order in which the store holds them.
fn in_order(records: usize) -> Result<Vec<usize>> {
    let mut keys = (0..records).map(|n| Ok((data::key(n)?, n))).collect::<Result<Vec<_>>>()?;
    keys.sort_unstable();
    Ok(keys.into_iter().map(|(_, number)| number).collect())
}

/// Writes these records anew, and backs them up in segments as a background task would.
async fn change(session: &Session, numbers: &[usize], version: u64) -> Result<()> {
    let (kv, ns) = (session.kv()?, data::namespace()?);
    for segment in numbers.chunks(SEGMENT) {
        for changes in segment.chunks(CHANGES) {
            let mut batch = Batch::new();
            for number in changes {
                let value = data::value(*number, version);
                batch.insert(ns.clone(), data::key(*number)?, Change::Put(value.into()));
            }
            kv.submit(batch).await?;
        }
        session.post_backup().await?;
    }
    Ok(())
}

/// A dump, timed.
pub(super) async fn dump(session: &Session, kind: DumpKind) -> Result<Dumped> {
    let (begun, cpu) = (Instant::now(), machine::cpu_seconds());
    let report: DumpReport = session.dump(kind).await?;
    let (seconds, processor) = (begun.elapsed().as_secs_f64(), machine::cpu_seconds() - cpu);
    if report.kind != kind {
        return Err(format!("a {kind:?} dump was wanted and a {:?} one made", report.kind).into());
    }
    let (plain, keys) = (report.value_bytes, report.entries * data::KEY as u64);
    Ok(Dumped { seconds, processor, plain, keys, bytes: report.bytes })
}
