//! What the clouds offer: their heads, and which of them counts.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use backup::{Fence, Head, ObjectName, ObjectRef, ObjectSealer, WriterId};
use cloud::CloudBackend;

use super::Stale;
use crate::{Error, Result, error::chain, replicate};

type Heads = Vec<(ObjectRef, Head)>;

/// What the clouds offer.
pub(crate) struct Offer {
    /// Those that answered, the one with the newest head first.
    pub(super) clouds: Vec<Arc<dyn CloudBackend>>,
    pub(super) agreeing: usize,
    pub(super) newest: (ObjectRef, Head),
    /// Every head found.
    pub(super) all: Heads,
    /// The newest of each installation.
    pub(super) newest_each: Heads,
    /// The furthest fence found.
    pub(super) fence: Option<Fence>,
    /// Heads that are listed, and that no cloud has whole.
    pub(super) lost: Vec<ObjectRef>,
    /// The names of those, and of what else was passed over.
    pub(super) passed_over: BTreeSet<ObjectName>,
    /// Why clouds did not answer.
    pub(super) unreachable: Vec<String>,
}

impl Offer {
    /// All heads of one installation, newest first.
    pub(super) fn heads_of(&self, writer: WriterId) -> Heads {
        let mut heads = self.all.clone();
        heads.retain(|(object, _)| object.id.writer == writer);
        heads.sort_by_key(|(object, head)| Reverse((head.sequence, head.time, object.hash)));
        heads
    }
}

/// A slow cloud may have the newest state, so it is waited for: so much longer than backups wait.
const PATIENCE: Duration = Duration::from_secs(60);

/// The heads in all clouds that answer. A head that is damaged is an error: whatever is older must
/// not be taken for the newest silently. Where an older state is accepted it is passed over, and told.
pub(crate) async fn look(
    sealer: &ObjectSealer,
    clouds: &[Arc<dyn CloudBackend>],
    stale: Stale,
) -> Result<Offer> {
    let mut found: Vec<(Arc<dyn CloudBackend>, Heads)> = Vec::new();
    let (mut lost, mut unreachable, mut failure) = (Vec::new(), Vec::new(), None);
    let works = clouds.iter().enumerate().map(|(i, cloud)| {
        let (sealer, cloud) = (sealer.clone(), cloud.clone());
        (i, async move {
            let (heads, lost) = match stale {
                Stale::Refused => (replicate::heads(&sealer, &*cloud, false).await?, Vec::new()),
                Stale::Accepted => replicate::readable_heads(&sealer, &*cloud, true).await?,
            };
            Ok((cloud, heads, lost.into_iter().map(|(object, _)| object)))
        })
    });
    for (_, heads) in replicate::patient_race(PATIENCE, works).await {
        match heads {
            Ok((cloud, heads, unreadable)) => {
                found.push((cloud, heads));
                lost.extend(unreadable);
            }
            Err(error) => {
                unreachable.push(chain(&error));
                failure = Some(error);
            }
        }
    }
    let name = |object: &ObjectRef| object.name(&sealer.tag());
    if found.iter().all(|(_, heads)| heads.is_empty()) {
        let damaged = lost.first().map(|object| backup::Error::Damaged { name: name(object) });
        return Err(match damaged {
            Some(damaged) => damaged.into(),
            None => failure.unwrap_or(if clouds.is_empty() {
                Error::NoCloud
            } else {
                backup::Error::NoBackup.into()
            }),
        });
    }
    let mut all: Heads = found.iter().flat_map(|(_, heads)| heads.clone()).collect();
    all.sort_unstable_by_key(|(object, _)| *object);
    all.dedup_by_key(|(object, _)| *object);
    // Another cloud may have it whole.
    lost.retain(|object| all.iter().all(|(whole, _)| whole != object));
    // Where the fence says whose single-writer data counts, no clock decides; what merges is merged
    // from all.
    let asked: Vec<_> = found.iter().map(|(cloud, _)| cloud.clone()).collect();
    let fenced = replicate::fenced_head(sealer, &asked, &all, stale).await?;
    let newest = match fenced.head {
        Some(head) => head,
        None => backup::newest_head(&all).cloned().ok_or(backup::Error::NoBackup)?,
    };
    let is_listed = all.iter().any(|(object, _)| *object == newest.0);
    let mut holding = Vec::new();
    for (cloud, heads) in found {
        // What only the fence names was replaced by newer heads long ago, and is in no listing.
        let holds = match is_listed {
            true => heads.iter().any(|(object, _)| *object == newest.0),
            false => replicate::fetch(&*cloud, &sealer.tag(), &newest.0).await.is_ok(),
        };
        holding.push((cloud, holds));
    }
    let agreeing = holding.iter().filter(|(_, holds)| *holds).count();
    holding.sort_by_key(|(_, holds)| !holds);
    let mut writers: BTreeMap<WriterId, Heads> = BTreeMap::new();
    for head in &all {
        writers.entry(head.0.id.writer).or_default().push(head.clone());
    }
    let newest_each = writers.values().filter_map(|heads| backup::newest_head(heads).cloned());
    let newest_each = newest_each.collect();
    let clouds = holding.into_iter().map(|(cloud, _)| cloud).collect();
    let passed_over = fenced.passed_over.into_iter().chain(lost.iter().map(name)).collect();
    let fence = fenced.fence;
    Ok(Offer { clouds, agreeing, newest, all, newest_each, fence, lost, passed_over, unreachable })
}
