//! Merging: of two states of a key the one with the greater stamp, whoever asks and in whatever order.

use std::{cmp::Ordering, collections::BTreeMap};

use kv_core::{Key, Namespace, Value};

use crate::{EntryName, Error, Result, Rule, Rules, Stamp, WriterId, frame, log, pieces::Whole};

/// What another writer says of a mergeable key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Incoming {
    pub(crate) ns: Namespace,
    pub(crate) key: Key,
    pub(crate) stamp: Stamp,
    /// In its frame; `None`: removed.
    pub(crate) framed: Option<Value>,
}

/// A value that took the place of another one, both as their users wrote them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Replaced {
    /// Where.
    pub ns: Namespace,
    /// Which key.
    pub key: Key,
    /// What was there.
    pub before: Option<Value>,
    /// What is there now; `None`: it was removed.
    pub after: Option<Value>,
}

/// Two writers changed a key and neither had seen the other's change. The greater stamp won, here
/// as on every other device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Conflict {
    /// Where.
    pub ns: Namespace,
    /// Which key.
    pub key: Key,
    /// Whose value or removal is there now, and when it was made.
    pub winner: Stamp,
    /// Whose is gone.
    pub loser: Stamp,
}

/// What merging has done.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Merged {
    /// What changed here, in the order of the names.
    pub changes: Vec<Replaced>,
    /// Entries that change nothing: the same, or something newer, is here.
    pub kept: u64,
    /// Where both sides had changed something.
    pub conflicts: Vec<Conflict>,
    /// Values of this device that nobody could read, and so nobody could compare: what the other
    /// writer has is there now. In a rejoin also those that were left as they are.
    pub damaged: Vec<(Namespace, Key)>,
    /// How far the latest stamp lies in the future of this device's clock, in milliseconds. It
    /// counts nevertheless; much of it means that somebody's clock is wrong.
    pub ahead: u64,
}

/// Per writer the greatest time and counter of its stamps that somebody has seen: all it wrote up
/// to there is known.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Known(pub(crate) BTreeMap<WriterId, (u64, u32)>);

/// One state of a key. Equal stamps do not occur between sound writers; if a copied device makes
/// one, the bytes decide, so that all devices agree.
pub(crate) fn compare(a: (&Stamp, Option<&[u8]>), b: (&Stamp, Option<&[u8]>)) -> Ordering {
    a.cmp(&b)
}

impl Incoming {
    /// `None`: not mergeable by the rules of this device, so another writer has no say in it.
    pub(crate) fn new(name: &EntryName, whole: Whole, rules: &Rules) -> Result<Option<Self>> {
        let place = name.place().ok().filter(|(ns, _)| ns.primary() != log::PRIMARY);
        let (ns, key) = place
            .ok_or(Error::BrokenChain { what: "an entry has a name that is never backed up" })?;
        if rules.of(&ns) != Rule::Mergeable {
            return Ok(None);
        }
        let (stamp, framed) = match whole {
            Whole::Value(value) => {
                let value = Value::from(value);
                let (stamp, _) = frame::unwrap(value.clone())?;
                (stamp, Some(value))
            }
            Whole::Removed(stamp) => {
                // Without a stamp it is one that every writer has passed.
                let Some(stamp) = stamp else { return Ok(None) };
                (stamp, None)
            }
        };
        Ok(Some(Self { ns, key, stamp, framed }))
    }

    /// As its user wrote it.
    pub(crate) fn value(&self) -> Option<Value> {
        self.framed.clone().and_then(|framed| frame::unwrap(framed).ok()).map(|(_, value)| value)
    }

    pub(crate) fn bytes(&self) -> usize {
        self.framed.as_ref().map_or(0, |value| value.len())
    }

    /// Whether it wins over another state of the same key.
    pub(crate) fn wins_over(&self, stamp: &Stamp, framed: Option<&[u8]>) -> bool {
        compare((&self.stamp, self.framed.as_deref()), (stamp, framed)) == Ordering::Greater
    }
}

impl Known {
    /// Whether this stamp's change was seen.
    pub(crate) fn includes(&self, stamp: &Stamp) -> bool {
        self.0.get(&stamp.writer).is_some_and(|seen| (stamp.time, stamp.counter) <= *seen)
    }

    pub(crate) fn add(&mut self, stamp: &Stamp) {
        let seen = self.0.entry(stamp.writer).or_default();
        *seen = (*seen).max((stamp.time, stamp.counter));
    }

    pub(crate) fn extend(&mut self, other: &Self) {
        for (writer, seen) in &other.0 {
            let (time, counter) = *seen;
            self.add(&Stamp { time, counter, writer: *writer });
        }
    }
}

impl Merged {
    /// Adds what another step has done.
    pub fn extend(&mut self, other: Self) {
        self.changes.extend(other.changes);
        self.kept += other.kept;
        self.conflicts.extend(other.conflicts);
        self.damaged.extend(other.damaged);
        self.ahead = self.ahead.max(other.ahead);
    }
}
