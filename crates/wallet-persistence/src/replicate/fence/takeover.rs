//! Taking over: from now on this device writes single-writer data, and no other.

use std::sync::Arc;

use backup::{CannotTakeOver, Claimant, Fence, FenceOutcome, Gate, ObjectHash, Verdict, WriterId};
use cloud::CloudBackend;
use serde::Serialize;

use super::{drive::drive, read};
use crate::{
    Error, Result,
    replicate::{Wish, fetch, post},
    session::Inner,
};

/// What a takeover did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct TakeoverReport {
    /// The epoch this device holds now.
    pub epoch: u32,
    /// The device that wrote before, if there was one.
    pub deposed: Option<String>,
    /// The last of its changes that counts, by its numbers.
    pub counts_to: u64,
    /// In how many clouds it succeeded.
    pub clouds: u32,
    /// In how many it had to.
    pub needed: u32,
    /// Clouds that do not compare and swap: there another device is noticed, not kept out.
    pub without_compare_and_swap: Vec<String>,
    /// Clouds that did not answer, or whose fencing head is damaged; those that did not answer follow
    /// with the next backup.
    pub missing: Vec<String>,
}

/// From whom to take over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum From {
    /// From whoever holds the fence.
    Anyone,
    /// From nobody else: the wallet was handed over from here, and is taken back.
    Myself,
}

/// Takes the fence in as many clouds as are needed, or answers why not.
#[tracing::instrument(skip_all)]
pub(crate) async fn take_over(
    inner: &Inner,
    clouds: &[Arc<dyn CloudBackend>],
    from: From,
) -> Result<TakeoverReport> {
    if clouds.is_empty() {
        return Err(Error::NoCloud);
    }
    let bases = bases(inner, clouds).await;
    let is_gone = bases.contains(&Base::Gone);
    if is_gone {
        // The fence would name what nobody can restore: so first all of it under our own name.
        post(inner, clouds, Wish::Asked).await?;
    }
    let _one_at_a_time = inner.posting.lock().await;
    // Where it is not sure that what the fence names is there, it is not put.
    let has: Vec<bool> = if is_gone {
        // As many as acknowledge have it; the others are waited for, and may fail.
        if let Err(error) = inner.lines.wait(clouds.len()).await {
            tracing::warn!(%error, "not every cloud has what the takeover builds on");
        }
        let have = inner.lines.up_to_date();
        (0..clouds.len()).map(|i| have.contains(&i)).collect()
    } else {
        bases.iter().map(|base| *base == Base::There).collect()
    };
    let state = inner.fence_state_with_sessions();
    if state.gate == Gate::Copied {
        return Err(backup::Refusal::Copied.into());
    }
    let looks = look(inner, clouds).await?;
    let found = &looks.found;
    let (writer, now) = (inner.tower.recorder.state().writer, inner.tower.clock.now().0);
    if from == From::Myself
        && let Some(fence) = backup::furthest_fence(found).filter(|fence| fence.writer != writer)
    {
        let (writer, epoch) = (fence.writer.to_string(), fence.epoch);
        return Err(Error::TakenOverMeanwhile { writer, epoch });
    }
    let claimant = Claimant {
        writer,
        session: inner.fence_session(),
        time: now,
        clouds: clouds.len() as u32,
        acknowledged_by: inner.acknowledged_by(clouds.len()),
        durable: inner.tower.recorder.sequence(),
        state: &state,
    };
    let takeover = match claimant.take_over(found) {
        Ok(takeover) => takeover,
        Err(CannotTakeOver::Behind(fence)) => return Err(behind(&fence)),
        Err(CannotTakeOver::Copied(_)) => {
            inner.stop(Gate::Copied).await?;
            return Err(backup::Refusal::Copied.into());
        }
    };
    let (plan, needed) = (takeover.plan, takeover.needed);
    let incomplete = |held: u32, missing: Vec<String>| Error::TakeoverIncomplete {
        held,
        needed,
        missing: missing.join(", "),
    };
    let may = |i: &usize| has.get(*i) == Some(&true) && looks.answered.contains(i);
    if (0..clouds.len()).filter(may).count() < needed as usize {
        // Before the first put: half a takeover would only be in the way.
        let missing = (0..clouds.len()).filter(|i| !may(i)).map(|i| inner.cloud_name(i));
        return Err(incomplete(0, missing.collect()));
    }
    let mut memory = inner.known_fences(clouds.len());
    let plans = inner.with_floors(&plan, clouds.len());
    let has = |i: usize| has.get(i) == Some(&true);
    let driven = drive(
        &inner.tower.sealer,
        clouds,
        has,
        plans,
        &mut memory,
        (inner.session_note(clouds.len()), now),
    )
    .await;
    inner.note_fences_known(memory)?;
    inner.note_fences(&driven)?;

    let outcomes: Vec<_> = driven.iter().map(|one| one.outcome.clone()).collect();
    let verdict = Verdict::of(&plan, &outcomes);
    if let Some(fence) = &verdict.behind {
        return Err(behind(fence));
    }
    if let Some(fence) = &verdict.fenced {
        let (writer, epoch) = (fence.writer.to_string(), fence.epoch);
        return Err(Error::TakenOverMeanwhile { writer, epoch });
    }
    let mut missing = Vec::new();
    let mut without = Vec::new();
    for (i, one) in driven.iter().enumerate() {
        let name = inner.cloud_name(i);
        match &one.outcome {
            FenceOutcome::Held(..) if !one.swaps => without.push(name),
            FenceOutcome::Held(..) => {}
            _ => missing.push(name),
        }
    }
    if verdict.held < needed {
        return Err(incomplete(verdict.held, missing));
    }
    let mut taken = inner.tower.recorder.fence_state();
    (taken.gate, taken.epoch) = (Gate::Open, plan.wanted.epoch);
    (taken.acknowledged, taken.deposed) = (plan.wanted.at, plan.wanted.deposed.clone());
    if let Some(before) = backup::furthest_fence(found) {
        // What was not reached still says so.
        taken.set_quorum(&inner.quorum(clouds.len(), before.acknowledged_by));
    }
    inner.set_fence_state(taken).await?;
    tracing::info!(epoch = plan.wanted.epoch, "took over");
    let last = plan.wanted.deposed.last().filter(|deposed| deposed.writer != writer);
    Ok(TakeoverReport {
        epoch: plan.wanted.epoch,
        deposed: last.map(|deposed| deposed.writer.to_string()),
        counts_to: last.map_or(0, |deposed| deposed.sequence),
        clouds: verdict.held,
        needed,
        without_compare_and_swap: without,
        missing,
    })
}

