//! Which moment to restore.

use backup::{ChainWalk, DumpIndex, Head, KeptDump, Link, ObjectHash, ObjectRef};
use serde::Serialize;

use super::{
    layers::Point,
    source::{Segments, Source},
};
use crate::Result;

/// Which restore point is wanted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub enum RestoreAt {
    /// The newest.
    #[default]
    Newest,
    /// The newest one whose last change was made at this time or before, in milliseconds since the
    /// Unix epoch, by its writer's clock.
    Time(u64),
    /// The newest one that holds nothing behind this sequence number, of the writer of the newest head.
    Sequence(u64),
}

impl RestoreAt {
    fn admits(self, sequence: u64, time: u64) -> bool {
        match self {
            Self::Newest => true,
            Self::Time(wanted) => time <= wanted,
            Self::Sequence(wanted) => sequence <= wanted,
        }
    }

    fn refusal(self) -> backup::Error {
        let what = match self {
            Self::Newest => "now".to_owned(),
            Self::Time(time) => format!("the time {time}"),
            Self::Sequence(sequence) => format!("change {sequence}"),
        };
        backup::Error::NoRestorePoint { what }
    }
}

/// The restore point of a head.
pub(crate) fn newest(head: &Head) -> Result<Point> {
    // Checks that head, dump and newest segment fit.
    ChainWalk::new(head)?;
    Ok(Point {
        writer: head.dump.id.writer,
        sequence: head.sequence,
        time: head.time,
        newest: head.newest.clone().filter(|link| link.range().1 > head.dump.id.from),
        dump: head.dump,
    })
}

/// The newest restore point in the chain of `head` that `at` admits.
pub(crate) async fn find(source: &Source, head: &Head, at: RestoreAt) -> Result<Point> {
    let mut found = None;
    let may_reach = |dump: &KeptDump| at.admits(dump.index.id.from, dump.time);
    let each = |point: Point| {
        if at.admits(point.sequence, point.time) {
            found = Some(point);
        }
        found.is_some()
    };
    visit_points(source, head, may_reach, each).await?;
    found.ok_or_else(|| at.refusal().into())
}

/// Shows the restore points in the chain of `head` to `each`, newest first, until it has enough.
/// Some are shown twice. Those between a dump and the next newer one only if `of_interest` says so
/// of the dump: for them segments must be read.
pub(crate) async fn visit_points(
    source: &Source,
    head: &Head,
    of_interest: impl Fn(&KeptDump) -> bool,
    mut each: impl FnMut(Point) -> bool,
) -> Result<()> {
    let newest = newest(head)?;
    if each(newest.clone()) {
        return Ok(());
    }
    let index: DumpIndex = source.open(&head.dump, ObjectHash::NONE).await?.0;
    backup::check_dump(newest.writer, &head.dump, &index)?;
    let mut dumps = vec![index.kept(head.dump)];
    dumps.extend(&index.older);
    let covered: Vec<u64> = dumps.iter().map(|dump| dump.index.id.from).collect();
    // From which segment to look back for points between a dump and the next newer one.
    let mut begin = (head.newest.clone(), u64::MAX);
    for dump in dumps {
        let way = (begin.0.clone(), &*covered);
        if of_interest(&dump) && look_back(source, &newest, &dump, way, &mut each).await? {
            return Ok(());
        }
        // The segment that was newest when this dump began ends where the dump begins: then it is
        // enough to begin there. Else some changes lie between the two.
        let opened: DumpIndex = source.open(&dump.index, ObjectHash::NONE).await?.0;
        let end = opened.newest.as_ref().map_or(0, |link| link.range().1);
        if end == dump.index.id.from && end < begin.1 {
            begin = (opened.newest, end);
        }
    }
    Ok(())
}

/// The points between a dump and the segment `newest`, newest first; whether `each` has enough.
async fn look_back(
    source: &Source,
    chain: &Point,
    dump: &KeptDump,
    (newest, covered): (Option<Link>, &[u64]),
    each: &mut impl FnMut(Point) -> bool,
) -> Result<bool> {
    let id = dump.index.id;
    let point = |sequence, time, newest| Point {
        writer: chain.writer,
        sequence,
        time,
        newest,
        dump: dump.index,
    };
    let last = newest.as_ref().map_or(id.from, |link| link.range().1);
    let walk = ChainWalk::back_to(chain.writer, newest, id.from);
    let mut walk = walk.over(covered.iter().copied());
    let mut segments = Segments::new(source, chain.writer, (id.from, last)).await?;
    while let Some(link) = walk.next_link()?.cloned() {
        let (bodies, _) = segments.bodies(&link).await?;
        let opened = walk.opened_segment(bodies)?;
        let sequence = opened.range.1;
        // What a dump read while others wrote is no moment before its end.
        if sequence >= id.to && each(point(sequence, opened.time.1, Some(link))) {
            return Ok(true);
        }
    }
    Ok(id.from == id.to && each(point(id.from, dump.time, None)))
}

/// The newest restore point over the chains of several heads, each the newest of its writer; `newest`
/// is the one that would be restored without a wish.
pub(crate) async fn find_among<'a>(
    source: &Source,
    heads: &'a [(ObjectRef, Head)],
    newest: &'a (ObjectRef, Head),
    at: RestoreAt,
) -> Result<(Point, &'a ObjectRef)> {
    match at {
        RestoreAt::Newest => Ok((self::newest(&newest.1)?, &newest.0)),
        RestoreAt::Sequence(_) => Ok((find(source, &newest.1, at).await?, &newest.0)),
        RestoreAt::Time(_) => {
            let mut best: Option<(Point, &ObjectRef)> = None;
            for (object, head) in heads {
                match find(source, head, at).await {
                    Ok(point) if best.as_ref().is_none_or(|(b, _)| point.time > b.time) => {
                        best = Some((point, object));
                    }
                    Ok(_) | Err(crate::Error::Backup(backup::Error::NoRestorePoint { .. })) => {}
                    Err(error) => return Err(error),
                }
            }
            best.ok_or_else(|| at.refusal().into())
        }
    }
}
