//! The process is killed while it pays.

use std::{
    env,
    io::{BufRead, BufReader},
    process::{Child, ChildStderr, Command, Stdio},
    sync::Arc,
};

use kv_core::testing::Random;
use kv_fs::{FsStore, Settings};
use kv_ldk::StrongroomStore;
use tempfile::TempDir;

use crate::pair::{Keeps, Pair, load};

const FOLDER: &str = "STRONGROOM_LDK_TEST_FOLDER";

/// Not a test of its own: what [`a_process_that_is_killed_leaves_what_ldk_loads`] kills. It pays for
/// as long as it lives, and says what it revokes before the peer hears of it.
#[test]
fn child_process() {
    let Some(folder) = env::var_os(FOLDER) else { return };
    let store = Arc::new(FsStore::open(folder.as_ref(), Settings::default()).unwrap());
    // Printed to standard error, which the test harness leaves alone.
    let (revoke, idle) = (|| eprintln!("revoked"), || ());
    let pair = Pair::open(Keeps::Whole, store, &revoke, &idle);
    eprintln!("{}", pair.number());
    loop {
        pair.pay_both_ways(1);
    }
}

struct Process {
    child: Child,
    lines: BufReader<ChildStderr>,
}

impl Process {
    fn start(folder: &TempDir) -> Self {
        let mut child = Command::new(env::current_exe().unwrap())
            .args(["--exact", "killed::child_process", "--nocapture"])
            .env(FOLDER, folder.path())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stderr.take().unwrap());
        Self { child, lines }
    }

    fn line(&mut self) -> Option<String> {
        let mut line = String::new();
        self.lines.read_line(&mut line).unwrap();
        (!line.is_empty()).then(|| line.trim().to_owned())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

#[test]
fn a_process_that_is_killed_leaves_what_ldk_loads() {
    let mut random = Random::seeded(9);
    for _ in 0..10 {
        let folder = TempDir::new().unwrap();
        let mut process = Process::start(&folder);
        let number_0 = process.line().unwrap().parse().unwrap();
        let mut revoked = 0;
        for _ in 0..1 + random.below(12) {
            assert_eq!(process.line().unwrap(), "revoked");
            revoked += 1;
        }
        process.child.kill().unwrap();
        process.child.wait().unwrap();
        // What it said and nobody has read yet counts, too.
        while process.line().is_some() {
            revoked += 1;
        }
        let store = Arc::new(FsStore::open(folder.path(), Settings::default()).unwrap());
        load(Keeps::Whole, StrongroomStore::new(store), number_0, revoked);
    }
}
