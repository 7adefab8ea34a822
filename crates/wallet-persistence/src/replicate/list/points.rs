//! Every restore point with its time: that is in the segments, so they are read.

use backup::{Head, ObjectRef, WriterId};
use serde::Serialize;

use super::newest_heads;
use crate::{
    Result,
    restore::{Point, visit_points},
    session::Inner,
};

/// One moment that can be restored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct RestorePoint {
    /// Whose chain it lies in.
    pub writer: String,
    /// Whether that is this device's.
    pub mine: bool,
    /// The last change it holds, by its writer's numbers.
    pub sequence: u64,
    /// Its time in milliseconds since the Unix epoch, by its writer's clock: when the newest one was
    /// put into the cloud, when the last change of an older one was made.
    pub time: u64,
    /// How long ago that was by this device's clock, in milliseconds.
    pub age_ms: u64,
}

/// The newest restore points of every chain, at most `limit` of each; newest chain first.
#[tracing::instrument(skip_all)]
pub(crate) async fn points(inner: &Inner, limit: usize) -> Result<Vec<RestorePoint>> {
    let (found, mut newest) = newest_heads(inner).await?;
    newest.sort_by_key(|(object, head)| std::cmp::Reverse((head.time, *object)));
    let mut all = Vec::new();
    for (object, head) in newest {
        let points = of_chain(&found.source, &head, limit).await?;
        let of = |point: Point| RestorePoint::of(&point, object, found.mine, found.now);
        all.extend(points.into_iter().map(of));
    }
    Ok(all)
}

/// The newest restore points in the chain of `head`, newest first.
async fn of_chain(
    source: &crate::restore::Source,
    head: &Head,
    limit: usize,
) -> Result<Vec<Point>> {
    let mut points: Vec<Point> = Vec::new();
    let each = |point: Point| {
        // The way to an older dump may lead over what was seen on the way to a newer one.
        if points.last().is_none_or(|last| point.sequence < last.sequence) && points.len() < limit {
            points.push(point);
        }
        points.len() >= limit
    };
    visit_points(source, head, |_| true, each).await?;
    Ok(points)
}

impl RestorePoint {
    fn of(point: &Point, object: ObjectRef, mine: WriterId, now: u64) -> Self {
        Self {
            writer: object.id.writer.to_string(),
            mine: object.id.writer == mine,
            sequence: point.sequence,
            time: point.time,
            age_ms: now.saturating_sub(point.time),
        }
    }
}
