//! A page of the index: which objects there are, as the content of a tile. The format
//! ceramic-index-v1.
//!
//! Merging is commutative: of two entries for a name the greater one counts, wherever and in
//! whatever order they are found.

use std::collections::BTreeMap;

use backup::ObjectName;
use serde_json::{Map, Value, json};

use super::{cid::StreamId, objects::Stored};
use crate::{CloudError, Result, error::boxed};

const FORMAT: &str = "1";
/// A patch may have so many bytes, far below what a commit may have.
const LONGEST_PATCH: usize = 150_000;

/// What is known about a name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Entry {
    /// Greater than that of every entry its writer had seen.
    pub(super) number: u64,
    /// Where the object is; `None` says that it was deleted.
    pub(super) stored: Option<Stored>,
}

pub(super) type Entries = BTreeMap<ObjectName, Entry>;

/// The content of an index tile.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Page {
    /// Whether anything has been written yet.
    pub(super) begun: bool,
    /// Whether the next page goes on.
    pub(super) closed: bool,
    /// On the first page: the newest page, as far as it is known.
    pub(super) newest: u64,
    /// Greater than all numbers of the pages before.
    pub(super) base: u64,
    pub(super) entries: Entries,
}

impl Page {
    pub(super) fn parse(content: &Value) -> Result<Self> {
        let Some(format) = content.get("format") else { return Ok(Self::default()) };
        let unknown = || CloudError::BadAddress {
            source: boxed("the index there was written by a newer version of this program"),
        };
        if format.as_str() != Some(FORMAT) {
            return Err(unknown());
        }
        let number = |key: &str| match content.get(key) {
            None => Some(0),
            Some(value) => value.as_str()?.parse().ok(),
        };
        let entries = content.get("entries").and_then(Value::as_object).ok_or_else(unknown)?;
        Ok(Self {
            begun: true,
            closed: content.get("closed").is_some(),
            newest: number("newest").ok_or_else(unknown)?,
            base: number("base").ok_or_else(unknown)?,
            entries: parse_entries(entries).ok_or_else(unknown)?,
        })
    }

    /// The greatest number on the page.
    pub(super) fn highest(&self) -> u64 {
        self.entries.values().map(|entry| entry.number).max().unwrap_or_default().max(self.base)
    }

    /// The entries of which this page has none or a smaller one.
    pub(super) fn lacks(&self, name: &ObjectName, entry: &Entry) -> bool {
        self.entries.get(name).is_none_or(|found| found < entry)
    }

    /// What the next page must have of this one: all objects, and what was deleted since this page
    /// began, for writers who have not seen it.
    pub(super) fn carried(&self) -> impl Iterator<Item = (&ObjectName, &Entry)> {
        let needed = |entry: &Entry| entry.stored.is_some() || entry.number > self.base;
        self.entries.iter().filter(move |(_, entry)| needed(entry))
    }

    /// The patches, one per commit, that add entries to this page, in this order, and begin it with
    /// `base` if nobody has.
    pub(super) fn patches<'a>(
        &self,
        base: u64,
        entries: impl Iterator<Item = (&'a ObjectName, &'a Entry)>,
    ) -> Vec<Value> {
        let (mut patches, mut patch, mut length) = (Vec::new(), Vec::new(), 0);
        if !self.begun {
            patch.push(json!({"op": "add", "path": "/format", "value": FORMAT}));
            patch.push(json!({"op": "add", "path": "/base", "value": base.to_string()}));
            patch.push(json!({"op": "add", "path": "/entries", "value": {}}));
        }
        for (name, entry) in entries {
            // A name has no `~`, and `/` is written `~1` (RFC 6901).
            let path = format!("/entries/{}", name.as_str().replace('/', "~1"));
            let value = write_entry(entry);
            length += path.len() + value.len() + 40;
            if length > LONGEST_PATCH {
                patches.push(Value::Array(std::mem::take(&mut patch)));
                length = path.len() + value.len() + 40;
            }
            patch.push(json!({"op": "add", "path": path, "value": value}));
        }
        if !patch.is_empty() {
            patches.push(Value::Array(patch));
        }
        patches
    }
}

/// The patch that closes a page.
pub(super) fn close() -> Value {
    json!([{"op": "add", "path": "/closed", "value": "yes"}])
}

/// The patch that notes the newest page on the first one.
pub(super) fn note_newest(page: u64) -> Value {
    json!([{"op": "add", "path": "/newest", "value": page.to_string()}])
}

fn write_entry(entry: &Entry) -> String {
    match &entry.stored {
        Some(Stored { root, size }) => format!("{} {size} {root}", entry.number),
        None => entry.number.to_string(),
    }
}

fn parse_entries(entries: &Map<String, Value>) -> Option<Entries> {
    let parsed = entries.iter().map(|(name, text)| {
        let name = ObjectName::new(name).ok()?;
        Some((name, parse_entry(text.as_str()?)?))
    });
    parsed.collect()
}

fn parse_entry(text: &str) -> Option<Entry> {
    let mut parts = text.split(' ');
    let number = parts.next()?.parse().ok()?;
    let stored = match (parts.next(), parts.next(), parts.next()) {
        (None, ..) => None,
        (Some(size), Some(root), None) => {
            Some(Stored { root: StreamId::parse(root)?, size: size.parse().ok()? })
        }
        _ => return None,
    };
    Some(Entry { number, stored })
}
