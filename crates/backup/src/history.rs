//! High-water marks: what was seen in each cloud, and what a later look makes suspicious.
//!
//! A cloud can serve what it likes, but it cannot make a device forget. Nothing here is applied or
//! undone: it is written down, told, and stays until it is resolved or the user has taken note.

use serde::{Deserialize, Serialize};

use crate::{FenceProgress, ObjectRef, WriterId, codec};

/// The newest version of [`History`] this program reads.
pub(crate) const HISTORY_VERSION: u32 = 1;

/// How many findings are kept; of more than these the oldest say enough.
const FINDINGS: usize = 200;

/// What this installation has seen in its clouds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct History {
    pub(crate) version: u32,
    /// By cloud.
    pub clouds: Vec<CloudMarks>,
    /// What is suspicious, oldest first.
    pub findings: Vec<Finding>,
    /// Reserved for what later versions add; readers of version 1 skip it.
    pub extensions: Vec<(u32, Vec<u8>)>,
}

/// The furthest that was seen in one cloud.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CloudMarks {
    /// The cloud's address, or its place among those given.
    #[serde(with = "codec::text")]
    pub cloud: String,
    /// Of each writer.
    pub writers: Vec<WriterMark>,
    /// Of the fencing head.
    pub fence: Option<FenceProgress>,
    /// What the cloud was seen to honour.
    pub conditions: Option<Conditions>,
}

/// Which conditions a cloud honoured when that was tried out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Conditions {
    /// It creates an object only if there is none.
    pub creates_once: bool,
    /// It replaces an object only if that is unchanged.
    pub replaces_if_unchanged: bool,
    /// When that was tried out, by this device's clock, in milliseconds since the Unix epoch.
    pub time: u64,
}

/// The newest head seen of a writer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct WriterMark {
    /// The head.
    pub head: ObjectRef,
    /// When it was put, by its writer's clock, in milliseconds since the Unix epoch.
    pub time: u64,
    /// When it was first seen, by this device's clock.
    pub seen: u64,
}

/// Something a cloud or another device did that an honest one does not do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// In which cloud.
    #[serde(with = "codec::text")]
    pub cloud: String,
    /// What.
    pub what: Suspicion,
    /// When it was first noticed, by this device's clock, in milliseconds since the Unix epoch.
    pub since: u64,
    /// When it was last seen to be so.
    pub last: u64,
    /// Whether the user has taken note.
    pub acknowledged: bool,
}

/// What is suspicious.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Suspicion {
    /// The cloud had a head of this writer and now serves only older ones, or none. Use another
    /// cloud; do not restore from this one.
    RolledBack {
        /// Whose.
        writer: WriterId,
        /// The sequence number it had.
        had: u64,
        /// The one it serves now; `None`: no head at all.
        has: Option<u64>,
    },
    /// The writer's newest head does not build on the one seen before: two histories of one writer.
    /// Another copy of its folder writes, or the cloud shows different things to different devices.
    Forked {
        /// Whose.
        writer: WriterId,
        /// The sequence number up to which the other history was seen.
        at: u64,
    },
    /// Another cloud has had a newer head of this writer for a while. This one withholds it, or did
    /// not get it.
    WithheldTail {
        /// Whose.
        writer: WriterId,
        /// What another cloud has.
        elsewhere: u64,
        /// What this one serves; `None`: no head at all.
        has: Option<u64>,
    },
    /// No new head of a writer for longer than the setting says. It is switched off, or the cloud
    /// serves an old state.
    Frozen {
        /// Whose.
        writer: WriterId,
        /// When its newest head was put, by its own clock, in milliseconds since the Unix epoch.
        newest: u64,
    },
    /// An object that a head needs is not there.
    Gap {
        /// Whose.
        writer: WriterId,
        /// The head that needs it, by its sequence number.
        head: u64,
    },
    /// There are heads or a fencing head of this installation that it did not put: its folder was
    /// copied, or is the copy.
    Copied {
        /// The sequence number found.
        found: u64,
    },
    /// A writer that was fenced off goes on writing single-writer data, which nobody takes.
    StaleWriter {
        /// Who.
        writer: WriterId,
        /// What counts of it.
        counts: u64,
        /// How far it has gone.
        has: u64,
    },
    /// The fencing head went back, or has gone.
    FenceRolledBack {
        /// What was seen.
        had: FenceProgress,
        /// What is there.
        has: Option<FenceProgress>,
    },
    /// The cloud has no true compare-and-swap, and two devices write single-writer data.
    ConcurrentWriters {
        /// The other one.
        writer: WriterId,
    },
}

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
    /// Whether it is older than what was seen: it holds less, or the same and was put before.
    fn is_before(&self, mark: &WriterMark) -> bool {
        (self.head.id.to, self.time) < (mark.head.id.to, mark.time)
    }
}

/// Whether a head builds on one seen before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ancestry {
    /// It is it, or builds on it; or none was seen before.
    Continues,
    /// It does not.
    Forks,
    /// The heads between are no longer there.
    Unknown,
}

impl Default for History {
    fn default() -> Self {
        Self {
            version: HISTORY_VERSION,
            clouds: Vec::new(),
            findings: Vec::new(),
            extensions: Vec::new(),
        }
    }
}

impl History {
    /// The newest head seen of a writer in a cloud.
    pub fn mark(&self, cloud: &str, writer: WriterId) -> Option<&WriterMark> {
        let marks = self.clouds.iter().find(|marks| marks.cloud == cloud)?;
        marks.writers.iter().find(|mark| mark.head.id.writer == writer)
    }

