//! Parts of rows that need a process of their own: one whose memory is counted, one that is killed.

use std::{
    env, fs,
    io::{self, BufRead, BufReader, Read, Write},
    path::Path,
    process::{Command, Stdio},
    time::Instant,
};

use kv_core::{Batch, KvStore};
use kv_fs::{FsStore, Settings};
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use crate::{
    Result,
    bench::SMALL,
    contestants::open_fs,
    machine, memory,
    names::{Name, namespace},
    options::Task,
    values::{Random, Values},
};

/// What opening a store took of memory, in bytes.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Memory {
    /// Allocated and not freed.
    pub(crate) live: i64,
    /// What the process has more than before.
    pub(crate) resident: i64,
    /// The most it had more than before.
    pub(crate) peak: i64,
}

/// What opening a store took.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Opened {
    pub(crate) seconds: f64,
    /// Bytes that the process had at most more than before.
    pub(crate) peak: i64,
}

/// Does what the parent process asked for.
pub(crate) fn run(task: &Task) -> Result<()> {
    match task {
        Task::Memory { dir } => {
            let memory = measure_memory(dir)?;
            println!("{}", serde_json::to_string(&memory)?);
            Ok(())
        }
        Task::Open { dir } => {
            let opened = measure_open(dir)?;
            println!("{}", serde_json::to_string(&opened)?);
            Ok(())
        }
        Task::FillLog { dir, hot_keys, bytes } => fill_log(dir, *hot_keys, *bytes),
    }
}

/// Asks a child how much memory an open store takes.
pub(crate) fn memory(dir: &Path) -> Result<Memory> {
    ask("memory", dir)
}

/// Lets a child open a store and put everything away cleanly.
pub(crate) fn open(dir: &Path) -> Result<Opened> {
    ask("open", dir)
}

fn ask<T: DeserializeOwned>(task: &str, dir: &Path) -> Result<T> {
    let mut child = Command::new(env::current_exe()?);
    let output = child.args(["child", task]).arg(dir).stderr(Stdio::inherit()).output()?;
    if !output.status.success() {
        return Err(format!("the child for `{task}`: {}", output.status).into());
    }
    Ok(serde_json::from_slice(&output.stdout)?)
}

/// Lets a child write small values until the log of a store has this many bytes, then kills it.
/// Answers how many it has.
pub(crate) fn crash_with_log(dir: &Path, hot_keys: usize, bytes: u64) -> Result<u64> {
    let mut child = Command::new(env::current_exe()?)
        .args(["child", "fill-log"])
        .arg(dir)
        .args([hot_keys.to_string(), bytes.to_string()])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()?;
    let mut line = String::new();
    let stdout = child.stdout.take().ok_or("no pipe")?;
    let heard = BufReader::new(stdout).read_line(&mut line);
    child.kill()?;
    child.wait()?;
    heard?;
    line.trim().parse().map_err(|_| "the child that fills the log failed".into())
}

fn measure_memory(dir: &Path) -> Result<Memory> {
    memory::count();
    let (live, resident) = (memory::live(), machine::resident_bytes());
    let store = open_fs(dir)?;
    let memory = Memory {
        live: (memory::live() - live) as i64,
        resident: machine::resident_bytes() as i64 - resident as i64,
        peak: machine::peak_resident_bytes() as i64 - resident as i64,
    };
    store.close()?;
    Ok(memory)
}

fn measure_open(dir: &Path) -> Result<Opened> {
    let resident = machine::resident_bytes();
    let start = Instant::now();
    let store = open_fs(dir)?;
    let seconds = start.elapsed().as_secs_f64();
    let peak = machine::peak_resident_bytes() as i64 - resident as i64;
    store.close()?;
    Ok(Opened { seconds, peak })
}

/// Bytes of the segments of a store's log. The last one may not be full.
fn log_bytes(dir: &Path) -> Result<u64> {
    let mut bytes = 0;
    for entry in fs::read_dir(dir.join("~strongroom/v1.tmp"))? {
        let entry = entry?;
        if entry.file_name().to_string_lossy().starts_with("log-") {
            bytes += entry.metadata()?.len();
        }
    }
    Ok(bytes)
}

fn fill_log(dir: &Path, hot_keys: usize, bytes: u64) -> Result<()> {
    let mut settings = Settings::default();
    // No checkpoint, so that the log is as full as asked for.
    settings.checkpoint_after = u64::MAX;
    settings.table_budget = usize::MAX / 4;
    let store = FsStore::open(dir, settings)?;
    let (ns, values, mut random) = (namespace()?, Values::new(), Random::seeded(3));
    let names = Name::many(hot_keys)?;
    let mut on_the_way = Vec::new();
    while log_bytes(dir)? < bytes {
        for _ in 0..1000 {
            let name = names.get(random.below(names.len())).ok_or("no keys")?;
            let batch = Batch::new().put(&ns, &name.key, values.fresh(&mut random, SMALL));
            on_the_way.push(store.submit(batch));
        }
        on_the_way.drain(..).try_for_each(kv_core::Commit::wait)?;
    }
    println!("{}", log_bytes(dir)?);
    io::stdout().flush()?;
    // Until killed; should the parent be gone, the pipe ends.
    io::stdin().read_to_end(&mut Vec::new())?;
    std::process::exit(1);
}
