//! Finding out whether a service really honours its conditions.
//!
//! Several popular servers answer 200 and ignore a condition, and some check it and write in two
//! steps. So nothing is believed: the probe creates twice, replaces with a tag that is no longer
//! true, and lets writers race. What no trial from one process can show, the cloud says of itself in
//! its limits.

use std::sync::Arc;

use backup::ObjectName;
use bytes::Bytes;
use data_encoding::HEXLOWER;
use tokio::task::JoinSet;

use crate::{CloudBackend, CloudError, PutMode, Result, Tag};

/// What a service was seen to honour. A service that passes may still lie later.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Probe {
    /// Of several that create one object, one succeeds.
    pub creates_once: bool,
    /// Of several that replace one version of an object, one succeeds; and nobody replaces a
    /// version that is no longer there.
    pub replaces_if_unchanged: bool,
}

impl Probe {
    /// Everything, unless it is seen to be otherwise.
    pub const ALL: Self = Self { creates_once: true, replaces_if_unchanged: true };
    /// Creating once, but no condition for replacing.
    pub const CREATES_ONCE: Self = Self { creates_once: true, replaces_if_unchanged: false };
    /// No condition at all.
    pub const NONE: Self = Self { creates_once: false, replaces_if_unchanged: false };

    /// What both say.
    fn and(self, other: Self) -> Self {
        Self {
            creates_once: self.creates_once && other.creates_once,
            replaces_if_unchanged: self.replaces_if_unchanged && other.replaces_if_unchanged,
        }
    }

    /// Whether the service can fence: both together are compare-and-swap.
    pub fn is_compare_and_swap(&self) -> bool {
        self.creates_once && self.replaces_if_unchanged
    }
}

/// How many race in a round. All at once, so that check and write of one fall between those of
/// another.
const RACERS: usize = 8;
const ROUNDS: usize = 2;

/// Tries it out with some thirty small calls on random bytes under `probe/`, which it removes.
///
/// Finds no more than [`Limits::can_honour`](crate::Limits::can_honour) allows.
///
/// An error says that the service could not be asked; ask again later.
#[tracing::instrument(level = "debug", skip_all, err(level = "debug"))]
pub async fn probe(cloud: &Arc<dyn CloudBackend>) -> Result<Probe> {
    let alone = name()?;
    let raced = name()?;
    let outcome = run(cloud, &alone, &raced).await;
    for name in [&alone, &raced] {
        // What stays is garbage that nobody reads.
        let _ = cloud.delete(name).await;
    }
    // Asked last: some learn only by trying what their service is.
    let probe = outcome?.and(cloud.limits().can_honour);
    tracing::debug!(?probe, "probed a cloud");
    Ok(probe)
}

async fn run(
    cloud: &Arc<dyn CloudBackend>,
    alone: &ObjectName,
    raced: &ObjectName,
) -> Result<Probe> {
    let creates_once = creates(cloud, alone).await? && race(cloud, raced, None).await?;
    let mut replaces_if_unchanged = creates_once && replaces(cloud, alone).await?;
    for _ in 0..ROUNDS {
        if replaces_if_unchanged {
            let tag = cloud.get(raced).await?.map(|(_, tag)| tag);
            replaces_if_unchanged = tag.is_some() && race(cloud, raced, tag).await?;
        }
    }
    Ok(Probe { creates_once, replaces_if_unchanged })
}

async fn creates(cloud: &Arc<dyn CloudBackend>, name: &ObjectName) -> Result<bool> {
    let (first, second) = (content()?, content()?);
    if put(cloud, name, &first, PutMode::CreateOnly).await?.is_none()
        || put(cloud, name, &second, PutMode::CreateOnly).await?.is_some()
    {
        return Ok(false);
    }
    Ok(cloud.get(name).await?.is_some_and(|(found, _)| found == first))
}

async fn replaces(cloud: &Arc<dyn CloudBackend>, name: &ObjectName) -> Result<bool> {
    let Some((_, tag)) = cloud.get(name).await? else { return Ok(false) };
    // As long as each other and within one second: what some services take for the same version.
    let (next, late) = (content()?, content()?);
    let Some(newer) = put(cloud, name, &next, PutMode::Replace(tag.clone())).await? else {
        return Ok(false);
    };
    if newer == tag || put(cloud, name, &late, PutMode::Replace(tag)).await?.is_some() {
        return Ok(false);
    }
    if cloud.get(name).await?.is_none_or(|(found, tag)| found != next || tag != newer) {
        return Ok(false);
    }
    cloud.delete(name).await?;
    Ok(put(cloud, name, &late, PutMode::Replace(newer)).await?.is_none())
}

/// Whether exactly one of several puts at once succeeds, and its bytes are what is there.
async fn race(
    cloud: &Arc<dyn CloudBackend>,
    name: &ObjectName,
    replaces: Option<Tag>,
) -> Result<bool> {
    let how = replaces.map_or(PutMode::CreateOnly, PutMode::Replace);
    let mut racers = JoinSet::new();
    for _ in 0..RACERS {
        let (cloud, name, how, bytes) = (cloud.clone(), name.clone(), how.clone(), content()?);
        racers.spawn(async move {
            let stored = put(&cloud, &name, &bytes, how).await?;
            Ok::<_, CloudError>(stored.map(|tag| (bytes, tag)))
        });
    }
    let mut winners = Vec::new();
    while let Some(ended) = racers.join_next().await {
        let ended = ended.map_err(|_| CloudError::unavailable("the runtime is shutting down"))?;
        winners.extend(ended?);
    }
    let [winner] = winners.as_slice() else { return Ok(false) };
    Ok(cloud.get(name).await?.as_ref() == Some(winner))
}

/// The new tag, or `None` if the condition did not hold, or is nothing the service knows.
async fn put(
    cloud: &Arc<dyn CloudBackend>,
    name: &ObjectName,
    bytes: &Bytes,
    how: PutMode,
) -> Result<Option<Tag>> {
    match cloud.put(name, bytes.clone(), how).await {
        Ok(tag) => Ok(Some(tag)),
        Err(
            CloudError::Conflict { .. } | CloudError::Refused { .. } | CloudError::TooOld { .. },
        ) => Ok(None),
        Err(error) => Err(error),
    }
}

fn name() -> Result<ObjectName> {
    let name = format!("probe/{}", HEXLOWER.encode(&content()?));
    ObjectName::new(&name).map_err(|error| CloudError::unavailable(error.to_string()))
}

fn content() -> Result<Bytes> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes)
        .map_err(|_| CloudError::unavailable("the system has no randomness"))?;
    Ok(Bytes::copy_from_slice(&bytes))
}
