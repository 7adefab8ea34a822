//! What a hostile cloud remembers: every version of every object, who put it and when.

use std::collections::BTreeMap;

use backup::ObjectName;
use bytes::Bytes;

use super::lie::Lie;
use crate::Tag;

/// An object's bytes and tag, or its absence.
pub(super) type Content = Option<(Bytes, Tag)>;

/// All that passed through the handles of one hostile cloud.
#[derive(Debug, Default)]
pub(super) struct History {
    /// Counts puts and deletions.
    pub(super) now: u64,
    objects: BTreeMap<ObjectName, Vec<Version>>,
    /// In the order in which they were put first, which does not depend on random names.
    pub(super) created: Vec<ObjectName>,
}

#[derive(Debug)]
struct Version {
    moment: u64,
    device: u8,
    content: Content,
}

/// What is served for an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Seen {
    /// What the cloud underneath has.
    Truth,
    /// This instead.
    Past(Content),
}

impl History {
    pub(super) fn add(&mut self, device: u8, name: &ObjectName, content: Content) {
        self.now += 1;
        if !self.objects.contains_key(name) {
            self.created.push(name.clone());
        }
        let version = Version { moment: self.now, device, content };
        self.objects.entry(name.clone()).or_default().push(version);
    }

    /// What `lie` makes a device see under a name, as far as it is a lie about time.
    pub(super) fn seen(&self, lie: &Lie, device: u8, name: &ObjectName) -> Seen {
        match lie {
            Lie::RollBackObject { name: rolled, to } if rolled == name => {
                self.last(name, |version| version.moment <= *to)
            }
            Lie::RollBackAll { to } => self.last(name, |version| version.moment <= *to),
            Lie::Stale { by } => {
                let to = self.now.saturating_sub(*by);
                self.last(name, |version| version.moment <= to)
            }
            Lie::Fork { from } => {
                self.last(name, |version| version.moment <= *from || version.device == device)
            }
            Lie::Withhold { after } => {
                let first = self.objects.get(name).and_then(|versions| versions.first());
                let hidden = first.is_some_and(|version| version.moment > *after);
                if hidden { Seen::Past(None) } else { Seen::Truth }
            }
            _ => Seen::Truth,
        }
    }

    /// Names that may be there though the cloud underneath has them no more.
    pub(super) fn names_below<'a>(
        &'a self,
        prefix: &'a ObjectName,
    ) -> impl Iterator<Item = &'a ObjectName> {
        self.objects.keys().filter(|name| name.is_below(prefix))
    }

    /// The last version that the condition holds for. What was never put here is left alone.
    fn last(&self, name: &ObjectName, holds: impl Fn(&Version) -> bool) -> Seen {
        let Some(versions) = self.objects.get(name) else { return Seen::Truth };
        if versions.last().is_some_and(&holds) {
            return Seen::Truth;
        }
        let last = versions.iter().rev().find(|version| holds(version));
        Seen::Past(last.and_then(|version| version.content.clone()))
    }
}
