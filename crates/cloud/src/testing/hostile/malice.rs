//! The will of a hostile cloud: which lies stand, which calls fail, and a log of what it did.

use std::{
    fmt,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use backup::ObjectName;
use bytes::Bytes;
use kv_core::testing::Random;

use super::{
    history::{Content, History, Seen},
    lie::{Fault, Lie, Temper},
};
use crate::{PutMode, Tag};

/// Shared by all handles of one hostile cloud, so that a test can change it deep in a tower. The same
/// script or seed and the same calls give the same deeds.
pub struct Malice(pub(super) Mutex<State>);

/// One call to a hostile cloud, numbered from 1 over all devices.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call {
    /// Counts all calls but `limits`.
    pub number: u64,
    /// Whose handle.
    pub device: u8,
    /// `put`, `get`, `list` or `delete`.
    pub act: &'static str,
    /// The object, or the prefix of a listing.
    pub name: ObjectName,
}

/// Something hostile that was done to a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Deed {
    /// To which call.
    pub call: Call,
    /// What.
    pub what: String,
}

type Plan = Box<dyn Fn(&Call) -> Option<Fault> + Send>;

pub(super) struct State {
    seed: Option<u64>,
    random: Random,
    temper: Temper,
    plan: Plan,
    lies: Vec<Standing>,
    calls: u64,
    destroyed: bool,
    deeds: Vec<Deed>,
    pub(super) history: History,
    late: Vec<Late>,
}

struct Standing {
    lie: Lie,
    /// Only this device is lied to.
    only: Option<u8>,
    /// Ends by itself after this call.
    until: Option<u64>,
}

/// A put or deletion that was answered with an error and lands later.
#[derive(Debug)]
pub(super) struct Late {
    due: u64,
    pub(super) device: u8,
    pub(super) name: ObjectName,
    /// `None` deletes.
    pub(super) put: Option<(Bytes, PutMode)>,
}

/// What to do about a call.
pub(super) struct Decision {
    pub(super) call: Call,
    pub(super) fault: Option<Fault>,
    /// To be landed first.
    pub(super) due: Vec<Late>,
    /// To be deleted first.
    pub(super) destroy: Option<ObjectName>,
}

/// How the condition of a put is judged.
pub(super) enum Judged {
    By(PutMode),
    Refused,
    StoredNowhere,
}

impl Malice {
    /// Does nothing until told so.
    pub fn none() -> std::sync::Arc<Self> {
        Self::with(None, Temper::default())
    }

    /// Does by itself what the temper says, decided by the seed.
    pub fn seeded(seed: u64, temper: Temper) -> std::sync::Arc<Self> {
        Self::with(Some(seed), temper)
    }

    fn with(seed: Option<u64>, temper: Temper) -> std::sync::Arc<Self> {
        std::sync::Arc::new(Self(Mutex::new(State {
            seed,
            random: Random::seeded(seed.unwrap_or(0)),
            temper,
            plan: Box::new(|_| None),
            lies: Vec::new(),
            calls: 0,
            destroyed: false,
            deeds: Vec::new(),
            history: History::default(),
            late: Vec::new(),
        })))
    }

    /// Tells this lie to everybody from now on.
    pub fn lie(&self, lie: Lie) {
        self.state().lies.push(Standing { lie, only: None, until: None });
    }

    /// Tells this lie to one device from now on.
    pub fn lie_to(&self, device: u8, lie: Lie) {
        self.state().lies.push(Standing { lie, only: Some(device), until: None });
    }

    /// The plan says for each call whether it fails; it replaces an earlier plan.
    pub fn plan(&self, plan: impl Fn(&Call) -> Option<Fault> + Send + 'static) {
        self.state().plan = Box::new(plan);
    }

    /// Only the `nth` call from now fails (1: the next).
    pub fn fail_nth(&self, nth: u64, fault: Fault) {
        let target = self.calls() + nth;
        self.plan(move |call| (call.number == target).then_some(fault));
    }

    /// Takes a lie back, to whomever it was told.
    pub fn take_back(&self, lie: &Lie) {
        self.state().lies.retain(|standing| standing.lie != *lie);
    }

