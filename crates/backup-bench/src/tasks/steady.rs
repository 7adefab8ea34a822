//! A steady load: so many changes a second, each a batch of its own, while backups go on behind.

use std::{
    path::PathBuf,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst},
    },
    thread,
    time::{Duration, Instant},
};

use kv_core::{Batch, KvStore};
use serde::{Deserialize, Serialize};
use tokio::{sync::broadcast::error::RecvError, task::JoinHandle};
use wallet_persistence::{Event, Session};

use crate::{
    Result,
    counting::{Counting, Put},
    data, machine,
    random::Random,
    wallet,
};

/// What to do.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Load {
    /// The wallet's folder.
    pub(crate) folder: PathBuf,
    /// Where to back it up.
    pub(crate) cloud: Option<PathBuf>,
    pub(crate) seconds: u64,
    /// Changes per second.
    pub(crate) changes: u64,
    /// How many records there are, of which any is written anew.
    pub(crate) records: usize,
}

/// What it took.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Steady {
    /// Processor time by wall time.
    pub(crate) cpu: f64,
    /// The same without any change, backups included.
    pub(crate) idle_cpu: f64,
    /// Changes made per second.
    pub(crate) changes: f64,
    /// The age of the oldest change that is not in the cloud, in milliseconds, every few.
    pub(crate) ages: Vec<f64>,
    /// How often it was looked at, per second.
    pub(crate) looks: f64,
    /// Bytes put in segments and heads.
    pub(crate) put: u64,
    /// Bytes put in dumps meanwhile.
    pub(crate) dumps: u64,
    /// What zstd alone makes of the changed names and values, segment by segment.
    pub(crate) zstd: u64,
    /// How many bytes padding may add to that.
    pub(crate) padding: u64,
    pub(crate) segments: usize,
}

/// How often to look at the age of the oldest change.
const LOOK: Duration = Duration::from_millis(10);

/// One change and when it was made.
#[derive(Debug, Clone, Copy)]
struct Made {
    number: usize,
    at: Instant,
}

pub(super) fn run(load: &Load) -> Result<Steady> {
    wallet::run(async {
        let mut builder = wallet::in_folder(&load.folder);
        let mut put = Arc::new(Put::default());
        if let Some(cloud) = &load.cloud {
            let counting = Counting::new(wallet::cloud(cloud)?);
            put = counting.put.clone();
            builder = builder.cloud(Arc::new(counting));
        }
        let session = builder.build().create(&wallet::root()).await?;
        wallet::fill_session(&session, load.records).await?;
        if load.cloud.is_some() {
            session.post_backup().await?;
        }
        // Checkpoints and whatever else the filling has left.
        tokio::time::sleep(Duration::from_secs(2)).await;
        let idle = Meter::start();
        tokio::time::sleep(Duration::from_secs(load.seconds.min(5))).await;
        let idle_cpu = idle.stop();
        let steady = under_load(&session, load, &put, idle_cpu).await?;
        session.lock().await?;
        Ok(steady)
    })
}

