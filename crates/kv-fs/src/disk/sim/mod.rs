//! A simulated disk for crash tests: it keeps what programs see apart from what a power cut leaves,
//! says what a power cut now might keep or lose, and does any of that.

mod choices;
mod content;
mod crash;
mod fault;
mod medium;
mod mount;
mod names;

use std::{
    io,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

pub use crash::Fate;
use fault::Plan;
pub use fault::{Again, Cause, DiskCall, Fault};
use medium::Medium;
use names::Node;

use super::Disk;

/// A disk in memory. Clones are the same disk; each [`SimDisk::mount`] is one program that uses it.
///
/// What is not synced is *pending*: blocks of files, and changes of names. A power cut may keep any
/// part of it, see [`SimDisk::crash_keeping`]. What a failed sync should have made durable stays
/// pending, but no later sync makes it durable, though programs still see it: as in the page cache
/// of Linux.
///
/// Two things are taken for granted, as the store does: a rename is atomic, and bytes beside the
/// written ones are not harmed.
#[derive(Debug, Clone, Default)]
pub struct SimDisk(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    medium: Medium,
    /// Handles older than this are dead.
    oldest_mount: u64,
    newest_mount: u64,
    locked_by: Option<u64>,
    calls: u64,
    plan: Plan,
    crash_at: Option<u64>,
    fired: bool,
    quota: Option<u64>,
    read_only: bool,
    /// Calls let other threads go first.
    yields: bool,
    /// What the test says of its progress, noted with each crash point.
    progress: u64,
    points: Option<Vec<CrashPoint>>,
}

/// The moment before a call to the disk, as [`SimDisk::record`] notes it. Copies are cheap.
#[derive(Debug, Clone)]
pub struct CrashPoint {
    medium: Medium,
    /// Calls before this moment.
    pub calls: u64,
    /// What [`SimDisk::set_progress`] was told last.
    pub progress: u64,
}

impl CrashPoint {
    /// A disk as it was at this moment, and no program that uses it.
    pub fn disk(&self) -> SimDisk {
        SimDisk::with(self.medium.clone())
    }
}

impl SimDisk {
    /// An empty disk with blocks of 4 KiB.
    pub fn new() -> Self {
        Self::default()
    }

    /// An empty disk with blocks of this many bytes, 512 to 4096.
    pub fn with_blocks(block: usize) -> Self {
        Self::with(Medium::new(block))
    }

    fn with(medium: Medium) -> Self {
        Self(Arc::new(Mutex::new(State { medium, ..State::default() })))
    }

    /// A program's access to the disk, until the next crash or kill.
    pub fn mount(&self) -> Arc<dyn Disk> {
        let mut state = self.state();
        state.newest_mount += 1;
        Arc::new(mount::Mount { disk: self.clone(), id: state.newest_mount })
    }

    /// A power cut: everything pending is gone, and every mount so far is dead.
    pub fn crash(&self) {
        self.crash_keeping(&[]);
    }

    /// A power cut that does this to each pending unit, oldest first; what is not named is lost.
    pub fn crash_keeping(&self, fates: &[Fate]) {
        let mut state = self.state();
        state.kill();
        state.medium.crash(fates);
    }

    /// How many units (blocks of files, changes of names) a power cut might keep or lose.
    pub fn pending(&self) -> usize {
        self.state().medium.units().len()
    }

    /// What a power cut now might do to the pending units: of at most 8 every subset; of more all
    /// prefixes, all singles, all but one, and 64 samples. And torn and zeroed blocks.
    pub fn choices(&self, seed: u64) -> Vec<Vec<Fate>> {
        choices::of(&self.state().medium.units(), seed)
    }

    /// A number that tells disks apart by what is durable on them.
    pub fn fingerprint(&self) -> u64 {
        self.state().medium.fingerprint()
    }

    /// The end of all programs without a power cut: nothing is lost, and every mount so far is dead.
    pub fn kill(&self) {
        self.state().kill();
    }

    /// The system forgets what it has in memory: what a failed sync lost is now seen to be lost.
    pub fn forget_cache(&self) {
        self.state().medium.forget_cache();
    }

    /// Lets the `n`th call from now fail once with an error of this kind (1: the next; 0: none).
    pub fn fail_nth(&self, n: u64, kind: io::ErrorKind) {
        self.fail((n > 0).then(|| Fault::once(n, kind)));
    }

    /// Plans a failure, or forgets it. A failing sync of a file loses what it should have made
    /// durable.
    pub fn fail(&self, fault: Option<Fault>) {
        let mut state = self.state();
        state.fired = false;
        state.plan = Plan::new(fault);
    }

    /// The kind of the call that failed.
    pub fn failed_call(&self) -> Option<DiskCall> {
        self.state().plan.failed()
    }

    /// Cuts the power just before the `n`th call from now (1: the next; 0: never).
    pub fn crash_nth(&self, n: u64) {
        let mut state = self.state();
        state.fired = false;
        state.crash_at = (n > 0).then(|| state.calls + n);
    }

    /// Whether the failure or power cut asked for last has happened.
    pub fn fired(&self) -> bool {
        self.state().fired
    }

    /// How many calls the disk has had.
    pub fn calls(&self) -> u64 {
        self.state().calls
    }

    /// Notes each crash point from now on, the present moment included.
    pub fn record(&self) {
        self.state().points = Some(Vec::new());
    }

    /// Ends the recording: the crash points, the present moment last.
    pub fn recorded(&self) -> Vec<CrashPoint> {
        let mut state = self.state();
        state.note_point();
        state.points.take().unwrap_or_default()
    }

    /// Notes how far the test has come, for the crash points from now on.
    pub fn set_progress(&self, progress: u64) {
        self.state().progress = progress;
    }

    /// Limits the bytes of all files; `None` lifts the limit.
    pub fn set_quota(&self, bytes: Option<u64>) {
        self.state().quota = bytes;
    }

    /// Lets other threads go first before each call, so that what they do meets it at many places.
    /// Without that a call is over before another thread has begun.
    pub fn let_others_go_first(&self) {
        self.state().yields = true;
    }

    /// Makes every change fail, or work again.
    pub fn set_read_only(&self, read_only: bool) {
        self.state().read_only = read_only;
    }

    /// Bytes of all files.
    pub fn used(&self) -> u64 {
        self.state().medium.used()
    }

    /// The paths of all files, ascending.
    pub fn files(&self) -> Vec<String> {
        let state = self.state();
        let files = state.medium.live.iter().filter(|(_, node)| matches!(node, Node::File(_)));
        files.map(|(path, _)| path.to_string()).collect()
    }

    /// The bytes of a file.
    pub fn contents(&self, path: &str) -> Option<Vec<u8>> {
        let state = self.state();
        Some(state.medium.file(path)?.live.read())
    }

    /// Replaces a file's bytes, durably, behind the back of every program; creates it if need be.
    pub fn overwrite(&self, path: &str, bytes: &[u8]) {
        self.state().medium.overwrite(path, bytes);
    }

    /// Removes a file, durably, behind the back of every program.
    pub fn delete(&self, path: &str) {
        self.state().medium.delete(path);
    }

    /// An independent disk with the same contents, durable and not, and no program that uses it.
    pub fn copy(&self) -> Self {
        let state = self.state();
        let copy = Self::with(state.medium.clone());
        (copy.state().quota, copy.state().read_only) = (state.quota, state.read_only);
        copy
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn kill(&mut self) {
        self.oldest_mount = self.newest_mount + 1;
        self.newest_mount += 1;
        self.locked_by = None;
    }

    fn note_point(&mut self) {
        if let Some(points) = &mut self.points {
            let (medium, calls, progress) = (self.medium.clone(), self.calls, self.progress);
            points.push(CrashPoint { medium, calls, progress });
        }
    }
}