    /// The lies that stand.
    pub fn lies(&self) -> Vec<Lie> {
        self.state().lies.iter().map(|standing| standing.lie.clone()).collect()
    }

    /// Whether something was deleted, overwritten or forgotten that nobody asked to.
    pub fn has_destroyed(&self) -> bool {
        self.state().destroyed
    }

    /// From now on every lie is taken back, and nothing fails or is deleted. What was late is still
    /// on its way: [`HostileCloud::settle`](super::HostileCloud::settle).
    pub fn be_honest(&self) {
        let mut state = self.state();
        state.lies.clear();
        state.temper = Temper::default();
        state.plan = Box::new(|_| None);
    }

    /// The present moment, for lies about the past: how many puts and deletions took effect.
    pub fn now(&self) -> u64 {
        self.state().history.now
    }

    /// Every object ever put, in the order in which each was put first.
    pub fn names(&self) -> Vec<ObjectName> {
        self.state().history.created.clone()
    }

    /// How many calls there were.
    pub fn calls(&self) -> u64 {
        self.state().calls
    }

    /// What was done so far. Empty: every answer was true.
    pub fn deeds(&self) -> Vec<Deed> {
        self.state().deeds.clone()
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts a call and decides about it.
    pub(super) fn decide(&self, device: u8, act: &'static str, name: &ObjectName) -> Decision {
        let mut state = self.state();
        state.calls += 1;
        let call = Call { number: state.calls, device, act, name: name.clone() };
        state.lies.retain(|standing| standing.until.is_none_or(|until| until >= call.number));
        let (due, late): (Vec<Late>, Vec<Late>) =
            std::mem::take(&mut state.late).into_iter().partition(|l| l.due <= call.number);
        state.late = late;
        let destroy = state.anything_to_destroy(&call);
        state.maybe_begin_a_lie(&call);
        let fault = if state.lies_to(device).any(|lie| *lie == Lie::Down) {
            Some(Fault::Lost)
        } else {
            (state.plan)(&call).or_else(|| state.random_fault())
        };
        if let Some(fault) = fault {
            state.note(&call, format!("{fault:?}"));
        }
        Decision { call, fault, due, destroy }
    }

    pub(super) fn postpone(
        &self,
        call: &Call,
        calls: u64,
        name: &ObjectName,
        put: Option<(Bytes, PutMode)>,
    ) {
        let due = call.number + calls.max(1);
        let late = Late { due, device: call.device, name: name.clone(), put };
        self.state().late.push(late);
    }

    pub(super) fn take_late(&self) -> Vec<Late> {
        std::mem::take(&mut self.state().late)
    }

    pub(super) fn landed(&self, device: u8, name: &ObjectName, content: Content) {
        self.state().history.add(device, name, content);
    }

    pub(super) fn note(&self, call: &Call, what: String) {
        self.state().note(call, what);
    }

    pub(super) fn was_destroyed(&self, name: &ObjectName) {
        let mut state = self.state();
        state.destroyed = true;
        state.history.add(0, name, None);
    }

    /// By what a put's condition is to be judged.
    pub(super) fn judge(&self, call: &Call, name: &ObjectName, how: PutMode) -> Judged {
        let mut state = self.state();
        let lies: Vec<Lie> = state.lies_to(call.device).cloned().collect();
        for lie in &lies {
            match lie {
                Lie::StoreNothing => {
                    state.destroyed = true;
                    state.note(call, "answered as stored, and stored nowhere".to_owned());
                    return Judged::StoredNowhere;
                }
                Lie::IgnoreConditions if how != PutMode::Overwrite => {
                    state.destroyed = true;
                    state.note(call, "the condition was ignored".to_owned());
                    return Judged::By(PutMode::Overwrite);
                }
                Lie::Fork { .. } => {
                    let Seen::Past(content) = state.history.seen(lie, call.device, name) else {
                        continue;
                    };
                    let holds = match &how {
                        PutMode::Overwrite => true,
                        PutMode::CreateOnly => content.is_none(),
                        PutMode::Replace(tag) => content.is_some_and(|(_, there)| there == *tag),
                    };
                    state.destroyed = true;
                    state.note(call, "the condition was judged within a fork".to_owned());
                    return if holds { Judged::By(PutMode::Overwrite) } else { Judged::Refused };
                }
                _ => {}
            }
        }
        Judged::By(how)
    }
}

impl State {
    pub(super) fn lies_to(&self, device: u8) -> impl Iterator<Item = &Lie> {
        let standing = self.lies.iter().filter(move |s| s.only.is_none_or(|only| only == device));
        standing.map(|standing| &standing.lie)
    }

