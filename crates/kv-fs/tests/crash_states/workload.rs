//! What is done to a store while the power may be cut, and what may be in it afterwards.

use std::io;

use kv_core::{Batch, Commit, Key, KvStore, Namespace, Result, testing::Random};
use kv_fs::{
    FsStore, Settings,
    disk::{Again, Cause, CrashPoint, DiskCall, Fault, SimDisk},
};

use crate::common::{Contents, key, ns, small};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Op {
    Write,
    Overwrite,
    Remove,
    Batch,
    Checkpoint,
    Big,
    /// Only in random workloads.
    Reopen,
}

impl Op {
    pub(crate) const ALL: [Self; 6] =
        [Self::Write, Self::Overwrite, Self::Remove, Self::Batch, Self::Checkpoint, Self::Big];
}

/// How full the log is when the workload begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Prelude {
    /// The whole workload fits into the segment.
    Room,
    /// The next batch begins another segment.
    EndOfSegment,
    /// Nothing was done, the store is new.
    Empty,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wait {
    Each,
    /// So that a flush takes several batches.
    AtTheEnd,
}

#[derive(Debug, Clone)]
pub(crate) struct Plan {
    prelude: Prelude,
    /// What is done, and whether its end is waited for before the next.
    ops: Vec<(Op, Wait)>,
    /// Power cuts before this operation are left to shorter workloads.
    crash_from: usize,
    pub(crate) block: usize,
    pub(crate) segment: usize,
    /// Checkpoints sync the disk as a whole.
    at_once: bool,
    /// Threads serve the store: checkpoints run while batches are flushed, in an order that is
    /// another one each time.
    served: bool,
}

/// A workload that was carried out.
pub(crate) struct Story {
    pub(crate) points: Vec<CrashPoint>,
    /// What the store holds after so many batches.
    states: Vec<Contents>,
}

impl Plan {
    pub(crate) fn short(prelude: Prelude, ops: Vec<Op>, wait: Wait, block: usize) -> Self {
        let crash_from = ops.len() - 1;
        let ops = ops.into_iter().map(|op| (op, wait)).collect();
        Self { prelude, ops, crash_from, block, segment: 16 << 10, at_once: false, served: false }
    }

    pub(crate) fn random(seed: u64) -> Self {
        let mut random = Random::seeded(seed);
        let mut pick = |end| random.below(end) as usize;
        let len = 4 + pick(36);
        let op = |n| match n {
            0..=3 => Op::Write,
            4..=8 => Op::Overwrite,
            9..=11 => Op::Remove,
            12..=15 => Op::Batch,
            16 | 17 => Op::Checkpoint,
            18 | 19 => Op::Big,
            _ => Op::Reopen,
        };
        let wait = |n| if n == 0 { Wait::Each } else { Wait::AtTheEnd };
        let ops = (0..len).map(|_| (op(pick(22)), wait(pick(3)))).collect();
        let prelude = [Prelude::Room, Prelude::EndOfSegment, Prelude::Empty][pick(3)];
        let (block, segment) = ([512, 1024, 4096][pick(3)], [4 << 10, 16 << 10][pick(2)]);
        let at_once = pick(2) == 0;
        Self { prelude, ops, crash_from: 0, block, segment, at_once, served: false }
    }

    /// As [`Plan::random`], with threads that serve the store. They alone begin checkpoints.
    pub(crate) fn served(seed: u64) -> Self {
        let mut plan = Self::random(seed);
        (plan.prelude, plan.served) = (Prelude::Empty, true);
        for (op, _) in &mut plan.ops {
            *op = if *op == Op::Checkpoint { Op::Batch } else { *op };
        }
        plan
    }

    pub(crate) fn settings(&self) -> Settings {
        let mut settings = small();
        settings.segment_size = self.segment;
        settings.checkpoint_after = 3 * self.segment as u64 / 2;
        settings.big_value = 2 << 10;
        if self.at_once {
            settings.sync_disk_from = 1;
        }
        settings
    }

    /// Opens a store without threads: it makes the same calls each time.
    pub(crate) fn open(&self, disk: &SimDisk) -> Result<FsStore> {
        FsStore::open_alone(disk.mount(), self.settings())
    }

    /// The store of the workload itself.
    fn open_live(&self, disk: &SimDisk) -> Result<FsStore> {
        if !self.served {
            return self.open(disk);
        }
        disk.let_others_go_first();
        FsStore::open_on(disk.mount(), self.settings())
    }

    pub(crate) fn is_random(&self) -> bool {
        self.crash_from == 0 && self.ops.len() > 3
    }

    /// Carries it out on a new disk.
    pub(crate) fn run(&self) -> Story {
        let mut run = Run::begin(self);
        run.ops(None).unwrap();
        run.end()
    }

    /// Carries it out up to the operation during which the nth sync fails. `None` if there are fewer.
    pub(crate) fn run_with_failing_sync(&self, nth: u64) -> Option<Story> {
        let mut run = Run::begin(self);
        let outcome = run.ops(Some(nth));
        let fired = run.disk.fired();
        assert!(fired || outcome.is_ok(), "{outcome:?}");
        let story = run.end();
        fired.then_some(story)
    }
}

impl Story {
    /// What may be there after a power cut at this point.
    pub(crate) fn allowed(&self, point: &CrashPoint) -> &[Contents] {
        let (acknowledged, submitted) = (point.progress >> 32, point.progress & 0xffff_ffff);
        &self.states[acknowledged as usize..=submitted as usize]
    }
}

