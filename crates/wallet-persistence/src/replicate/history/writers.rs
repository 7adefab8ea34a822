//! Writers that should not write: one that was replaced, and a copy of this folder.

use backup::{Fence, ObjectRef, Sighting, Suspicion};
use cloud::CloudBackend;

use super::{super::fetch, SESSION_EXTENSION, look_into::open};
use crate::{Error, Result, session::Inner};

/// How many of this installation's own heads are looked at: more than a cloud keeps for long.
const OWN_HEADS: usize = 8;

/// Writers that were fenced off and go on with single-writer data.
pub(super) async fn stale_writers(
    inner: &Inner,
    cloud: (usize, &dyn CloudBackend),
    fence: &Fence,
    sightings: &[Sighting],
) -> Result<()> {
    let me = inner.tower.recorder.state().writer;
    for sighting in sightings {
        let (writer, has) = (sighting.head.id.writer, sighting.head.id.to);
        let Some(counts) = fence.counts_for(writer).filter(|counts| *counts < has) else {
            continue;
        };
        if writer == me || writer == fence.writer {
            continue;
        }
        match writes_single(inner, cloud, &sighting.head, counts).await {
            Ok(false) | Err(Error::Backup(_)) => {}
            Err(other) => return Err(other),
            Ok(true) => {
                let what = Suspicion::StaleWriter { writer, counts, has };
                let name = inner.cloud_name(cloud.0);
                inner.change_history(|history, now| {
                    history.find(&name, what, now).into_iter().collect()
                })?;
            }
        }
    }
    Ok(())
}

/// Whether the newest segment of a head comes behind `counts` and holds single-writer data.
async fn writes_single(
    inner: &Inner,
    cloud: (usize, &dyn CloudBackend),
    object: &ObjectRef,
    counts: u64,
) -> Result<bool> {
    let head = open(inner, cloud, object).await?;
    let Some(newest) = head.newest.filter(|newest| newest.range().1 > counts) else {
        return Ok(false);
    };
    for part in &newest.parts {
        let bytes = fetch(cloud.1, &inner.tower.sealer.tag(), part).await?;
        let body: backup::SegmentBody = inner.tower.sealer.open(part, newest.previous, &bytes)?;
        if !body.single_writer.is_empty() {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Finds the newest head that carries this installation's name and was put by another folder; and
/// whether it comes before the newest of our own. `mark` is the newest of them seen there before.
pub(super) async fn own_heads(
    inner: &Inner,
    cloud: (usize, &dyn CloudBackend),
    mut own: Vec<ObjectRef>,
    mark: Option<&ObjectRef>,
) -> Result<Option<(ObjectRef, bool)>> {
    own.sort_unstable_by_key(|object| (object.id.to, object.hash));
    let state = inner.tower.recorder.state();
    let fence = inner.fence_state_with_sessions();
    // A cloud that was away may have heads of sessions that are forgotten.
    let has_forgotten = fence.has_forgotten_sessions();
    let is_old = |object: &ObjectRef| mark.is_some_and(|mark| object.id.to <= mark.id.to);
    let mut sessions = fence.sessions;
    sessions.push(inner.fence_session());
    let ours = state.head.map(|head| (head.id.to, head.hash));
    let newest = (state.head.map_or(0, |head| head.id.to), state.last_backup.unwrap_or(0));
    let mut foreign = None;
    for object in own.iter().rev().take(OWN_HEADS) {
        if state.head == Some(*object) {
            continue;
        }
        let head = match open(inner, cloud, object).await {
            Ok(head) => head,
            // What does not open was put by nobody.
            Err(Error::Backup(_)) => continue,
            Err(other) => return Err(other),
        };
        let session = head.extensions.iter().find(|(id, _)| *id == SESSION_EXTENSION);
        let is_beyond = object.id.to > inner.tower.recorder.sequence();
        let is_ours = match session {
            Some((_, session)) => {
                let is_known = sessions.iter().any(|known| known[..] == session[..]);
                is_known || (has_forgotten && is_old(object))
            }
            None => true,
        };
        if is_beyond || !is_ours {
            let place = Some((object.id.to, object.hash));
            foreign = foreign.max(Some((*object, is_beyond || place > ours)));
        } else if (object.id.to, head.time) > newest || head.previous == state.head {
            // Several heads may hold the same: the later one is the newer, and so shall ours be.
            inner.tower.recorder.saw_head_time(head.time);
            inner.adopt(*object, head.time);
        }
    }
    Ok(foreign)
}
