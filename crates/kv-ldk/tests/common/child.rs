//! A process to be killed: this test binary once more, with one of its tests, which lives until then.

#![allow(dead_code, unreachable_pub, clippy::allow_attributes, reason = "each test uses its part")]
#![allow(clippy::unwrap_used, reason = "a helper of tests panics")]
#![allow(clippy::print_stderr, reason = "what a child tells its parent")]

use std::{
    env,
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Child, ChildStderr, Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    thread,
};

use kv_core::{Batch, Capabilities, Commit, Key, KvStore, Namespace, Result, Value};

const FOLDER: &str = "STRONGROOM_LDK_TEST_FOLDER";
const KIND: &str = "STRONGROOM_LDK_TEST_KIND";
const HALT: &str = "STRONGROOM_LDK_TEST_HALT";

/// What a child is told.
pub struct Told {
    pub folder: PathBuf,
    pub kind: String,
    /// The batch before which it halts; 0: it does not.
    pub halt: u64,
}

impl Told {
    /// `None` where the test runs as all others do.
    pub fn here() -> Option<Self> {
        let folder = PathBuf::from(env::var_os(FOLDER)?);
        let halt = env::var(HALT).unwrap().parse().unwrap();
        Some(Self { folder, kind: env::var(KIND).unwrap(), halt })
    }
}

/// What a child says, line by line.
pub fn say(line: impl std::fmt::Display) {
    // To standard error, which the test harness leaves alone.
    eprintln!("{line}");
}

/// The child as its parent sees it.
pub struct Process {
    child: Child,
    lines: BufReader<ChildStderr>,
}

impl Process {
    /// `test` is the path of the test in this binary.
    pub fn start(test: &str, folder: &Path, kind: &str, halt: u64) -> Self {
        let mut child = Command::new(env::current_exe().unwrap())
            .args(["--exact", test, "--nocapture"])
            .envs([(FOLDER, folder.as_os_str()), (KIND, kind.as_ref())])
            .env(HALT, halt.to_string())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stderr.take().unwrap());
        Self { child, lines }
    }

    /// The next line, or `None` when the child is dead.
    pub fn line(&mut self) -> Option<String> {
        let mut line = String::new();
        self.lines.read_line(&mut line).unwrap();
        (!line.is_empty()).then(|| line.trim().to_owned())
    }

    /// Kills it (`kill -9`); what it has said before and nobody has read.
    pub fn kill(mut self) -> Vec<String> {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        std::iter::from_fn(|| self.line()).collect()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// A store that comes to a halt before one of its batches: whoever is killed then has written the ones
/// before it and no other.
#[derive(Debug)]
pub struct Halting {
    inner: Arc<dyn KvStore>,
    left: AtomicU64,
}

impl Halting {
    /// What the parent hears when it is time to kill.
    pub const SAYS: &str = "halted";

    pub fn over(inner: Arc<dyn KvStore>) -> Arc<Self> {
        Arc::new(Self { inner, left: AtomicU64::new(0) })
    }

    /// Before the batch of this number from now on; 0: before none.
    pub fn halt_before(&self, batch: u64) {
        self.left.store(batch, Ordering::SeqCst);
    }
}

impl KvStore for Halting {
    fn read(&self, ns: &Namespace, key: &Key) -> Result<Option<Value>> {
        self.inner.read(ns, key)
    }

    fn list(&self, ns: &Namespace, after: Option<&Key>, limit: usize) -> Result<Vec<Key>> {
        self.inner.list(ns, after, limit)
    }

    fn namespaces(&self) -> Result<Vec<Namespace>> {
        self.inner.namespaces()
    }

    fn submit(&self, batch: Batch) -> Commit {
        let down = |left: u64| left.checked_sub(1);
        if self.left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, down) == Ok(1) {
            say(Self::SAYS);
            loop {
                thread::park();
            }
        }
        self.inner.submit(batch)
    }

    fn capabilities(&self) -> Capabilities<'_> {
        self.inner.capabilities()
    }

    fn close(&self) -> Result<()> {
        self.inner.close()
    }
}