async fn under_load(session: &Session, load: &Load, put: &Put, idle_cpu: f64) -> Result<Steady> {
    let total = usize::try_from(load.changes * load.seconds)?;
    let made: Arc<Mutex<Vec<Made>>> = Arc::new(Mutex::new(Vec::with_capacity(total)));
    let (in_cloud, ended) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicBool::new(false)));
    let before = session.status()?.sequence;
    let (put_before, dumps_before) = (put.changes.load(SeqCst), put.dumps.load(SeqCst));
    let mut events = session.events();
    let acknowledged = in_cloud.clone();
    let listening: JoinHandle<Result<Vec<usize>>> = tokio::spawn(async move {
        let mut cuts: Vec<usize> = Vec::new();
        while acknowledged.load(SeqCst) < total {
            match events.recv().await {
                Ok(Event::BackedUp { sequence, .. }) => {
                    let cut = usize::try_from(sequence.saturating_sub(before))?;
                    acknowledged.store(cut, SeqCst);
                    cuts.push(cut);
                }
                Ok(Event::BackupFailed { reason } | Event::DumpFailed { reason }) => {
                    return Err(reason.into());
                }
                Ok(_) | Err(RecvError::Lagged(_)) => {}
                Err(RecvError::Closed) => return Err("the wallet was locked".into()),
            }
        }
        Ok(cuts)
    });
    let meter = Meter::start();
    let (kv, changes, records) = (session.kv()?, load.changes, load.records);
    let (noting, over) = (made.clone(), ended.clone());
    let writing = thread::spawn(move || {
        let outcome = write(&*kv, changes, total, records, &noting);
        over.store(true, SeqCst);
        outcome
    });
    let mut ages = Vec::new();
    while !ended.load(SeqCst) {
        tokio::time::sleep(LOOK).await;
        let oldest = {
            let made = made.lock().unwrap_or_else(PoisonError::into_inner);
            made.get(in_cloud.load(SeqCst)).map(|made| made.at)
        };
        ages.push(oldest.map_or(0.0, |at| at.elapsed().as_secs_f64() * 1e3));
    }
    let seconds = meter.begun.elapsed().as_secs_f64();
    let cpu = meter.stop();
    writing.join().map_err(|_| "the writer panicked")??;
    let looks = ages.len() as f64 / seconds;
    let mut steady = Steady {
        cpu,
        idle_cpu,
        changes: total as f64 / seconds,
        ages,
        looks,
        put: 0,
        dumps: 0,
        zstd: 0,
        padding: 0,
        segments: 0,
    };
    if load.cloud.is_none() {
        listening.abort();
        return Ok(steady);
    }
    let cuts = listening.await??;
    steady.put = put.changes.load(SeqCst) - put_before;
    steady.dumps = put.dumps.load(SeqCst) - dumps_before;
    if session.status()?.sequence != before + total as u64 {
        return Err("each change should have had one number".into());
    }
    let made = std::mem::take(&mut *made.lock().unwrap_or_else(PoisonError::into_inner));
    let mut from = 0;
    for to in cuts {
        let compressed = compress(made.get(from..to).unwrap_or_default(), from)?;
        steady.zstd += compressed;
        steady.padding += backup::padme(compressed) - compressed;
        steady.segments += 1;
        from = to;
    }
    Ok(steady)
}

/// Writes one record after the other, each at its time whatever happened to the others.
fn write(
    kv: &dyn KvStore,
    changes: u64,
    total: usize,
    records: usize,
    made: &Mutex<Vec<Made>>,
) -> Result<()> {
    let (ns, mut random) = (data::namespace()?, Random::seeded(5));
    let begun = Instant::now();
    let mut last = None;
    for change in 0..total {
        let due = begun + Duration::from_secs_f64(change as f64 / changes as f64);
        thread::sleep(due.saturating_duration_since(Instant::now()));
        let number = random.below(records);
        let value = data::value(number, change as u64 + 1);
        let batch = Batch::new().put(&ns, &data::key(number)?, value);
        let at = Instant::now();
        made.lock().unwrap_or_else(PoisonError::into_inner).push(Made { number, at });
        // It is synced behind; a failure shows in the last one, too.
        last = Some(kv.submit(batch));
    }
    Ok(last.map_or(Ok(()), kv_core::Commit::wait)?)
}

/// What zstd makes of these changes: of each record the last one, by name.
fn compress(made: &[Made], first: usize) -> Result<u64> {
    let mut changed = std::collections::BTreeMap::new();
    for (change, made) in (first..).zip(made) {
        changed.insert(data::key(made.number)?, data::value(made.number, change as u64 + 1));
    }
    let mut plain = Vec::new();
    for (key, value) in changed {
        plain.extend_from_slice(key.as_str().as_bytes());
        plain.extend_from_slice(&value);
    }
    Ok(zstd::bulk::compress(&plain, 3)?.len() as u64)
}

/// Processor time by wall time.
struct Meter {
    begun: Instant,
    cpu: f64,
}

impl Meter {
    fn start() -> Self {
        Self { begun: Instant::now(), cpu: machine::cpu_seconds() }
    }

    fn stop(self) -> f64 {
        (machine::cpu_seconds() - self.cpu) / self.begun.elapsed().as_secs_f64()
    }
}