/// Whether a cloud has the head that this device was restored from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Base {
    There,
    /// Its writer, still running, has put so many newer ones; or it never came here.
    Gone,
    /// The cloud does not say, or serves something else.
    Unknown,
}

/// In the order of the clouds.
async fn bases(inner: &Inner, clouds: &[Arc<dyn CloudBackend>]) -> Vec<Base> {
    let me = inner.tower.recorder.state().writer;
    let base = inner.tower.recorder.fence_state().base.filter(|base| base.writer != me);
    let Some(base) = base else { return vec![Base::There; clouds.len()] };
    let mut found = Vec::with_capacity(clouds.len());
    for cloud in clouds {
        found.push(match fetch(&**cloud, &inner.tower.sealer.tag(), &base.head).await {
            Ok(bytes) if ObjectHash::of(&bytes) == base.head.hash => Base::There,
            Err(Error::Backup(backup::Error::Missing { .. })) => Base::Gone,
            Ok(_) | Err(_) => Base::Unknown,
        });
    }
    found
}

struct Looks {
    found: Vec<Fence>,
    /// Which clouds answered, whether they have one or not; a damaged one is no answer.
    answered: Vec<usize>,
}

async fn look(inner: &Inner, clouds: &[Arc<dyn CloudBackend>]) -> Result<Looks> {
    let mut looks = Looks { found: Vec::new(), answered: Vec::new() };
    for (i, cloud) in clouds.iter().enumerate() {
        let name = inner.cloud_name(i);
        let fence = match read(&**cloud, &inner.tower.sealer).await {
            Ok(found) => found.map(|(fence, _)| fence),
            // A damaged one says as little as one that is away.
            Err(error @ (Error::Cloud(_) | Error::Backup(_))) => {
                tracing::warn!(%error, cloud = name, "does not say who writes");
                continue;
            }
            Err(other) => return Err(other),
        };
        let had = inner.with_history(|history| history.fence_mark(&name));
        let has = fence.as_ref().map(Fence::progress);
        if had > has {
            inner.fence_went_back(&name, has)?;
            return Err(Error::Suspicious { cloud: name });
        }
        looks.answered.push(i);
        looks.found.extend(fence);
    }
    Ok(looks)
}

fn behind(fence: &Fence) -> Error {
    let at = fence.at;
    let of = |writer: WriterId| writer.to_string();
    Error::BehindTheFence {
        writer: at.map_or_else(|| of(fence.writer), |at| of(at.writer)),
        sequence: at.map_or(0, |at| at.sequence),
    }
}
