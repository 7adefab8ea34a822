//! Starts and stops the real Ceramic node that `cargo xtask ceramic-node` has installed.

#![expect(clippy::unwrap_used, reason = "a tool of tests panics")]

use std::{
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

/// A js-ceramic node of version 1.11.1 on a port of its own, on loopback and offline. It ends when
/// this is dropped, or with the test.
#[derive(Debug)]
pub struct CeramicNode {
    process: Child,
    port: u16,
    state: PathBuf,
}

impl CeramicNode {
    /// Whether it is installed: tests that need it exist only then.
    pub fn is_installed() -> bool {
        folder().join("node_modules/.package-lock.json").is_file()
    }

    /// Starts a node that keeps its state in a folder, and waits until it answers.
    pub fn start(state: &Path) -> Self {
        Self::start_at(0, state)
    }

    /// Where it answers.
    pub fn address(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Stops it cleanly and starts it again at the same address, with what it has kept.
    pub fn restart(self) -> Self {
        let (port, state) = (self.port, self.state.clone());
        drop(self);
        Self::start_at(port, &state)
    }

    /// Kills it and starts it again at the same address.
    pub fn kill_and_restart(mut self) -> Self {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
        // Its IPFS takes this for the sign of another process for some seconds.
        std::fs::remove_dir_all(self.state.join("ipfs/repo.lock")).unwrap();
        self.restart()
    }

    fn start_at(port: u16, state: &Path) -> Self {
        let mut process = Command::new("node")
            .arg(folder().join("node.cjs"))
            .arg(port.to_string())
            .arg(state)
            // Nothing of the user's settings, and nothing is left there.
            .env("HOME", state)
            .current_dir(state)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(process.stdout.take().unwrap()).lines();
        let port = lines.find_map(|line| line.unwrap().strip_prefix("READY ")?.parse().ok());
        let port = port.expect("the node ended before it was ready");
        // Somebody must read what it says, else it would wait one day.
        std::thread::spawn(move || lines.count());
        Self { process, port, state: state.to_owned() }
    }
}

impl Drop for CeramicNode {
    fn drop(&mut self) {
        // The end of its input is its sign to stop.
        drop(self.process.stdin.take());
        let _ = self.process.wait();
    }
}

/// Where `cargo xtask ceramic-node` puts it.
fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/servers/ceramic")
}
