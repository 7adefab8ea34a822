//! Goes through the crash states of a workload and checks what a recovery makes of each.

use std::{
    collections::HashSet,
    fmt,
    ops::AddAssign,
    panic::{AssertUnwindSafe, catch_unwind},
};

use kv_core::{KvStore, testing::Random};
use kv_fs::disk::{CrashPoint, Fate, SimDisk};

use crate::{
    common::{Contents, verify},
    workload::{Plan, Story},
};

/// Of so many states one is also crashed during its recovery.
const RECOVERIES: u64 = 100;
/// And of so many failed syncs of a short workload.
const FAILED_RECOVERIES: u64 = 16;
/// At one point of a recovery at most so many choices are tried.
const CHOICES_IN_RECOVERY: usize = 16;

/// Counts of distinct states, by the number of power cuts that led to them.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Tried {
    pub(crate) states: u64,
    points: u64,
    by_depth: [u64; 3],
}

impl AddAssign for Tried {
    fn add_assign(&mut self, other: Self) {
        self.states += other.states;
        self.points += other.points;
        for (count, more) in self.by_depth.iter_mut().zip(other.by_depth) {
            *count += more;
        }
    }
}

impl fmt::Display for Tried {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [one, two, three] = self.by_depth;
        write!(f, "{} distinct crash states at {} crash points ", self.states, self.points)?;
        write!(f, "({one} after one power cut, {two} after two, {three} after three)")
    }
}

pub(crate) struct Explorer {
    seed: u64,
    random: Random,
    tried: Tried,
    seen: HashSet<(u64, u64)>,
}

impl Explorer {
    /// The seed, and the place of the workload among those of this seed.
    pub(crate) fn new(seed: u64, place: u64) -> Self {
        let random = Random::seeded(seed.wrapping_mul(1_000_003).wrapping_add(place));
        Self { seed, random, tried: Tried::default(), seen: HashSet::new() }
    }

    pub(crate) fn explore(mut self, plan: &Plan) -> Tried {
        let story = plan.run();
        for point in &story.points {
            self.crash_at(plan, &story, point, &point.disk(), &Trail::default());
        }
        if plan.is_random() {
            for _ in 0..3 {
                let nth = 1 + self.random.below(60);
                self.fail_sync(plan, nth);
            }
        } else {
            (1..).take_while(|nth| self.fail_sync(plan, *nth)).for_each(drop);
        }
        self.tried
    }

    /// Lets the nth sync fail; `false` if there are fewer. Then the power is cut, or the store is
    /// opened again while the system still shows what that sync has lost, or after it has
    /// forgotten it.
    fn fail_sync(&mut self, plan: &Plan, nth: u64) -> bool {
        let Some(story) = plan.run_with_failing_sync(nth) else { return false };
        let Some(point) = story.points.last() else { return false };
        let trail = Trail(vec![Event::FailedSync(nth)]);
        self.crash_at(plan, &story, point, &point.disk(), &trail);
        for forget in [false, true] {
            let disk = point.disk();
            if forget {
                disk.forget_cache();
            }
            self.check(plan, &story, point, &disk.copy(), &trail);
            if plan.is_random() || self.random.below(FAILED_RECOVERIES) == 0 {
                self.crash_recovery(plan, &story, point, &disk, &trail);
            }
        }
        true
    }

    /// Tries what a power cut at this point may leave.
    fn crash_at(
        &mut self,
        plan: &Plan,
        story: &Story,
        point: &CrashPoint,
        disk: &SimDisk,
        trail: &Trail,
    ) {
        let depth = trail.power_cuts();
        self.tried.points += 1;
        let mut choices = disk.choices(self.random.draw());
        if depth > 0 {
            while choices.len() > CHOICES_IN_RECOVERY {
                let at = self.random.below(choices.len() as u64) as usize;
                choices.swap_remove(at);
            }
        }
        for fates in choices {
            let disk = disk.copy();
            disk.crash_keeping(&fates);
            // The same disk may be right after one acknowledgement and wrong after another.
            if !self.seen.insert((disk.fingerprint(), point.progress)) {
                continue;
            }
            self.tried.states += 1;
            self.tried.by_depth[depth] += 1;
            let trail = trail.then(point.calls, &fates);
            let deeper = depth < 2 && self.random.below(RECOVERIES) == 0;
            let crashed = disk.copy();
            self.check(plan, story, point, &disk, &trail);
            if deeper {
                self.crash_recovery(plan, story, point, &crashed, &trail);
            }
        }
    }

