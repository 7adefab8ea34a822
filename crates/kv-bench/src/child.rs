//! Parts of rows that need a process of their own: one whose memory is counted, one that is killed.

use std::{
    collections::VecDeque,
    env,
    io::{self, BufRead, BufReader, Read, Write},
    path::Path,
    process::{Command, Stdio},
};

use kv_core::{Batch, KvStore, KvStoreExt};
use kv_fs::{FsStore, Settings};
use serde::{Deserialize, Serialize};

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

/// Does what the parent process asked for.
pub(crate) fn run(task: &Task) -> Result<()> {
    match task {
        Task::Memory { dir } => {
            let memory = measure_memory(dir)?;
            println!("{}", serde_json::to_string(&memory)?);
            Ok(())
        }
        Task::FillLog { dir, hot_keys, bytes } => fill_log(dir, *hot_keys, *bytes),
    }
}

/// Asks a child how much memory an open store takes.
pub(crate) fn memory(dir: &Path) -> Result<Memory> {
    let mut child = Command::new(env::current_exe()?);
    let output = child.args(["child", "memory"]).arg(dir).stderr(Stdio::inherit()).output()?;
    if !output.status.success() {
        return Err(format!("the child that counts memory: {}", output.status).into());
    }
    Ok(serde_json::from_slice(&output.stdout)?)
}

/// Lets a child write this many bytes of small values to the log of a store, then kills it.
pub(crate) fn crash_with_log(dir: &Path, hot_keys: usize, bytes: u64) -> Result<()> {
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
    if line.trim() == READY { Ok(()) } else { Err("the child that fills the log failed".into()) }
}

const READY: &str = "ready";

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

fn fill_log(dir: &Path, hot_keys: usize, bytes: u64) -> Result<()> {
    let mut settings = Settings::default();
    // No checkpoint, so that the log is as full as asked for.
    settings.checkpoint_after = u64::MAX;
    settings.table_budget = usize::MAX / 4;
    let store = FsStore::open(dir, settings)?;
    let (ns, values, mut random) = (namespace()?, Values::new(), Random::seeded(3));
    let names = Name::many(hot_keys)?;
    let mut on_the_way = VecDeque::new();
    for _ in 0..bytes / SMALL as u64 {
        let name = names.get(random.below(names.len())).ok_or("no keys")?;
        let batch = Batch::new().put(&ns, &name.key, values.fresh(&mut random, SMALL));
        on_the_way.push_back(store.submit(batch));
        if on_the_way.len() == 1000 {
            on_the_way.drain(..).try_for_each(kv_core::Commit::wait)?;
        }
    }
    store.flush()?;
    println!("{READY}");
    io::stdout().flush()?;
    // Until killed; should the parent be gone, the pipe ends.
    io::stdin().read_to_end(&mut Vec::new())?;
    std::process::exit(1);
}
