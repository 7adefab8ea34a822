//! A process to be killed: a test binary once more, with one of its tests, which lives until then.

#![expect(clippy::unwrap_used, reason = "a test panics")]
#![expect(clippy::print_stderr, reason = "what a child tells its parent")]

use std::{
    env, fmt,
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Child, ChildStderr, Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    thread,
};

use crate::{Batch, Capabilities, Commit, Key, KvStore, Namespace, Result, Value};

const FOLDER: &str = "STRONGROOM_TEST_FOLDER";
const KIND: &str = "STRONGROOM_TEST_KIND";
const HALT: &str = "STRONGROOM_TEST_HALT";

/// What a child is told.
#[derive(Debug)]
pub struct Told {
    /// Where its store is.
    pub folder: PathBuf,
    /// Whatever its tests make of it.
    pub kind: String,
    /// For [`Halting::halt_around`].
    pub halt: i64,
}

impl Told {
    /// `None` where the test runs as all others do.
    ///
    /// # Panics
    /// If the parent was none of ours.
    pub fn here() -> Option<Self> {
        let folder = PathBuf::from(env::var_os(FOLDER)?);
        let halt = env::var(HALT).unwrap().parse().unwrap();
        Some(Self { folder, kind: env::var(KIND).unwrap(), halt })
    }
}

/// What a child says, line by line.
pub fn say(line: impl fmt::Display) {
    // To standard error, which the test harness leaves alone.
    eprintln!("{line}");
}

/// The child as its parent sees it. It is killed at the latest when this is dropped.
#[derive(Debug)]
pub struct Process {
    child: Child,
    lines: BufReader<ChildStderr>,
}

impl Process {
    /// `test` is the path of the test in this binary.
    ///
    /// # Panics
    /// If it cannot be started.
    pub fn start(test: &str, folder: &Path, kind: &str, halt: i64) -> Self {
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
    ///
    /// # Panics
    /// If it is no text.
    pub fn line(&mut self) -> Option<String> {
        let mut line = String::new();
        self.lines.read_line(&mut line).unwrap();
        (!line.is_empty()).then(|| line.trim().to_owned())
    }

    /// Kills it (`kill -9`); what it has said before and nobody has read.
    ///
    /// # Panics
    /// If it cannot be killed.
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

/// A store that comes to a halt around one of its batches: whoever is killed then has not submitted it, or
/// has submitted it and not waited.
#[derive(Debug)]
pub struct Halting {
    inner: Arc<dyn KvStore>,
    left: AtomicI64,
}

impl Halting {
    /// What the parent hears when it is time to kill.
    pub const SAYS: &str = "halted";

    /// It halts nowhere yet.
    pub fn over(inner: Arc<dyn KvStore>) -> Arc<Self> {
        Arc::new(Self { inner, left: AtomicI64::new(0) })
    }

    /// Before the batch of this number from now on, or behind it if the number is negative; 0: nowhere.
    /// A batch that changes nothing has no number.
    pub fn halt_around(&self, batch: i64) {
        self.left.store(batch, Ordering::SeqCst);
    }

    fn halt() -> ! {
        say(Self::SAYS);
        loop {
            thread::park();
        }
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
        let changes = batch.changes().next().is_some();
        let down = |left: i64| (changes && left != 0).then(|| left - left.signum());
        let left = self.left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, down);
        if left == Ok(1) {
            Self::halt();
        }
        let commit = self.inner.submit(batch);
        if left == Ok(-1) {
            Self::halt();
        }
        commit
    }

    fn capabilities(&self) -> Capabilities<'_> {
        self.inner.capabilities()
    }

    fn close(&self) -> Result<()> {
        self.inner.close()
    }
}
