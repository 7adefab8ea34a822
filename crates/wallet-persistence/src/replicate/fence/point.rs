//! Where single-writer data is restored from: what the fence says, not what a clock says.

use std::sync::Arc;

use backup::{Fence, Head, ObjectHash, ObjectRef, ObjectSealer, furthest_fence};
use cloud::CloudBackend;

use super::read;
use crate::{Error, Result, replicate::fetch};

/// The head that the newest acknowledged single-writer data is in, of `heads` or one that the fence
/// names; `None` if no cloud has a fencing head, or one that acknowledges nothing.
///
/// The newest head of the holder counts. A holder that has put none yet holds exactly the restore
/// point that it took over: what the writer before has put later does not count.
pub(crate) async fn fenced_head(
    sealer: &ObjectSealer,
    clouds: &[Arc<dyn CloudBackend>],
    heads: &[(ObjectRef, Head)],
) -> Result<Option<(ObjectRef, Head)>> {
    let mut fences: Vec<Fence> = Vec::new();
    let mut failure = None;
    for cloud in clouds {
        match read(&**cloud, sealer).await {
            Ok(found) => fences.extend(found.map(|(fence, _)| fence)),
            Err(error) => failure = Some(error),
        }
    }
    let Some(fence) = furthest_fence(&fences) else {
        return match failure {
            // A damaged one must not be taken for none.
            Some(error @ Error::Backup(_)) => Err(error),
            _ => Ok(None),
        };
    };
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
    let mut failure = Error::NoCloud;
    for cloud in clouds {
        match fetch(&**cloud, &sealer.tag(), &at.head).await {
            Ok(bytes) => {
                let head = sealer.open(&at.head, ObjectHash::NONE, &bytes)?;
                return Ok(Some((at.head, head)));
            }
            Err(error) => failure = error,
        }
    }
    Err(failure)
}