    pub(super) fn note(&mut self, call: &Call, what: String) {
        self.deeds.push(Deed { call: call.clone(), what });
    }

    fn happens(&mut self, per_thousand: u64) -> bool {
        per_thousand > 0 && self.random.below(1000) < per_thousand
    }

    fn any_object(&mut self) -> Option<ObjectName> {
        let chosen = self.random.below(self.history.created.len() as u64);
        self.history.created.get(chosen as usize).cloned()
    }

    fn anything_to_destroy(&mut self, call: &Call) -> Option<ObjectName> {
        if !self.happens(self.temper.deletions) {
            return None;
        }
        let name = self.any_object()?;
        self.destroyed = true;
        self.note(call, format!("{name} was deleted"));
        Some(name)
    }

    fn random_fault(&mut self) -> Option<Fault> {
        if !self.happens(self.temper.faults) {
            return None;
        }
        let seconds = Duration::from_secs(1 + self.random.below(20));
        Some(match self.random.below(9) {
            0 => Fault::Lost,
            1 | 2 => Fault::AnswerLost,
            3 => Fault::LandsLater { calls: 1 + self.random.below(30) },
            4 => Fault::Late(seconds),
            5 => Fault::Truncated,
            6 => Fault::Conflict,
            7 => Fault::TooManyRequests(seconds),
            _ => Fault::ServerError,
        })
    }

    fn maybe_begin_a_lie(&mut self, call: &Call) {
        if !self.happens(self.temper.lies) {
            return;
        }
        let (lasts, before) = (self.temper.lie_lasts, self.history.now + 1);
        let until = Some(call.number + self.random.below(lasts.max(1)));
        let only = (self.random.below(3) == 0).then_some(call.device);
        let moment = self.random.below(before);
        let Some((name, other)) = self.any_object().zip(self.any_object()) else { return };
        let kinds = if self.temper.destroys { 14 } else { 11 };
        let lie = match self.random.below(kinds) {
            0 => Lie::Down,
            1 => Lie::RollBackObject { name, to: moment },
            2 => Lie::RollBackAll { to: moment },
            3 => Lie::Withhold { after: moment },
            4 => Lie::Stale { by: 1 + self.random.below(9) },
            5 => Lie::Exchange { name, with: other },
            6 => Lie::Cut { name, to: self.random.below(200) as usize },
            7 => Lie::FlipBit { name },
            8 => Lie::ReverseListings,
            9 => Lie::DoubleListings,
            10 => Lie::EmptyListings,
            11 => Lie::StoreNothing,
            12 => Lie::IgnoreConditions,
            _ => Lie::Fork { from: moment },
        };
        self.note(call, format!("begins to lie: {lie:?}"));
        self.lies.push(Standing { lie, only, until });
    }
}

impl Deed {
    /// The tag that a cloud answers for a put it forgot.
    pub(super) fn tag_of_nothing() -> Tag {
        Tag::new("stored nowhere")
    }
}

impl fmt::Debug for Malice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.state();
        writeln!(f, "Malice(seed {:?}, {} calls):", state.seed, state.calls)?;
        let mut shown: Option<&Deed> = None;
        for deed in &state.deeds {
            // Retries meet the same again and again.
            let again = |last: &Deed| last.what == deed.what && last.call.name == deed.call.name;
            if !shown.is_some_and(again) {
                writeln!(f, "  {deed}")?;
            }
            shown = Some(deed);
        }
        Ok(())
    }
}

impl fmt::Display for Deed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Call { number, device, act, name } = &self.call;
        write!(f, "call {number}, device {device}, {act} {name}: {}", self.what)
    }
}
