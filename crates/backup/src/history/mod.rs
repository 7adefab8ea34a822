//! High-water marks: what was seen in each cloud, and what a later look makes suspicious.
//!
//! A cloud can serve what it likes, but it cannot make a device forget. Nothing here is applied or
//! undone: it is written down, told, and stays until it is resolved or the user has taken note.

mod finding;
mod look;
mod puts;

use serde::{Deserialize, Serialize};

pub use self::{
    finding::{Finding, Suspicion},
    look::{Ancestry, Sighting},
    puts::Put,
};
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
