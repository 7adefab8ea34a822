//! Making the calls that the fence protocol asks for, in all clouds at once.

use std::{
    collections::BTreeMap,
    sync::{Arc, OnceLock},
};

use backup::{
    Conditions, FenceAnswer, FenceMachine, FenceOutcome, FencePlan, ObjectSealer, Put, Step,
    fence_name,
};
use cloud::{CloudBackend, CloudError, PutMode, Tag};

use super::{CloudFence, random, read};
use crate::{
    Error,
    replicate::{
        race::{no_answer, race},
        session_note::SessionNote,
    },
};

/// How many calls one plan may take. Each but the first two follows a conflict or a lost answer, and
/// the cloud below has its own patience with those.
const MOST_CALLS: usize = 16;

/// How a plan ended in one cloud.
#[derive(Debug)]
pub(super) struct Driven {
    pub(super) outcome: FenceOutcome<Tag>,
    /// Whether the cloud compares and swaps.
    pub(super) swaps: bool,
    /// Why nothing is decided.
    pub(super) error: Option<Error>,
}

/// Drives a plan in every cloud that is asked; `plans` and `memory` in the order of the clouds. One
/// that takes far longer than another one is left: nothing is decided there.
pub(super) async fn drive(
    sealer: &ObjectSealer,
    clouds: &[Arc<dyn CloudBackend>],
    is_asked: impl Fn(usize) -> bool,
    plans: Vec<FencePlan>,
    memory: &mut [CloudFence],
    (session, now): (SessionNote, u64),
) -> Vec<Driven> {
    // What is learnt by trying is kept, whatever becomes of the plan.
    let learnt: Vec<Arc<OnceLock<Conditions>>> = memory.iter().map(|_| Arc::default()).collect();
    let asked = clouds.iter().zip(plans).zip(memory.iter().zip(&learnt)).enumerate();
    let works =
        asked.filter(|(i, _)| is_asked(*i)).map(|(i, ((cloud, plan), (memory, learnt)))| {
            let (cloud, sealer, memory) = (cloud.clone(), sealer.clone(), memory.clone());
            let (learnt, session) = (learnt.clone(), session.clone());
            let work = async move {
                let (cloud, sealer) = (&cloud, &sealer);
                let mut run = Run { i, cloud, sealer, session, memory, learnt, now, error: None };
                match run.all(plan).await {
                    FenceOutcome::Unknown => Err(run.error.take().unwrap_or_else(no_answer)),
                    outcome => Ok((outcome, run.memory)),
                }
            };
            (i, work)
        });
    let mut ended: BTreeMap<usize, _> = race(works.collect::<Vec<_>>()).await.into_iter().collect();
    let mut all = Vec::with_capacity(memory.len());
    for (i, (memory, learnt)) in memory.iter_mut().zip(learnt).enumerate() {
        let (outcome, error) = match ended.remove(&i) {
            None => (FenceOutcome::Unknown, None),
            Some(Ok((outcome, known))) => {
                *memory = known;
                (outcome, None)
            }
            Some(Err(error)) => {
                // What was put there may have landed.
                memory.last = None;
                (FenceOutcome::Unknown, Some(error))
            }
        };
        if let Some(conditions) = learnt.get() {
            (memory.conditions, memory.tried) = (Some(*conditions), true);
        }
        all.push(Driven { outcome, swaps: memory.swaps(), error });
    }
    all
}

struct Run<'a> {
    /// Which cloud it is.
    i: usize,
    cloud: &'a Arc<dyn CloudBackend>,
    sealer: &'a ObjectSealer,
    session: SessionNote,
    memory: CloudFence,
    /// What trying the cloud out has shown.
    learnt: Arc<OnceLock<Conditions>>,
    now: u64,
    error: Option<Error>,
}

impl Run<'_> {
    async fn all(&mut self, plan: FencePlan) -> FenceOutcome<Tag> {
        if self.memory.conditions.is_none() {
            match cloud::probe(self.cloud).await {
                Ok(probe) => {
                    let conditions = Conditions {
                        creates_once: probe.creates_once,
                        replaces_if_unchanged: probe.replaces_if_unchanged,
                        time: self.now,
                    };
                    self.memory.conditions = Some(*self.learnt.get_or_init(|| conditions));
                }
                Err(error) => {
                    self.error = Some(error.into());
                    return FenceOutcome::Unknown;
                }
            }
        }
        let attempts = self.memory.attempts();
        let mut machine = FenceMachine::new(plan, self.memory.last.take(), attempts);
        let outcome = self.steps(&mut machine).await;
        if let FenceOutcome::Held(fence, tag) = &outcome {
            self.error = None;
            // Without compare-and-swap a tag is worth nothing: look each time.
            let keep = self.memory.swaps();
            self.memory.last = keep.then(|| (fence.clone(), tag.clone()));
            self.memory.set_attempts(vec![fence.put]);
        }
        outcome
    }

    async fn steps(&mut self, machine: &mut FenceMachine<Tag>) -> FenceOutcome<Tag> {
        for _ in 0..MOST_CALLS {
            let put = match random() {
                Ok(put) => put,
                Err(error) => {
                    self.error = Some(error);
                    return FenceOutcome::Unknown;
                }
            };
            let answer = match machine.step(put) {
                Step::Done(outcome) => return outcome,
                Step::Get => self.get().await,
                Step::Put { fence, replaces } => {
                    self.memory.set_attempts(machine.attempts().to_vec());
                    self.put(&fence, replaces).await
                }
            };
            machine.answer(answer);
        }
        let busy = CloudError::unavailable("the fencing head changes all the time");
        self.error.get_or_insert(busy.into());
        FenceOutcome::Unknown
    }

    async fn get(&mut self) -> FenceAnswer<Tag> {
        match read(&**self.cloud, self.sealer).await {
            Ok(found) => FenceAnswer::Found(found),
            Err(error) => {
                self.error = Some(error);
                FenceAnswer::Unknown
            }
        }
    }

    async fn put(&mut self, fence: &backup::Fence, replaces: Option<Tag>) -> FenceAnswer<Tag> {
        let sealed = match self.session.before_put(Put::Fence, &[self.i]).await {
            Ok(()) => self.sealer.seal_fence(fence).map_err(Error::from),
            Err(error) => Err(error),
        };
        let sealed = match sealed {
            Ok(sealed) => sealed,
            Err(error) => {
                self.error = Some(error);
                return FenceAnswer::Unknown;
            }
        };
        let swaps = self.memory.swaps();
        // Also where conditions seemed not to be honoured: whoever lied about that may yet honour
        // them, and then a newer fencing head than the one we were shown stays.
        let how = replaces.map_or(PutMode::CreateOnly, PutMode::Replace);
        let name = fence_name(&self.sealer.tag());
        let mut stored = self.cloud.put(&name, sealed.bytes().clone(), how).await;
        let unknown = matches!(stored, Err(CloudError::Refused { .. } | CloudError::TooOld { .. }));
        if unknown && !swaps {
            stored = self.cloud.put(&name, sealed.bytes().clone(), PutMode::Overwrite).await;
        }
        match stored {
            Ok(tag) if swaps => FenceAnswer::Stored(tag),
            // It may have gone over another one's: only what is read back is believed.
            Ok(_) => FenceAnswer::Unknown,
            Err(CloudError::Conflict { .. }) => FenceAnswer::Conflict,
            Err(error) => {
                self.error = Some(error.into());
                FenceAnswer::Unknown
            }
        }
    }
}