    /// The furthest that the fencing head of a cloud was seen.
    pub fn fence_mark(&self, cloud: &str) -> Option<FenceProgress> {
        self.clouds.iter().find(|marks| marks.cloud == cloud)?.fence
    }

    /// What a cloud was seen to honour.
    pub fn conditions(&self, cloud: &str) -> Option<Conditions> {
        self.clouds.iter().find(|marks| marks.cloud == cloud)?.conditions
    }

    /// Notes what a cloud honours.
    pub fn saw_conditions(&mut self, cloud: &str, conditions: Conditions) {
        self.marks(cloud).conditions = Some(conditions);
    }

    /// Notes how far the fencing head of a cloud is.
    pub fn saw_fence(&mut self, cloud: &str, progress: FenceProgress) {
        let fence = &mut self.marks(cloud).fence;
        *fence = (*fence).max(Some(progress));
        self.resolve(cloud, |what| matches!(what, Suspicion::FenceRolledBack { .. }));
    }

    /// Notes a head of this installation that the cloud has acknowledged.
    pub fn put_head(&mut self, cloud: &str, head: ObjectRef, time: u64, now: u64) {
        self.set_mark(cloud, WriterMark { head, time, seen: now });
    }

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

    /// Writes something down; it, if it is new.
    pub fn find(&mut self, cloud: &str, what: Suspicion, now: u64) -> Option<Finding> {
        let known = self.findings.iter_mut().find(|f| f.cloud == cloud && f.what.is_same(&what));
        if let Some(known) = known {
            (known.what, known.last) = (what, now);
            return None;
        }
        let finding =
            Finding { cloud: cloud.to_owned(), what, since: now, last: now, acknowledged: false };
        self.findings.push(finding.clone());
        let surplus = self.findings.len().saturating_sub(FINDINGS);
        self.findings.drain(..surplus);
        Some(finding)
    }

    /// Strikes out what is no longer so.
    pub fn resolve(&mut self, cloud: &str, is_resolved: impl Fn(&Suspicion) -> bool) {
        self.findings.retain(|finding| finding.cloud != cloud || !is_resolved(&finding.what));
    }

    /// The writers of whom an object is missing in a cloud.
    pub fn gaps(&self, cloud: &str) -> impl Iterator<Item = WriterId> {
        self.findings.iter().filter(move |f| f.cloud == cloud).filter_map(|f| match f.what {
            Suspicion::Gap { writer, .. } => Some(writer),
            _ => None,
        })
    }

    /// What the user has not taken note of.
    pub fn open_findings(&self) -> impl Iterator<Item = &Finding> {
        self.findings.iter().filter(|finding| !finding.acknowledged)
    }

    /// The user has taken note of everything found so far. What went back is from now on measured by
    /// what is there; how many findings it were.
    pub fn acknowledge(&mut self) -> usize {
        let mut count = 0;
        for finding in self.findings.iter_mut().filter(|finding| !finding.acknowledged) {
            finding.acknowledged = true;
            count += 1;
        }
        let findings = std::mem::take(&mut self.findings);
        for finding in &findings {
            let Some(marks) = self.clouds.iter_mut().find(|m| m.cloud == finding.cloud) else {
                continue;
            };
            match finding.what {
                Suspicion::RolledBack { writer, .. } => {
                    marks.writers.retain(|mark| mark.head.id.writer != writer);
                }
                Suspicion::FenceRolledBack { has, .. } => marks.fence = has,
                _ => {}
            }
        }
        // What describes a state stays written down while it lasts; what is measured anew goes.
        self.findings = findings.into_iter().filter(|finding| finding.what.lasts()).collect();
        count
    }

    fn marks(&mut self, cloud: &str) -> &mut CloudMarks {
        let at = match self.clouds.iter().position(|marks| marks.cloud == cloud) {
            Some(at) => at,
            None => {
                self.clouds.push(CloudMarks { cloud: cloud.to_owned(), ..CloudMarks::default() });
                self.clouds.len() - 1
            }
        };
        #[expect(clippy::indexing_slicing, reason = "it was found or pushed just now")]
        &mut self.clouds[at]
    }

    fn set_mark(&mut self, cloud: &str, mark: WriterMark) {
        let writers = &mut self.marks(cloud).writers;
        writers.retain(|known| known.head.id.writer != mark.head.id.writer);
        writers.push(mark);
    }
}

impl Suspicion {
    /// Whether it is the same thing, seen again.
    fn is_same(&self, other: &Self) -> bool {
        use Suspicion::{Forked, Frozen, Gap, RolledBack, StaleWriter, WithheldTail};
        match (self, other) {
            (RolledBack { writer: a, .. }, RolledBack { writer: b, .. })
            | (WithheldTail { writer: a, .. }, WithheldTail { writer: b, .. })
            | (Frozen { writer: a, .. }, Frozen { writer: b, .. })
            | (Gap { writer: a, .. }, Gap { writer: b, .. })
            | (StaleWriter { writer: a, .. }, StaleWriter { writer: b, .. }) => a == b,
            (Forked { .. }, Forked { .. }) => self == other,
            _ => std::mem::discriminant(self) == std::mem::discriminant(other),
        }
    }

    /// Whether it goes on being so after the user took note.
    fn lasts(&self) -> bool {
        matches!(
            self,
            Self::Frozen { .. }
                | Self::WithheldTail { .. }
                | Self::Gap { .. }
                | Self::StaleWriter { .. }
                | Self::Copied { .. }
                | Self::ConcurrentWriters { .. }
        )
    }
}
