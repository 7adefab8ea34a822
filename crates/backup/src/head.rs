//! Heads: each names its chain's newest objects and is never changed.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::{Link, ObjectRef};

/// The plaintext of a head: one restore point, and everything needed for it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Head {
    /// When it was put, in milliseconds since the Unix epoch: [`crate::Recorder::head_time`].
    pub time: u64,
    /// The last sequence number that this restore point holds.
    pub sequence: u64,
    /// The index of the newest full dump.
    pub dump: ObjectRef,
    /// The newest segment; `None` while the dump holds everything.
    pub newest: Option<Link>,
    /// The head before, of the same writer.
    pub previous: Option<ObjectRef>,
    /// The newest heads seen of the other writers.
    pub seen: Vec<ObjectRef>,
    /// Reserved for what later versions add (the fence); readers of version 1 skip it.
    pub extensions: Vec<(u32, Vec<u8>)>,
}

/// Of several heads, the one to restore: of each writer the one that holds most, whatever its clock
/// said, and of those the latest. A writer that another one no longer counts is passed over.
pub fn newest_head(heads: &[(ObjectRef, Head)]) -> Option<&(ObjectRef, Head)> {
    let mut newest = BTreeMap::new();
    for found in heads {
        let kept = newest.entry(found.0.id.writer).or_insert(found);
        if progress(found) > progress(kept) {
            *kept = found;
        }
    }
    let retired: BTreeSet<_> =
        newest.values().flat_map(|(_, head)| head.retired()).map(|r| r.writer).collect();
    if newest.keys().any(|writer| !retired.contains(writer)) {
        newest.retain(|writer, _| !retired.contains(writer));
    }
    newest.into_values().max_by_key(|(object, head)| (head.time, *object))
}

/// How far a head's writer had come: its sequence, then the number of the head; heads that agree
/// in both hold the same.
fn progress((object, head): &(ObjectRef, Head)) -> (u64, u64, u64, ObjectRef) {
    (head.sequence, object.id.from, head.time, *object)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Class, ObjectHash, ObjectId, WriterId};

    fn head(writer: u8, number: u64, sequence: u64, time: u64) -> (ObjectRef, Head) {
        let writer = WriterId::from_bytes([writer; 16]);
        let id =
            ObjectId { class: Class::Head, writer, epoch: 0, from: number, to: number, part: 0 };
        let object = ObjectRef { id, hash: ObjectHash::of(&number.to_le_bytes()) };
        let head = Head {
            time,
            sequence,
            dump: object,
            newest: None,
            previous: None,
            seen: Vec::new(),
            extensions: Vec::new(),
        };
        (object, head)
    }

    #[test]
    fn a_clock_set_back_does_not_bring_an_older_head_to_the_front() {
        let heads = [head(1, 1, 10, 5_000), head(1, 2, 20, 900), head(1, 3, 20, 800)];
        assert_eq!(newest_head(&heads), Some(&heads[2]));
        assert_eq!(newest_head(&[]), None);
    }

    #[test]
    fn between_writers_the_time_decides() {
        let heads = [head(1, 1, 100, 5_000), head(2, 1, 3, 6_000), head(2, 2, 4, 7_000)];
        assert_eq!(newest_head(&heads), Some(&heads[2]));
        assert_eq!(newest_head(&heads[..1]), Some(&heads[0]));
    }
}