struct Run<'a> {
    plan: &'a Plan,
    disk: SimDisk,
    store: FsStore,
    waiting: Vec<Commit>,
    acknowledged: u64,
    states: Vec<Contents>,
}

impl<'a> Run<'a> {
    fn begin(plan: &'a Plan) -> Self {
        let disk = SimDisk::with_blocks(plan.block);
        if plan.prelude == Prelude::Empty {
            disk.record();
        }
        let store = plan.open_live(&disk).unwrap();
        let states = vec![Contents::default()];
        let mut run = Self { plan, disk, store, waiting: Vec::new(), acknowledged: 0, states };
        run.prelude().unwrap();
        run
    }

    fn ops(&mut self, failing_sync: Option<u64>) -> Result<()> {
        for (n, (op, wait)) in self.plan.ops.iter().enumerate() {
            if n == self.plan.crash_from {
                self.disk.fail(failing_sync.map(|nth| Fault {
                    nth,
                    only: &[DiskCall::Sync, DiskCall::SyncAll, DiskCall::SyncDisk],
                    cause: Cause::Kind(io::ErrorKind::Other),
                    short: false,
                    again: Again::Never,
                }));
                if self.plan.prelude != Prelude::Empty {
                    self.disk.record();
                }
            }
            self.step(*op, n as u8)?;
            if *wait == Wait::Each {
                self.wait()?;
            }
        }
        self.wait()
    }

    fn end(self) -> Story {
        let points = self.disk.recorded();
        // What follows is no part of the story.
        self.disk.kill();
        Story { points, states: self.states }
    }

    fn prelude(&mut self) -> Result<()> {
        if self.plan.prelude == Prelude::Empty {
            return Ok(());
        }
        let first = [("old", 400), ("hot", 900), ("big", 5000)];
        for (name, len) in first {
            self.submit(put(Batch::new(), name, 200, len))?;
        }
        self.wait()?;
        self.store.checkpoint_now()?;
        // These are only in the log.
        self.submit(put(Batch::new(), "hot", 201, 800))?;
        self.submit(put(Batch::new(), "log", 202, 100).remove(&ns("a"), &key("old-2")))?;
        self.wait()?;
        if self.plan.prelude == Prelude::EndOfSegment {
            let segments =
                |disk: &SimDisk| disk.files().iter().filter(|name| name.contains("/log-")).count();
            // In the second half of a segment the next one is made.
            let before = segments(&self.disk);
            let mut room = self.plan.segment;
            while segments(&self.disk) == before {
                self.submit(put(Batch::new(), "fill", 203, 900))?;
                self.wait()?;
                room -= 900;
            }
            let mut left = room.saturating_sub(2500);
            while left > 1000 {
                self.submit(put(Batch::new(), "fill", 204, 900))?;
                self.wait()?;
                left -= 1000;
            }
        }
        Ok(())
    }

    fn step(&mut self, op: Op, n: u8) -> Result<()> {
        let (a, own) = (ns("a"), Namespace::reserved("~own", "x").unwrap());
        let old: Key = key(["old", "hot", "big", "log"][usize::from(n) % 4]);
        let new = format!("new-{}", n % 7);
        match op {
            Op::Write => self.submit(put(Batch::new(), &new, n, 300))?,
            Op::Overwrite => self.submit(put(Batch::new(), "hot", n, 700))?,
            Op::Remove => self.submit(Batch::new().remove(&a, &old))?,
            Op::Batch => {
                let batch = put(put(Batch::new(), &new, n, 200), "hot", n, 1000);
                self.submit(batch.remove(&a, &old).put(&own, &key("count"), vec![n; 20]))?;
            }
            Op::Big => self.submit(put(put(Batch::new(), "big", n, 5000), "small", n, 10))?,
            Op::Checkpoint => {
                self.wait()?;
                // A failure does no harm, and the next one does all of it again.
                if self.store.checkpoint_now().is_err() {
                    self.store.checkpoint_now()?;
                }
            }
            Op::Reopen => {
                self.wait()?;
                self.store.close()?;
                self.store = self.plan.open_live(&self.disk)?;
            }
        }
        self.do_background();
        Ok(())
    }

    fn do_background(&self) {
        if !self.plan.served {
            self.store.do_background();
        }
    }

    fn submit(&mut self, batch: Batch) -> Result<()> {
        let mut next = self.states.last().unwrap().clone();
        next.apply(&batch);
        self.states.push(next);
        self.note();
        let commit = self.store.submit(batch);
        if let Some(Err(error)) = commit.receipt().outcome() {
            return Err(error);
        }
        self.waiting.push(commit);
        Ok(())
    }

    fn wait(&mut self) -> Result<()> {
        for commit in std::mem::take(&mut self.waiting) {
            commit.wait()?;
            self.acknowledged += 1;
            self.note();
        }
        self.do_background();
        Ok(())
    }

    fn note(&self) {
        let submitted = self.states.len() as u64 - 1;
        self.disk.set_progress(self.acknowledged << 32 | submitted);
    }
}

/// No two batches put the same bytes, so a value tells where it is from.
fn put(batch: Batch, name: &str, n: u8, len: usize) -> Batch {
    batch.put(&ns("a"), &key(name), vec![n; len])
}
