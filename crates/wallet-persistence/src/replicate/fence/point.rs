//! Where single-writer data is restored from: what the fence says, not what a clock says.

use std::sync::Arc;

use backup::{
    Fence, Head, ObjectHash, ObjectName, ObjectRef, ObjectSealer, fence_name, furthest_fence,
};
use cloud::CloudBackend;

use super::read;
use crate::{Error, Result, replicate::fetch, restore::Stale};

/// What the fencing heads of some clouds say.
#[derive(Debug, Default)]
pub(crate) struct Fenced {
    /// The furthest fencing head; `None` if no cloud has one.
    pub(crate) fence: Option<Fence>,
    /// The head that the newest acknowledged single-writer data is in; `None` if nothing is
    /// acknowledged, or no cloud has that head any more.
    pub(crate) head: Option<(ObjectRef, Head)>,
    /// What of that could not be read and was passed over.
    pub(crate) passed_over: Vec<ObjectName>,
}

/// Looks where the newest acknowledged single-writer data is, among `heads` or in a head that the
/// fence names.
///
/// The newest head of the holder counts. A holder that has put none yet holds exactly the restore
/// point that it took over: what the writer before has put later does not count.
///
/// What is damaged is an error, unless an older state is accepted: then it is passed over, and what the
/// fence names is looked for in older heads of the same writer.
pub(crate) async fn fenced_head(
    sealer: &ObjectSealer,
    clouds: &[Arc<dyn CloudBackend>],
    heads: &[(ObjectRef, Head)],
    stale: Stale,
) -> Result<Fenced> {
    let is_passed_over = |error: &Error| stale == Stale::Accepted && error.says_lost();
    let mut passed_over = Vec::new();
    let mut fences: Vec<Fence> = Vec::new();
    let mut failure = None;
    for cloud in clouds {
        match read(&**cloud, sealer).await {
            Ok(found) => fences.extend(found.map(|(fence, _)| fence)),
            Err(error) if is_passed_over(&error) => passed_over.push(fence_name(&sealer.tag())),
            Err(error) => failure = Some(error),
        }
    }
    let Some(fence) = standing(&fences).cloned() else {
        // One that could not be read must not be taken for none: whoever was deposed would count. These
        // clouds have just answered, so it is worth another try; one that is away is not among them.
        let none = Fenced { passed_over, ..Fenced::default() };
        return failure.map_or(Ok(none), Err);
    };
    let head = match head_of(&fence, sealer, clouds, heads).await {
        Err(error) if is_passed_over(&error) => {
            passed_over.extend(fence.at.map(|at| at.head.name(&sealer.tag())));
            before(&fence, heads)
        }
        head => head?,
    };
    Ok(Fenced { fence: Some(fence), head, passed_over })
}

/// The newest head of the writer that a fence acknowledges, up to there.
fn before(fence: &Fence, heads: &[(ObjectRef, Head)]) -> Option<(ObjectRef, Head)> {
    let at = fence.at?;
    let is_before = |(object, head): &&(ObjectRef, Head)| {
        object.id.writer == at.writer && head.sequence <= at.sequence
    };
    let before: Vec<_> = heads.iter().filter(is_before).cloned().collect();
    backup::newest_head(&before).cloned()
}

/// The furthest fence that is not outlived: one that a takeover put into too few clouds, after which
/// the writer before was acknowledged further by the others.
fn standing(fences: &[Fence]) -> Option<&Fence> {
    let is_outlived = |half: &&Fence| {
        let goes_on = |fence: &&Fence| {
            fence.epoch < half.epoch
                && fence.progress().has_written
                && !fence.is_covered_by(half.at.as_ref())
        };
        // Who has written has taken over as many as it had to.
        !half.progress().has_written
            && fences.iter().filter(goes_on).any(|one| {
                let same = |fence: &&Fence| (fence.epoch, fence.writer) == (one.epoch, one.writer);
                let clouds = fences.iter().filter(goes_on).filter(same);
                let needed = clouds.clone().map(|fence| fence.acknowledged_by).max();
                needed.is_some_and(|needed| clouds.count() as u32 >= needed)
            })
    };
    furthest_fence(fences.iter().filter(|fence| !is_outlived(fence)))
}

async fn head_of(
    fence: &Fence,
    sealer: &ObjectSealer,
    clouds: &[Arc<dyn CloudBackend>],
    heads: &[(ObjectRef, Head)],
) -> Result<Option<(ObjectRef, Head)>> {
    let Some(at) = fence.at else { return Ok(None) };
    // Its own chain begins with a dump of all it took over.
    let is_own = |(object, head): &&(ObjectRef, Head)| {
        object.id.writer == fence.writer
            && (at.writer != fence.writer || head.sequence >= at.sequence)
    };
    let own: Vec<_> = heads.iter().filter(is_own).cloned().collect();
    if let Some(newest) = backup::newest_head(&own) {
        return Ok(Some(newest.clone()));
    }
    let mut failure = None;
    for cloud in clouds {
        match fetch(&**cloud, &sealer.tag(), &at.head).await {
            Ok(bytes) => match sealer.open(&at.head, ObjectHash::NONE, &bytes) {
                Ok(head) => return Ok(Some((at.head, head))),
                // Another cloud may have it whole.
                Err(error) => failure = Some(error.into()),
            },
            Err(Error::Backup(backup::Error::Missing { .. })) => {}
            Err(error) => failure = Some(error),
        }
    }
    failure.map_or(Ok(None), Err)
}
