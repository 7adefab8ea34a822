//! A server's process: it ends with its owner.

use std::{
    fs::File,
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    path::Path,
    process::{Child, Command, Stdio},
    thread::sleep,
    time::{Duration, Instant},
};

/// A server that has not answered after this time never will.
const PATIENCE: Duration = Duration::from_secs(60);

/// How long a server may take to end.
const GRACE: Duration = Duration::from_secs(2);

/// Ends the process when dropped.
pub(super) struct Process {
    child: Child,
}

impl Process {
    /// Starts a program with its output in a file beside its data, and waits until it takes
    /// connections.
    pub(super) fn start(
        program: &Path,
        args: &[&str],
        data: &Path,
        at: SocketAddr,
    ) -> Result<Self, String> {
        let log = data.with_extension("log");
        let failed = |e: std::io::Error| format!("{}: {e}", program.display());
        let out = File::create(&log).map_err(failed)?;
        let err = out.try_clone().map_err(failed)?;
        let mut command = Command::new(program);
        command.args(args).current_dir(data);
        command.stdin(Stdio::null()).stdout(out).stderr(err);
        let mut process = Self { child: command.spawn().map_err(failed)? };
        let begin = Instant::now();
        while TcpStream::connect(at).is_err() {
            let ended = process.child.try_wait().map_err(failed)?;
            if ended.is_some() || begin.elapsed() > PATIENCE {
                return Err(format!("it does not answer at {at}, see {}", log.display()));
            }
            sleep(Duration::from_millis(50));
        }
        Ok(process)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Asked first, as one with workers ends them then; killed, as some do not end when asked.
        let _ = Command::new("kill").arg(self.child.id().to_string()).status();
        let begin = Instant::now();
        while begin.elapsed() < GRACE && matches!(self.child.try_wait(), Ok(None)) {
            sleep(Duration::from_millis(20));
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A port that nobody uses at this moment.
pub(super) fn free_port() -> Result<SocketAddr, String> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).map_err(|e| e.to_string())?;
    listener.local_addr().map_err(|e| e.to_string())
}

/// Tries until it works, for a while: a server may take connections before it is ready.
pub(super) fn eventually(mut attempt: impl FnMut() -> Result<(), String>) -> Result<(), String> {
    let begin = Instant::now();
    loop {
        match attempt() {
            Err(_) if begin.elapsed() < PATIENCE => sleep(Duration::from_millis(100)),
            other => return other,
        }
    }
}