    fn check(
        &mut self,
        plan: &Plan,
        story: &Story,
        point: &CrashPoint,
        disk: &SimDisk,
        trail: &Trail,
    ) {
        let (allowed, draw) = (story.allowed(point), self.random.draw());
        match catch_unwind(AssertUnwindSafe(|| check(plan, disk, allowed, draw))) {
            Ok(Ok(())) => {}
            Ok(Err(failure)) => self.fail(plan, trail, &failure),
            Err(_) => self.fail(plan, trail, "it panicked, see above"),
        }
    }

    /// Cuts the power at every call of the recovery.
    fn crash_recovery(
        &mut self,
        plan: &Plan,
        story: &Story,
        point: &CrashPoint,
        disk: &SimDisk,
        trail: &Trail,
    ) {
        // What was acknowledged is as before.
        disk.set_progress(point.progress);
        disk.record();
        let store = plan.open(disk);
        let points = disk.recorded();
        disk.kill();
        drop(store);
        for within in points {
            self.crash_at(plan, story, &within, &within.disk(), trail);
        }
    }

    fn fail(&self, plan: &Plan, trail: &Trail, failure: &str) -> ! {
        panic!(
            "{failure}\nfind it again with STRONGROOM_CRASH_SEED={}\n{plan:?}\n{trail:?}",
            self.seed
        );
    }
}

/// What happened so far.
#[derive(Debug, Clone, Default)]
struct Trail(Vec<Event>);

#[derive(Debug, Clone)]
#[expect(dead_code, reason = "read by Debug, in the message of a failure")]
enum Event {
    FailedSync(u64),
    /// After so many calls, with what became of the pending units.
    PowerCut(u64, Vec<Fate>),
}

impl Trail {
    fn then(&self, calls: u64, fates: &[Fate]) -> Self {
        let mut trail = self.0.clone();
        trail.push(Event::PowerCut(calls, fates.to_vec()));
        Self(trail)
    }

    fn power_cuts(&self) -> usize {
        self.0.iter().filter(|event| matches!(event, Event::PowerCut(..))).count()
    }
}

/// Opens the disk twice, with another end of the program in between: each time the same legal
/// state must be there, and no damage.
fn check(plan: &Plan, disk: &SimDisk, allowed: &[Contents], draw: u64) -> Result<(), String> {
    let store = plan.open(disk).map_err(|e| format!("it does not open: {e:?}"))?;
    let found = Contents::of(&store).map_err(|e| format!("it cannot be read: {e:?}"))?;
    if !allowed.contains(&found) {
        return Err(format!("found {}, allowed {}", brief(&[found]), brief(allowed)));
    }
    let report = verify(&store);
    if report.is_damaged() {
        return Err(format!("the scrub finds damage: {:?}", report.findings));
    }
    // A second recovery, from what the first has made durable or from all that it wrote.
    match draw % 4 {
        0 => disk.kill(),
        1 => store.close().map_err(|e| format!("it does not close: {e:?}"))?,
        _ => disk.crash(),
    }
    drop(store);
    let store = plan.open(disk).map_err(|e| format!("it does not open again: {e:?}"))?;
    let again = Contents::of(&store).map_err(|e| format!("it cannot be read again: {e:?}"))?;
    disk.kill();
    if again != found {
        return Err(format!("two openings disagree: {} and {}", brief(&[found]), brief(&[again])));
    }
    Ok(())
}

/// Names with length and first byte of their values.
fn brief(states: &[Contents]) -> String {
    let value = |((_, key), bytes): (&(_, kv_core::Key), &Vec<u8>)| {
        format!("{}={}x{:?}", key.as_str(), bytes.len(), bytes.first())
    };
    let state = |state: &Contents| {
        format!("[{}]", state.values.iter().map(value).collect::<Vec<_>>().join(" "))
    };
    states.iter().map(state).collect::<Vec<_>>().join(" or ")
}
