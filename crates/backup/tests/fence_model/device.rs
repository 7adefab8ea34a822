//! A device: durable state, a script, and the calls that are under way.

use backup::{
    Claimant, Fence, FenceAnswer, FenceMachine, FenceOutcome, FencePlan, FenceState, Gate,
    Position, Step, Verdict, WriterId, furthest_fence,
};

use crate::world::{Acknowledged, Cloud, position};

/// What a device does, one after the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Op {
    /// Upload a change and acknowledge it.
    Write,
    /// Begin anew from what is in the clouds.
    Restore,
    TakeOver,
}

/// A way to get it wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Break {
    AcknowledgeBeforeReplacing,
    TakeALostAnswerForSuccess,
    ReplaceWhateverIsThere,
    TakeOverWithoutLookingAtTheBase,
    OneCloudIsEnoughToTakeOver,
    ForgetWhoPutIt,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Device {
    pub(crate) folder: usize,
    writer: WriterId,
    pub(crate) script: &'static [Op],
    clouds: u32,
    acknowledged_by: u32,
    pub(crate) broken: Option<Break>,
    // On disk.
    next_op: usize,
    sequence: u64,
    epoch: u32,
    base: Option<Position>,
    /// What is really on this device, whatever the protocol believes.
    restored: Option<Position>,
    at: Option<Position>,
    deposed: Vec<backup::Deposed>,
    sessions: Vec<[u8; 16]>,
    // In memory.
    pub(crate) session: [u8; 16],
    puts: u8,
    running: Option<Running>,
    attempts: Vec<Vec<[u8; 16]>>,
    /// What each cloud held at the end of the last operation: the next one begins with a put.
    last: Vec<Option<(Fence, u32)>>,
    acknowledged_early: Option<u64>,
    // For the explorer.
    pub(crate) was_fenced: bool,
    pub(crate) was_refused: bool,
    pub(crate) was_copied: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[expect(clippy::large_enum_variant, reason = "two devices have one each")]
enum Running {
    /// Reading all fencing heads, to restore (with what else is uploaded) or to take over.
    Looking {
        for_op: Op,
        uploaded: Option<Position>,
        found: Vec<Option<Option<Fence>>>,
    },
    Putting {
        for_op: Op,
        plan: FencePlan,
        needed: u32,
        machines: Vec<FenceMachine<u32>>,
    },
}

impl Device {
    pub(crate) fn new(
        folder: usize,
        clouds: u32,
        acknowledged_by: u32,
        script: &'static [Op],
    ) -> Self {
        let session = [100 * (folder as u8 + 1); 16];
        Self {
            folder,
            writer: WriterId::from_bytes([folder as u8 + 1; 16]),
            script,
            clouds,
            acknowledged_by,
            broken: None,
            next_op: 0,
            sequence: 0,
            epoch: 0,
            base: None,
            restored: None,
            at: None,
            deposed: Vec::new(),
            sessions: Vec::new(),
            session,
            puts: 0,
            running: None,
            attempts: vec![Vec::new(); clouds as usize],
            last: vec![None; clouds as usize],
            acknowledged_early: None,
            was_fenced: false,
            was_refused: false,
            was_copied: false,
        }
    }

    /// A copy of its folder, opened elsewhere.
    pub(crate) fn copied(&self, session: [u8; 16], script: &'static [Op]) -> Self {
        Self { session, folder: 1, script, ..self.clone() }
    }

    pub(crate) fn is_done(&self) -> bool {
        self.next_op >= self.script.len() || self.was_fenced || self.was_refused || self.was_copied
    }

    pub(crate) fn has_finished(&self) -> bool {
        self.next_op >= self.script.len()
    }

    pub(crate) fn is_running(&self) -> bool {
        self.running.is_some()
    }

    /// What another device could restore of this one beside what the fence says.
    pub(crate) fn uploaded(&self) -> Option<Position> {
        (self.sequence > 0).then(|| position(self.writer, self.sequence))
    }

    /// The next operation begins; a restore may or may not see what is newer than the fence.
    pub(crate) fn beginnings(&self, uploaded: Option<Position>) -> Vec<Self> {
        let op = self.script[self.next_op];
        let mut begun = self.clone();
        match op {
            Op::Write => {
                let next = self.script[..=self.next_op].iter().filter(|op| **op == Op::Write);
                begun.sequence = next.count() as u64;
                begun.note_session();
                let state = begun.state();
                let plan = begun.claimant(&state).advance(position(self.writer, begun.sequence));
                if self.broken == Some(Break::AcknowledgeBeforeReplacing) {
                    begun.acknowledged_early = Some(begun.sequence);
                }
                begun.put(op, plan, self.acknowledged_by);
                vec![begun]
            }
            Op::Restore | Op::TakeOver => {
                let look = |uploaded| {
                    let found = vec![None; self.clouds as usize];
                    let running = Some(Running::Looking { for_op: op, uploaded, found });
                    Self { running, ..begun.clone() }
                };
                match uploaded.filter(|_| op == Op::Restore) {
                    Some(uploaded) => vec![look(None), look(Some(uploaded))],
                    None => vec![look(None)],
                }
            }
        }
    }

    pub(crate) fn crash(&mut self) {
        // Calls under way are late puts already, or never left.
        self.running = None;
        self.attempts.iter_mut().for_each(Vec::clear);
        self.last.fill(None);
        self.session = [self.session[0] + 1; 16];
        self.acknowledged_early = None;
    }

    pub(crate) fn step(&mut self, cloud: usize) -> Option<Step<u32>> {
        let put = [self.puts + 1; 16];
        let put = std::array::from_fn(|i| if i == 0 { self.session[0] } else { put[i] });
        match self.running.as_mut()? {
            Running::Looking { found, .. } => found[cloud].is_none().then_some(Step::Get),
            Running::Putting { machines, .. } => match machines[cloud].step(put) {
                Step::Done(_) => None,
                step => {
                    self.puts += u8::from(matches!(step, Step::Put { .. }));
                    Some(step)
                }
            },
        }
    }

    /// The condition that really goes out.
    pub(crate) fn condition(&self, replaces: Option<u32>, cloud: &Cloud) -> Option<u32> {
        match self.broken {
            Some(Break::ReplaceWhateverIsThere) => cloud.object.as_ref().map(|(_, tag)| *tag),
            _ => replaces,
        }
    }

    pub(crate) fn answer(&mut self, cloud: usize, mut answer: FenceAnswer<u32>) {
        let broken = self.broken;
        match self.running.as_mut().unwrap() {
            Running::Looking { found, .. } => match answer {
                FenceAnswer::Found(there) => found[cloud] = Some(there.map(|(fence, _)| fence)),
                // All must be seen: try the whole again.
                _ => self.running = None,
            },
            Running::Putting { machines, .. } => {
                if broken == Some(Break::TakeALostAnswerForSuccess)
                    && answer == FenceAnswer::Unknown
                    && !machines[cloud].attempts().is_empty()
                {
                    answer = FenceAnswer::Stored(u32::MAX);
                }
                if broken == Some(Break::ForgetWhoPutIt)
                    && let FenceAnswer::Found(Some((fence, _))) = &mut answer
                    && fence.writer == self.writer
                    && let Some(put) = machines[cloud].attempts().last()
                {
                    (fence.session, fence.put) = (self.session, *put);
                }
                machines[cloud].answer(answer);
                self.attempts[cloud] = machines[cloud].attempts().to_vec();
            }
        }
    }

    /// When all calls of the operation have ended: what is told to the user.
    pub(crate) fn conclude(&mut self) -> (Vec<Acknowledged>, Vec<Believed>) {
        let mut told = (Vec::new(), Vec::new());
        if let Some(sequence) = self.acknowledged_early.take() {
            told.0.push(self.acknowledged(sequence));
        }
        let outcomes = match self.running.clone() {
            Some(Running::Looking { for_op, uploaded, found }) => {
                let Some(found) = found.into_iter().collect::<Option<Vec<_>>>() else {
                    return told;
                };
                let found: Vec<Fence> = found.into_iter().flatten().collect();
                self.looked(for_op, uploaded, &found);
                return told;
            }
            Some(Running::Putting { mut machines, .. }) => {
                let ended = |machine: &mut FenceMachine<u32>| match machine.step([0; 16]) {
                    Step::Done(outcome) => Some(outcome),
                    _ => None,
                };
                machines.iter_mut().map(ended).collect::<Option<Vec<FenceOutcome<u32>>>>()
            }
            None => None,
        };
        let Some(outcomes) = outcomes else { return told };
        let Some(Running::Putting { for_op, plan, needed, .. }) = self.running.take() else {
            return told;
        };
        let verdict = Verdict::of(&plan, &outcomes);
        for (cloud, outcome) in outcomes.into_iter().enumerate() {
            if let FenceOutcome::Held(fence, tag) = outcome {
                self.attempts[cloud].clear();
                self.last[cloud] = Some((fence, tag));
            }
        }
        let enough = verdict.held >= needed;
        match for_op {
            Op::Write if enough => {
                self.epoch = plan.wanted.epoch;
                self.at = plan.wanted.at;
                told.0.push(self.acknowledged(self.sequence));
                self.next_op += 1;
            }
            Op::TakeOver if enough && verdict.fenced.is_none() && verdict.behind.is_none() => {
                self.epoch = plan.wanted.epoch;
                self.deposed = plan.wanted.deposed.clone();
                told.1.push((self.folder, self.epoch, self.restored));
                self.next_op += 1;
            }
            _ => {}
        }
        self.was_copied |= verdict.copied.is_some();
        self.was_fenced |= match for_op {
            Op::Write => !enough && verdict.is_deposed(self.clouds, needed),
            _ => verdict.fenced.is_some(),
        };
        self.was_refused |= verdict.behind.is_some();
        // Else nothing is decided, and the operation begins again.
        told
    }

    fn looked(&mut self, op: Op, uploaded: Option<Position>, found: &[Fence]) {
        self.running = None;
        let fence = furthest_fence(found);
        if op == Op::Restore {
            let at = fence.and_then(|fence| fence.at);
            let newer = uploaded.filter(|up| at.is_none_or(|at| at.writer == up.writer));
            self.base = newer.filter(|up| at.is_none_or(|at| up.sequence > at.sequence)).or(at);
            self.restored = self.base;
            self.next_op += 1;
            return;
        }
        self.note_session();
        if self.broken == Some(Break::TakeOverWithoutLookingAtTheBase) {
            self.base = fence
                .and_then(|fence| fence.at)
                .map(|at| {
                    let sequence = self.base.map_or(0, |base| base.sequence).max(at.sequence);
                    Position { sequence, ..at }
                })
                .or(self.base);
        }
        let state = self.state();
        match self.claimant(&state).take_over(found) {
            Ok(takeover) => {
                let needed = match self.broken {
                    Some(Break::OneCloudIsEnoughToTakeOver) => 1,
                    _ => takeover.needed,
                };
                self.put(op, takeover.plan, needed);
            }
            Err(_) => self.was_refused = true,
        }
    }

    fn put(&mut self, for_op: Op, plan: FencePlan, needed: u32) {
        let machines = self.attempts.iter().zip(&mut self.last);
        let machines = machines
            .map(|(attempts, last)| FenceMachine::new(plan.clone(), last.take(), attempts.clone()));
        let machines = machines.collect();
        self.running = Some(Running::Putting { for_op, plan, needed, machines });
    }

    fn note_session(&mut self) {
        let mut state = self.state();
        state.note_session(self.session);
        self.sessions = state.sessions;
    }

    fn acknowledged(&self, sequence: u64) -> Acknowledged {
        let (writer, folder) = (self.writer, self.folder);
        Acknowledged { writer, sequence, epoch: self.epoch.max(1), folder }
    }

    fn state(&self) -> FenceState {
        let mut state = FenceState::default();
        state.gate = Gate::Open;
        state.epoch = self.epoch;
        state.base = self.base;
        state.acknowledged = self.at;
        state.deposed = self.deposed.clone();
        state.sessions = self.sessions.clone();
        state
    }

    fn claimant<'a>(&self, state: &'a FenceState) -> Claimant<'a> {
        Claimant {
            writer: self.writer,
            session: self.session,
            time: 0,
            clouds: self.clouds,
            acknowledged_by: self.acknowledged_by,
            durable: self.sequence,
            state,
        }
    }
}

/// A cloud, an epoch and where the fence is believed to be.
type Believed = (usize, u32, Option<Position>);
