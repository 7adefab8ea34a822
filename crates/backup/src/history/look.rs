//! Looking into a cloud: what it shows against what was seen there, and against other clouds.

use super::{Finding, History, Suspicion, WriterMark};
use crate::{ObjectRef, WriterId};

/// What one look into a cloud showed of one writer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sighting {
    /// Its newest head.
    pub head: ObjectRef,
    /// When that was put, by its writer's clock.
    pub time: u64,
    /// Whether it builds on the head seen before, as far as can be told.
    pub ancestry: Ancestry,
}

impl Sighting {
    /// Whether it is older than what was seen: it holds less, or the same and was put before. What
    /// builds on that is newer, whatever its writer's clock said.
    fn is_before(&self, mark: &WriterMark) -> bool {
        self.ancestry != Ancestry::Continues
            && (self.head.id.to, self.time) < (mark.head.id.to, mark.time)
    }
}

/// Whether a head builds on one seen before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ancestry {
    /// It is it, or surely builds on it; or none was seen before.
    Continues,
    /// It does not.
    Forks,
    /// The heads between are no longer there, or nobody has looked.
    Unknown,
}

impl History {
    /// Compares what a cloud shows with what it showed, and goes on from there. `sightings` has the
    /// newest head of each writer that has any. What was found for the first time.
    pub fn look(&mut self, cloud: &str, sightings: &[Sighting], now: u64) -> Vec<Finding> {
        let mut new = Vec::new();
        let known: Vec<WriterMark> = self.marks(cloud).writers.clone();
        for mark in &known {
            let writer = mark.head.id.writer;
            let sighting = sightings.iter().find(|seen| seen.head.id.writer == writer);
            let (had, has) = (mark.head.id.to, sighting.map(|seen| seen.head.id.to));
            let is_back = sighting.is_none_or(|seen| seen.is_before(mark));
            if is_back {
                new.extend(self.find(cloud, Suspicion::RolledBack { writer, had, has }, now));
                continue;
            }
            self.resolve(
                cloud,
                |what| matches!(what, Suspicion::RolledBack { writer: of, .. } if *of == writer),
            );
        }
        for sighting in sightings {
            let writer = sighting.head.id.writer;
            let mark = known.iter().find(|mark| mark.head.id.writer == writer);
            if mark.is_some_and(|mark| sighting.is_before(mark)) {
                continue;
            }
            if let (Some(mark), Ancestry::Forks) = (mark, sighting.ancestry) {
                let at = mark.head.id.to;
                new.extend(self.find(cloud, Suspicion::Forked { writer, at }, now));
            }
            if mark.is_none_or(|mark| mark.head != sighting.head) {
                self.set_mark(
                    cloud,
                    WriterMark { head: sighting.head, time: sighting.time, seen: now },
                );
            }
        }
        new
    }

    /// Compares the clouds with each other: what one has had for longer than `patience`
    /// milliseconds the others should have, too. Call it when each of `clouds` was just looked at.
    pub fn compare(&mut self, clouds: &[String], now: u64, patience: u64) -> Vec<Finding> {
        let marks: Vec<(String, WriterMark)> = clouds
            .iter()
            .filter_map(|cloud| self.clouds.iter().find(|marks| marks.cloud == *cloud))
            .flat_map(|marks| marks.writers.iter().map(|mark| (marks.cloud.clone(), *mark)))
            .collect();
        let mut new = Vec::new();
        for cloud in clouds {
            for (_, mark) in marks.iter().filter(|(other, _)| other != cloud) {
                let writer = mark.head.id.writer;
                let here = self.mark(cloud, writer).map(|mark| mark.head.id.to);
                let elsewhere = mark.head.id.to;
                let is_waited_for = now.saturating_sub(mark.seen) > patience;
                let withheld = |what: &Suspicion| {
                    matches!(what, Suspicion::WithheldTail { writer: of, elsewhere, .. }
                        if *of == writer && here.is_some_and(|here| here >= *elsewhere))
                };
                if here.is_none_or(|here| here < elsewhere) && is_waited_for {
                    let what = Suspicion::WithheldTail { writer, elsewhere, has: here };
                    new.extend(self.find(cloud, what, now));
                }
                self.resolve(cloud, withheld);
            }
        }
        new
    }

    /// Reports writers of whom no new head came for `frozen_after` milliseconds. `is_running` leaves
    /// out those that are known not to run any more.
    pub fn frozen(
        &mut self,
        cloud: &str,
        now: u64,
        frozen_after: u64,
        is_running: impl Fn(WriterId) -> bool,
    ) -> Vec<Finding> {
        let mut new = Vec::new();
        for mark in self.marks(cloud).writers.clone() {
            let writer = mark.head.id.writer;
            let is_this = |what: &Suspicion| matches!(what, Suspicion::Frozen { writer: of, .. } if *of == writer);
            // By our own clock: when we first saw it, so a wrong clock elsewhere raises no alarm.
            if now.saturating_sub(mark.seen) > frozen_after && is_running(writer) {
                let what = Suspicion::Frozen { writer, newest: mark.time };
                new.extend(self.find(cloud, what, now));
            } else {
                self.resolve(cloud, is_this);
            }
        }
        new
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Class, ObjectHash, ObjectId};

    const CLOUD: &str = "dir:/c";

    fn seen(sequence: u64, time: u64, ancestry: Ancestry) -> Sighting {
        let writer = WriterId::from_bytes([1; 16]);
        let id = ObjectId {
            class: Class::Head,
            writer,
            epoch: 0,
            from: sequence,
            to: sequence,
            part: 0,
        };
        let hash = ObjectHash::of(&[sequence.to_le_bytes(), time.to_le_bytes()].concat());
        Sighting { head: ObjectRef { id, hash }, time, ancestry }
    }

    #[test]
    fn a_head_that_builds_on_the_one_seen_is_no_rollback_whatever_the_clock_said() {
        for (sequence, ancestry, is_back) in [
            // The same changes, said again after the clock was set back.
            (7, Ancestry::Continues, false),
            (7, Ancestry::Unknown, true),
            (7, Ancestry::Forks, true),
            (8, Ancestry::Unknown, false),
            (6, Ancestry::Unknown, true),
        ] {
            let mut history = History::default();
            assert_eq!(history.look(CLOUD, &[seen(7, 5000, Ancestry::Continues)], 1), []);
            let later = seen(sequence, 100, ancestry);
            let new = history.look(CLOUD, &[later], 2);
            let told = new.iter().any(|new| matches!(new.what, Suspicion::RolledBack { .. }));
            assert_eq!(told, is_back, "{sequence} {ancestry:?}");
            let mark = *history.mark(CLOUD, later.head.id.writer).unwrap();
            assert_eq!(mark.head == later.head, !is_back, "the mark follows what is newer");
        }
    }

    #[test]
    fn what_went_back_and_came_again_is_struck_out() {
        let mut history = History::default();
        history.look(CLOUD, &[seen(7, 50, Ancestry::Continues)], 1);
        assert_eq!(history.look(CLOUD, &[seen(6, 40, Ancestry::Unknown)], 2).len(), 1);
        assert_eq!(history.look(CLOUD, &[], 3), [], "it is told once");
        assert_eq!(history.findings.len(), 1);
        assert_eq!(history.look(CLOUD, &[seen(8, 60, Ancestry::Continues)], 4), []);
        assert_eq!(history.findings, []);
    }
}
