//! What an installation remembers of the other writers, in the store it backs up.

use kv_core::{Error, KvStore, Result};
use serde::{Deserialize, Serialize};

use crate::{
    Head, ObjectRef, WriterId, codec,
    log::{self, Places},
    merge::Known,
};

/// The newest version of [`Others`] this program reads.
const OTHERS_VERSION: u32 = 1;

/// The extension of a head that holds [`HeadOthers`].
const EXTENSION: u32 = 16;

/// The extension of [`Others`], without content, that stands there while this installation has
/// retired somebody and no head of its own that is in the cloud says so.
const UNTOLD: u32 = 1;

/// Per writer a time and counter of its stamps.
type Seen = Vec<(WriterId, (u64, u32))>;

/// What was merged from whom. Written in the batch that merges.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Others {
    version: u32,
    /// Whole heads whose mergeable changes are here, oldest first; of each writer as many as it
    /// takes to know the newest one of every restore point of ours that is still to be made.
    applied: Vec<Applied>,
    /// From which sequence number of ours on what is known, oldest first: per writer the greatest
    /// stamp of which everything before is here.
    known: Vec<(u64, Seen)>,
    /// Writers whose chains no longer count.
    retired: Vec<Retired>,
    /// Tombstones are forgotten up to this one, by the numbers of this writer: whoever has merged
    /// less of that writer may hold what they removed.
    trimmed: Option<(WriterId, u64)>,
    /// Reserved for what later versions add; readers of version 1 skip it.
    extensions: Vec<(u32, Vec<u8>)>,
}

/// A head of another writer whose mergeable changes are all here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Applied {
    pub(crate) head: ObjectRef,
    /// The sequence number of ours from which on they are.
    at: u64,
    /// When the head was put, by its writer's clock.
    pub(crate) time: u64,
    /// Up to which of our sequence numbers its writer had merged us.
    pub(crate) has_ours_to: u64,
}

/// A writer that was unseen for so long that the others no longer wait for it, or that has missed
/// removals which the others have forgotten.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Retired {
    /// Who.
    pub writer: WriterId,
    /// The last of its sequence numbers that was merged by those who retired it.
    pub sequence: u64,
    /// When it was retired, in milliseconds since the Unix epoch.
    pub since: u64,
}

/// What a head tells beside the heads it has seen.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct HeadOthers {
    known: Seen,
    retired: Vec<Retired>,
    trimmed: Option<(WriterId, u64)>,
}

impl Others {
    pub(crate) fn new() -> Self {
        Self { version: OTHERS_VERSION, ..Self::default() }
    }

    pub(crate) fn load(store: &dyn KvStore, places: &Places) -> Result<Self> {
        let Some(bytes) = store.read(&places.state, &log::others())? else {
            return Ok(Self::new());
        };
        let found = bytes.first_chunk().map_or(0, |version| u32::from_le_bytes(*version));
        match found {
            0 => Err(log::damaged("what is known of other writers has no version")),
            1..=OTHERS_VERSION => log::read("other writers", &bytes),
            _ => Err(Error::TooNew { store: log::STORE, found, newest: OTHERS_VERSION }),
        }
    }

    /// The newest head of a writer that is merged.
    pub(crate) fn newest(&self, writer: WriterId) -> Option<&Applied> {
        self.applied.iter().rev().find(|applied| applied.head.id.writer == writer)
    }

    /// The newest merged head of each writer, as of our sequence number `sequence`.
    pub(crate) fn seen_at(&self, sequence: u64) -> Vec<ObjectRef> {
        let mut seen: Vec<ObjectRef> = Vec::new();
        for applied in self.applied.iter().rev().filter(|applied| applied.at <= sequence) {
            if seen.iter().all(|known| known.id.writer != applied.head.id.writer) {
                seen.push(applied.head);
            }
        }
        seen.sort_unstable();
        seen
    }

    /// The writers of whom something is merged and who are not retired.
    pub(crate) fn waiting_for(&self) -> impl Iterator<Item = &Applied> {
        self.applied.iter().enumerate().filter_map(|(i, applied)| {
            let writer = applied.head.id.writer;
            let later = self.applied.iter().skip(i + 1);
            let is_newest = later.clone().all(|later| later.head.id.writer != writer);
            (is_newest && self.retired_writer(writer).is_none()).then_some(applied)
        })
    }

    /// Notes that everything of `head` is here from our sequence number `at` on. Restore points of
    /// ours up to `backed_up` are made: what only they needed is forgotten.
    pub(crate) fn applied(
        &mut self,
        object: ObjectRef,
        head: &Head,
        us: WriterId,
        at: u64,
        backed_up: u64,
    ) {
        let writer = object.id.writer;
        let ours = head.seen.iter().find(|seen| seen.id.writer == us);
        // The same number may be put twice; what its writer has merged of us only grows.
        let before = self.newest(writer).map_or(0, |applied| applied.has_ours_to);
        let has_ours_to = ours.map_or(0, |seen| seen.id.to).max(before);
        self.applied.push(Applied { head: object, at, time: head.time, has_ours_to });
        let done = |applied: &Applied| applied.head.id.writer == writer && applied.at <= backed_up;
        let keep = self.applied.iter().rposition(done);
        let mut i = 0;
        self.applied.retain(|applied| {
            i += 1;
            !done(applied) || Some(i - 1) == keep
        });
    }

