//! A writer that no longer counts takes the state of another one, and goes on under a new id.

use std::{
    collections::BTreeSet,
    sync::{Arc, PoisonError},
};

use kv_core::{Batch, Key, KvStore, Namespace, Value};

use super::{Merger, Recorder, apply::is_damage, record::Recorded};
use crate::{
    Content, Entry, EntryName, Head, Merged, NameSet, ObjectRef, Replaced, Result, Retired, Rule,
    Stamp, WriterId, others::Others,
};

/// How many keys to look at, or to remove, at once.
const PAGE: usize = 1000;

/// Takes the whole state of a head, newest layer first: [`Rejoin::apply`] for the entries of each
/// segment and dump, [`Rejoin::end_layer`] between them, and [`Rejoin::finish`].
///
/// What the others have removed and forgotten goes; what this device wrote and they never merged
/// stays, with the stamps it was written with. Dropping it half way harms nothing: begin again.
#[derive(Debug)]
pub struct Rejoin {
    merger: Merger,
    object: ObjectRef,
    head: Head,
    recorder: Arc<Recorder>,
    /// Keys that have a value in the head's state.
    live: NameSet,
    /// Keys that newer layers have decided.
    newer: NameSet,
    layer: Vec<EntryName>,
}

impl Recorder {
    /// Begins to take the state of another writer's newest head.
    pub fn rejoin(self: &Arc<Self>, object: ObjectRef, head: Head) -> Rejoin {
        Rejoin {
            merger: self.unchecked_merger(object, head.clone()),
            object,
            head,
            recorder: Arc::clone(self),
            live: NameSet::default(),
            newer: NameSet::default(),
            layer: Vec::new(),
        }
    }
}

impl Rejoin {
    /// Merges entries of the present layer. What is added to `merged` is durable, also on an error.
    pub fn apply(&mut self, mut entries: Vec<Entry>, merged: &mut Merged) -> Result<()> {
        entries.retain(|entry| !self.newer.contains(&entry.name));
        for entry in &entries {
            // In a dump removals come first, so a value of the same layer is the later one.
            if !matches!(entry.content, Content::Removed(_)) {
                self.live.insert(&entry.name);
            }
            self.layer.push(entry.name.clone());
        }
        self.merger.apply(entries, merged)
    }

    /// Ends a layer: what follows is older.
    pub fn end_layer(&mut self) {
        self.layer.drain(..).for_each(|name| _ = self.newer.insert(&name));
    }

    /// Removes what the others have removed, and goes on under a new writer id. What this device, or
    /// another one that is passed over like it, wrote behind what the head's writer has seen of it
    /// stays: nobody who counts has merged it.
    /// What is added to `merged` is durable, also on an error.
    pub fn finish(self, merged: &mut Merged) -> Result<WriterId> {
        let Self { merger, object, head, recorder, live, .. } = self;
        merger.finish(merged)?;
        let (passed_over, seen) = (recorder.passed_over(&head), head.known());
        let is_unsent =
            |stamp: &Stamp| passed_over.contains(&stamp.writer) && !seen.includes(stamp);
        for ns in recorder.inner.namespaces()? {
            if recorder.rules.of(&ns) == Rule::Mergeable {
                recorder.drop_unless(&ns, &live, is_unsent, merged)?;
            }
        }
        let others = Others::restored(object, &head);
        recorder.continue_with(others)
    }
}

impl Recorder {
    /// The writers of whom more may be here than the head's writer has merged or ever will: this one,
    /// and those that it has retired before it had all that is here of them.
    fn passed_over(&self, head: &Head) -> BTreeSet<WriterId> {
        let order = self.order();
        let has_more = |retired: &Retired| {
            let here = order.others.newest(retired.writer);
            here.is_none_or(|here| here.head.id.to > retired.sequence)
        };
        let retired = head.retired().into_iter().filter(has_more).map(|retired| retired.writer);
        retired.chain([order.state.writer]).collect()
    }

    /// Removes the keys of a namespace that are neither live nor unsent.
    ///
    /// A removal has the stamp of the value it removes, so it undoes nothing that is newer.
    fn drop_unless(
        &self,
        ns: &Namespace,
        live: &NameSet,
        is_unsent: impl Fn(&Stamp) -> bool,
        merged: &mut Merged,
    ) -> Result<()> {
        let _one_at_a_time = self.merging.lock().unwrap_or_else(PoisonError::into_inner);
        let mut after: Option<Key> = None;
        loop {
            let page = self.inner.list(ns, after.as_ref(), PAGE)?;
            // What is written from here on is no longer what was read.
            self.order().touched = Some(BTreeSet::new());
            let dropped = self.neither_live_nor(&is_unsent, ns, &page, live, &mut merged.damaged);
            let mut order = self.order();
            let touched = order.touched.take().unwrap_or_default();
            let (mut recorded, mut gone) = (Recorded::default(), Vec::new());
            for (name, key, stamp, before) in dropped? {
                if !touched.contains(&name) {
                    recorded.merge((ns.clone(), key.clone()), None, &stamp);
                    let (ns, key, before) = (ns.clone(), key.clone(), Some(before));
                    gone.push(Replaced { ns, key, before, after: None });
                }
            }
            if !recorded.is_empty() {
                let commit = order.append(self, recorded).0;
                drop(order);
                commit.wait()?;
                merged.changes.append(&mut gone);
            }
            after = page.last().cloned();
            if page.len() < PAGE {
                return Ok(());
            }
        }
    }

    /// Of a page of keys those to be dropped, with what they hold; and those that nobody can read.
    fn neither_live_nor<'a>(
        &self,
        is_unsent: impl Fn(&Stamp) -> bool,
        ns: &Namespace,
        page: &'a [Key],
        live: &NameSet,
        damaged: &mut Vec<(Namespace, Key)>,
    ) -> Result<Vec<(EntryName, &'a Key, Stamp, Value)>> {
        self.inner.submit(Batch::new()).wait()?;
        let mut dropped = Vec::new();
        for key in page {
            let name = EntryName::new(ns, key);
            if live.contains(&name) {
                continue;
            }
            let (stamp, before) = match self.read_framed(ns, key) {
                Ok(Some((_, stamp, value))) => (stamp, value),
                Ok(None) => continue,
                // Without its stamp it cannot be removed; whoever writes it again heals it.
                Err(error) if is_damage(&error) => {
                    damaged.push((ns.clone(), key.clone()));
                    continue;
                }
                Err(error) => return Err(error.into()),
            };
            if !is_unsent(&stamp) {
                dropped.push((name, key, stamp, before));
            }
        }
        Ok(dropped)
    }
}
