//! One key through the restore points of a chain.

use backup::{ChainWalk, DumpIndex, Head, KeptDump, KeyState, ObjectHash, OneKey, WriterId};
use kv_core::Value;

use super::dump::in_dump;
use crate::{
    Result,
    restore::{Segments, Source, newest_point},
};

/// Restore points that follow each other and hold the same.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Span {
    /// What the key held.
    pub(super) value: Option<Value>,
    /// Sequence number and time of the oldest one.
    pub(super) first: (u64, u64),
    /// And of the newest one.
    pub(super) last: (u64, u64),
    /// How many there are.
    pub(super) points: u64,
}

/// What the key held at the restore points in the chain of `head`, oldest first.
pub(super) async fn spans(source: &Source, head: &Head, key: OneKey) -> Result<Vec<Span>> {
    let writer = newest_point(head)?.writer;
    let index: DumpIndex = source.open(&head.dump, ObjectHash::NONE).await?.0;
    backup::check_dump(writer, &head.dump, &index)?;
    let mut dumps = vec![index.kept(head.dump)];
    dumps.extend(&index.older);
    dumps.sort_by_key(|dump| (dump.index.id.from, dump.index.id.to));
    dumps.dedup_by_key(|dump| dump.index.id.from);
    let (key, steps) = steps(source, writer, head, &dumps, key).await?;
    let mut fold = Fold { source, writer, key: Some(key), spans: Vec::new(), head };
    fold.run(&dumps, steps).await?;
    Ok(fold.spans)
}

/// A segment, and what it says of the key.
struct Step {
    range: (u64, u64),
    time: u64,
    says: Option<KeyState>,
}

/// All segments behind the oldest dump, oldest first.
async fn steps(
    source: &Source,
    writer: WriterId,
    head: &Head,
    dumps: &[KeptDump],
    mut key: OneKey,
) -> Result<(OneKey, Vec<Step>)> {
    let floor = dumps.first().map_or(head.dump.id.from, |dump| dump.index.id.from);
    let walk = ChainWalk::back_to(writer, head.newest.clone(), floor);
    let mut walk = walk.over(dumps.iter().map(|dump| dump.index.id.from));
    let mut segments = Segments::new(source, writer, (floor, head.sequence)).await?;
    let mut steps = Vec::new();
    while let Some(link) = walk.next_link()?.cloned() {
        let (bodies, _) = segments.bodies(&link).await?;
        let opened = walk.opened_segment(bodies)?;
        key.look(opened.entries.into())?;
        steps.push(Step { range: opened.range, time: opened.time.1, says: key.end_layer()? });
    }
    steps.reverse();
    Ok((key, steps))
}

struct Fold<'a> {
    source: &'a Source,
    writer: WriterId,
    /// Lent to whoever reads a dump.
    key: Option<OneKey>,
    spans: Vec<Span>,
    head: &'a Head,
}

impl Fold<'_> {
    async fn run(&mut self, dumps: &[KeptDump], steps: Vec<Step>) -> Result<()> {
        let mut dumps = dumps.iter().peekable();
        let Some(oldest) = dumps.next() else { return Ok(()) };
        let mut value = self.read(oldest).await?;
        // What a dump read while others wrote is no moment before its end.
        let (mut at, mut valid) = (oldest.index.id.from, oldest.index.id.to);
        if at == valid {
            self.point((at, oldest.time), &value);
        }
        for step in steps {
            let (from, to) = step.range;
            while let Some(dump) = dumps.next_if(|dump| dump.index.id.from < to) {
                let id = dump.index.id;
                // Where the log was dropped a dump takes the place of segments.
                let bridges = id.from > at && id.from + 1 == from;
                let stands_alone = id.from > at && id.from == id.to;
                if !(bridges || stands_alone) {
                    continue;
                }
                let held = self.read(dump).await?;
                if stands_alone {
                    self.point((id.from, dump.time), &held);
                }
                if bridges {
                    (value, valid) = (held, id.to);
                }
            }
            match step.says {
                Some(KeyState::Value(new)) => value = Some(new),
                Some(KeyState::Removed) => value = None,
                None => {}
            }
            if to >= valid {
                self.point((to, step.time), &value);
            }
            at = to;
        }
        for dump in dumps {
            let id = dump.index.id;
            if id.from > at && id.from == id.to {
                let held = self.read(dump).await?;
                self.point((id.from, dump.time), &held);
            }
        }
        Ok(())
    }

    async fn read(&mut self, dump: &KeptDump) -> Result<Option<Value>> {
        let key = self.key.take().ok_or(crate::Error::Task)?;
        let (key, value) = in_dump(self.source, self.writer, dump.index, key).await?;
        self.key = Some(key);
        Ok(value)
    }

    fn point(&mut self, (sequence, time): (u64, u64), value: &Option<Value>) {
        // The newest one counts from when it was put.
        let is_newest = sequence == self.head.sequence;
        let moment = (sequence, if is_newest { self.head.time } else { time });
        match self.spans.last_mut() {
            Some(last) if last.value == *value => {
                last.last = moment;
                last.points += 1;
            }
            _ => self.spans.push(Span {
                value: value.clone(),
                first: moment,
                last: moment,
                points: 1,
            }),
        }
    }
}