    /// As after a restore: the state is that of `base`, with what that had merged.
    pub(crate) fn restored(base: ObjectRef, head: &Head) -> Self {
        let mut others = Self::new();
        let merged = |head: ObjectRef, time| Applied { head, at: 0, time, has_ours_to: 0 };
        others.applied = head.seen.iter().map(|seen| merged(*seen, head.time)).collect();
        others.applied.retain(|applied| applied.head.id.writer != base.id.writer);
        others.applied.push(merged(base, head.time));
        let told = HeadOthers::of(head);
        others.known = vec![(0, told.known)];
        others.retired = told.retired;
        others.trimmed = told.trimmed;
        others
    }

    /// The writer id is left: from now on it is one of the others, merged up to its newest head.
    pub(crate) fn left(&mut self, head: Option<ObjectRef>, time: u64) {
        for applied in &mut self.applied {
            // Of the new writer nobody has anything yet.
            (applied.at, applied.has_ours_to) = (0, 0);
        }
        self.known.iter_mut().for_each(|(at, _)| *at = 0);
        if let Some(head) = head {
            self.applied.push(Applied { head, at: 0, time, has_ours_to: 0 });
        }
    }

    pub(crate) fn known(&self) -> Known {
        Known(self.known.last().into_iter().flat_map(|(_, known)| known).copied().collect())
    }

    /// Notes what is known from our sequence number `at` on; see [`Others::applied`].
    pub(crate) fn set_known(&mut self, known: &Known, at: u64, backed_up: u64) {
        self.known.push((at, known.0.iter().map(|(writer, seen)| (*writer, *seen)).collect()));
        let kept = self.known.iter().rposition(|(at, _)| *at <= backed_up).unwrap_or(0);
        self.known.drain(..kept);
    }

    pub(crate) fn retired(&self) -> &[Retired] {
        &self.retired
    }

    pub(crate) fn retired_writer(&self, writer: WriterId) -> Option<Retired> {
        self.retired.iter().find(|retired| retired.writer == writer).copied()
    }

    /// Adds what is not there yet; whether something was.
    pub(crate) fn retire(&mut self, retired: Retired) -> bool {
        let is_new = self.retired_writer(retired.writer).is_none();
        if is_new {
            self.retired.push(retired);
        }
        is_new
    }

    /// As [`Others::retire`], by this installation: its next head must say so.
    pub(crate) fn decide_to_retire(&mut self, retired: Retired) {
        if self.retire(retired) && !self.is_untold() {
            self.extensions.push((UNTOLD, Vec::new()));
        }
    }

    /// Whether somebody was retired here and nobody else can know.
    pub(crate) fn is_untold(&self) -> bool {
        self.extensions.iter().any(|(id, _)| *id == UNTOLD)
    }

    /// Notes what a head of ours in the cloud says; whether that changes anything.
    pub(crate) fn told(&mut self, head: &Head) -> bool {
        let told = head.retired();
        let news = self.is_untold() && self.retired.iter().all(|retired| told.contains(retired));
        if news {
            self.extensions.retain(|(id, _)| *id != UNTOLD);
        }
        news
    }

    /// Notes that tombstones are forgotten up to this number of `us`.
    pub(crate) fn trim(&mut self, us: WriterId, number: u64) {
        self.trimmed = Some((us, number));
    }

    /// Whether a head knows all removals that are forgotten here.
    pub(crate) fn knows_trimmed(&self, object: &ObjectRef, head: &Head) -> bool {
        let Some((writer, number)) = self.trimmed else { return true };
        let seen = head.seen.iter().chain([object]).find(|seen| seen.id.writer == writer);
        seen.is_some_and(|seen| seen.id.to >= number)
    }

    /// What a head tells of it whose restore point has our sequence number `sequence`.
    pub(crate) fn extension(&self, sequence: u64) -> (u32, Vec<u8>) {
        let known = self.known.iter().rfind(|(at, _)| *at <= sequence);
        let known = known.map(|(_, known)| known.clone()).unwrap_or_default();
        let retired = self.retired.clone();
        (EXTENSION, codec::encode(&HeadOthers { known, retired, trimmed: self.trimmed }))
    }

    /// The latest time of a head that was merged: ours come after it.
    pub(crate) fn latest(&self) -> u64 {
        self.applied.iter().map(|applied| applied.time).max().unwrap_or(0)
    }
}

impl HeadOthers {
    fn of(head: &Head) -> Self {
        let extension = head.extensions.iter().find(|(id, _)| *id == EXTENSION);
        // What an authentic head says in a way we do not read is for later versions.
        extension.and_then(|(_, bytes)| codec::decode("others", bytes).ok()).unwrap_or_default()
    }
}

impl Head {
    /// The writers that the head's writer no longer waits for, nor merges.
    pub fn retired(&self) -> Vec<Retired> {
        HeadOthers::of(self).retired
    }

