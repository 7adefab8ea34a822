//! Reading the full state for a dump, a page at a time, while others go on writing.

use std::sync::Arc;

use kv_core::{Batch, Key, KvStore, Namespace, Result};

use super::Recorder;
use crate::{Content, Entry, EntryName, Rule, log, tombstones::Removals};

/// How many keys to list at once.
const PAGE: usize = 512;

/// How many bytes of values to hand out at once, about.
const PAGE_BYTES: usize = 4 << 20;

/// Walks over every entry of the store. What it reads between its first and its last step is one
/// moment only together with the segments that cover [`DumpReader::from`] to the sequence number
/// at its end.
#[derive(Debug)]
pub struct DumpReader {
    recorder: Arc<Recorder>,
    from: u64,
    /// Still to read, next one last.
    namespaces: Vec<Namespace>,
    after: Option<Key>,
}

impl Recorder {
    /// Begins a dump: everything submitted so far is flushed and will be in it.
    pub fn dump(self: &Arc<Self>) -> Result<DumpReader> {
        let from = self.order().next - 1;
        self.inner.submit(Batch::new()).wait()?;
        let mut namespaces = self.inner.namespaces()?;
        namespaces.retain(|ns| {
            self.rules.of(ns) != Rule::LocalOnly
                && (!Self::is_own(ns) || *ns == self.places.tombstones)
        });
        // Tombstones first: where a key was written again after its removal, the value must win.
        namespaces.sort_by_key(|ns| (ns != &self.places.tombstones, ns.clone()));
        namespaces.reverse();
        Ok(DumpReader { recorder: Arc::clone(self), from, namespaces, after: None })
    }

    /// The sequence number of the newest batch submitted. It may not be durable yet, so nothing
    /// that leaves the device may carry it: see [`DumpReader::end`].
    pub fn sequence(&self) -> u64 {
        self.order().next - 1
    }
}

impl DumpReader {
    /// The sequence number up to which the dump surely holds everything.
    pub fn from(&self) -> u64 {
        self.from
    }

    /// Ends the walk: the sequence number up to which segments are needed beside the dump. What it
    /// counts is durable.
    pub fn end(self) -> Result<u64> {
        let to = self.recorder.sequence();
        self.recorder.inner.submit(Batch::new()).wait()?;
        Ok(to)
    }

    /// The next entries, `None` at the end.
    pub fn next_page(&mut self) -> Result<Option<Vec<Entry>>> {
        while let Some(ns) = self.namespaces.last() {
            let store = &self.recorder.inner;
            let keys = store.list(ns, self.after.as_ref(), PAGE)?;
            let mut entries = Vec::with_capacity(keys.len());
            let mut bytes = 0;
            let mut last = None;
            for key in &keys {
                if bytes >= PAGE_BYTES {
                    break;
                }
                last = Some(key);
                // Removed since it was listed: a segment will say so.
                let Some(value) = store.read(ns, key)? else {
                    continue;
                };
                if Recorder::is_own(ns) {
                    let Removals(removals) = log::read("tombstones", &value)?;
                    for (stamp, names) in removals {
                        let removed = |name| Entry { name, content: Content::Removed(Some(stamp)) };
                        entries.extend(names.into_iter().map(removed));
                    }
                } else {
                    bytes += value.len();
                    let name = EntryName::new(ns, key);
                    entries.push(Entry { name, content: Content::Value(value.to_vec()) });
                }
            }
            if keys.len() < PAGE && last == keys.last() {
                self.namespaces.pop();
                self.after = None;
            } else {
                self.after = last.cloned();
            }
            if !entries.is_empty() {
                return Ok(Some(entries));
            }
        }
        Ok(None)
    }
}
