//! The program under torment: started, stopped, killed, and asked whether its word was kept.

use std::{
    collections::BTreeMap,
    io::{BufRead, BufReader, Write},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex, PoisonError},
    thread::JoinHandle,
};

use crate::run::Step;

/// Threads that write.
const THREADS: &str = "4";

/// Durable batches by thread.
pub(super) type Acks = BTreeMap<u64, u64>;

/// The example `kernel_load` of kv-fs.
#[derive(Debug)]
pub(super) struct Program(pub(super) PathBuf);

impl Program {
    /// Starts to write so many batches per thread; through another program if one is named.
    pub(super) fn write(
        &self,
        through: &[&str],
        dir: &Path,
        batches: u64,
        how: &str,
    ) -> Result<Load, String> {
        let mut words: Vec<&std::ffi::OsStr> = through.iter().map(std::ffi::OsStr::new).collect();
        words.push(self.0.as_os_str());
        let (first, rest) = words.split_first().ok_or("nothing to run")?;
        let mut command = Command::new(first);
        command.args(rest).arg("write").arg(dir).args([THREADS, &batches.to_string(), how]);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.spawn().map_err(|e| e.to_string())?;
        let out = child.stdout.take().ok_or("no pipe")?;
        let acks = Arc::new(Mutex::new(Acks::new()));
        let heard = Arc::clone(&acks);
        let reader = std::thread::spawn(move || {
            for line in BufReader::new(out).lines().map_while(Result::ok) {
                let ack = line.strip_prefix("ack ").and_then(|rest| rest.split_once(' '));
                if let Some((Ok(thread), Ok(n))) = ack.map(|(t, n)| (t.parse(), n.parse())) {
                    heard.lock().unwrap_or_else(PoisonError::into_inner).insert(thread, n);
                }
            }
        });
        Ok(Load { child, reader: Some(reader), acks })
    }

    /// Opens the store, checks it, and answers how many batches it holds.
    pub(super) fn check(&self, dir: &Path, acks: &Acks) -> Result<u64, String> {
        let mut command = Command::new(&self.0);
        command.arg("check").arg(dir).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().map_err(|e| e.to_string())?;
        let mut pipe = child.stdin.take().ok_or("no pipe")?;
        for (thread, n) in acks {
            writeln!(pipe, "ack {thread} {n}").map_err(|e| e.to_string())?;
        }
        drop(pipe);
        let output = child.wait_with_output().map_err(|e| e.to_string())?;
        if !output.status.success() {
            return Err(format!("the check of {} failed, acknowledged: {acks:?}", dir.display()));
        }
        let said = String::from_utf8_lossy(&output.stdout);
        Ok(said.split(' ').next().and_then(|n| n.parse().ok()).unwrap_or(0))
    }

    /// Fills a small file system; answers what the program says about it.
    pub(super) fn fill(&self, dir: &Path) -> Result<String, String> {
        let (program, dir) = (super::shown(&self.0)?, super::shown(dir)?);
        Step::new(&program, &["fill", &dir]).output()
    }
}

/// A running program; killed when dropped.
#[derive(Debug)]
pub(super) struct Load {
    child: Child,
    reader: Option<JoinHandle<()>>,
    acks: Arc<Mutex<Acks>>,
}

impl Load {
    /// What it has acknowledged so far.
    pub(super) fn acks(&self) -> Acks {
        self.acks.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Holds the program still (or lets it go on): no system call of it is under way then.
    pub(super) fn signal(&self, name: &str) -> Result<(), String> {
        Step::new("kill", &[name, &self.child.id().to_string()]).quiet().run()
    }

    /// Ends it without mercy; answers everything it ever acknowledged.
    pub(super) fn kill(mut self) -> Acks {
        self.child.kill().ok();
        self.finish()
    }

    /// Lets it end by itself.
    pub(super) fn finish(&mut self) -> Acks {
        self.child.wait().ok();
        if let Some(reader) = self.reader.take() {
            reader.join().ok();
        }
        self.acks()
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.finish();
    }
}