    pub(crate) fn known(&self) -> Known {
        Known(HeadOthers::of(self).known.into_iter().collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Class, ObjectHash, ObjectId, Stamp};

    const US: WriterId = WriterId::from_bytes([0; 16]);

    fn object(writer: u8, number: u64) -> ObjectRef {
        let writer = WriterId::from_bytes([writer; 16]);
        let id =
            ObjectId { class: Class::Head, writer, epoch: 0, from: number, to: number, part: 0 };
        ObjectRef { id, hash: ObjectHash::of(&number.to_le_bytes()) }
    }

    fn head(seen: Vec<ObjectRef>, extensions: Vec<(u32, Vec<u8>)>) -> Head {
        let dump = object(9, 1);
        Head { time: 5, sequence: 1, dump, newest: None, previous: None, seen, extensions }
    }

    fn ours(number: u64) -> ObjectRef {
        let mut ours = object(0, number);
        ours.id.writer = US;
        ours
    }

    #[test]
    fn a_head_names_only_what_its_restore_point_holds() {
        let mut others = Others::new();
        for (number, at) in [(1, 10), (2, 20), (3, 30)] {
            others.applied(object(7, number), &head(Vec::new(), Vec::new()), US, at, 0);
            let mut known = Known::default();
            known.add(&Stamp { time: number, counter: 0, writer: object(7, 0).id.writer });
            others.set_known(&known, at, 0);
        }
        let known = |others: &Others, sequence| {
            let told = head(Vec::new(), vec![others.extension(sequence)]);
            told.known().0.into_values().next()
        };
        for (sequence, seen, time) in [
            (9, vec![], None),
            (10, vec![object(7, 1)], Some((1, 0))),
            (29, vec![object(7, 2)], Some((2, 0))),
            (30, vec![object(7, 3)], Some((3, 0))),
        ] {
            assert_eq!(others.seen_at(sequence), seen, "at {sequence}");
            assert_eq!(known(&others, sequence), time, "at {sequence}");
        }
        assert_eq!(others.newest(object(7, 0).id.writer).unwrap().head, object(7, 3));
        // What only restore points need that are made already is forgotten, and nothing else.
        let mut backed_up = others.clone();
        backed_up.applied(object(8, 1), &head(Vec::new(), Vec::new()), US, 31, 25);
        backed_up.applied(object(7, 4), &head(Vec::new(), Vec::new()), US, 40, 25);
        backed_up.set_known(&Known::default(), 40, 25);
        for sequence in [25, 30, 35, 40] {
            let mut expected = others.seen_at(sequence);
            if sequence >= 31 {
                expected.push(object(8, 1));
            }
            if sequence >= 40 {
                expected.retain(|seen| seen.id.writer != object(7, 0).id.writer);
                expected.insert(0, object(7, 4));
            }
            assert_eq!(backed_up.seen_at(sequence), expected, "at {sequence}");
        }
        assert!(backed_up.seen_at(19).is_empty(), "a restore point that is made");
        assert_eq!(known(&backed_up, 25), known(&others, 25));
    }

    #[test]
    fn what_others_have_of_ours_only_grows() {
        let mut others = Others::new();
        let has = |others: &Others| others.waiting_for().map(|a| a.has_ours_to).collect::<Vec<_>>();
        others.applied(object(7, 1), &head(vec![ours(12)], Vec::new()), US, 1, 0);
        assert_eq!(has(&others), [12]);
        others.applied(object(7, 2), &head(vec![ours(3)], Vec::new()), US, 2, 0);
        others.applied(object(7, 3), &head(Vec::new(), Vec::new()), US, 3, 0);
        assert_eq!(has(&others), [12]);
        others.applied(object(8, 1), &head(vec![object(7, 3)], Vec::new()), US, 4, 0);
        assert_eq!(has(&others), [12, 0], "of us it has nothing");
        let writer = object(8, 0).id.writer;
        assert!(others.retire(Retired { writer, sequence: 1, since: 0 }));
        assert!(!others.retire(Retired { writer, sequence: 2, since: 9 }), "once");
        assert_eq!(has(&others), [12]);
    }

    #[test]
    fn a_retirement_is_untold_until_a_head_says_it() {
        let mut others = Others::new();
        let retired = |n| Retired { writer: object(n, 0).id.writer, sequence: 1, since: 0 };
        others.retire(retired(7));
        assert!(!others.is_untold(), "somebody else has told us");
        others.decide_to_retire(retired(7));
        assert!(!others.is_untold(), "it is nothing new");
        others.decide_to_retire(retired(8));
        let before = head(Vec::new(), vec![others.extension(0)]);
        others.decide_to_retire(retired(9));
        assert!(!others.told(&before) && others.is_untold(), "it does not say all");
        let after = head(Vec::new(), vec![others.extension(0)]);
        assert!(others.told(&after) && !others.is_untold() && !others.told(&after));
    }

    #[test]
    fn a_head_of_another_version_tells_nothing_and_is_no_error() {
        let told = head(Vec::new(), vec![(EXTENSION, b"?".to_vec()), (3, Vec::new())]);
        assert_eq!((told.retired(), told.known()), (Vec::new(), Known::default()));
    }
}
