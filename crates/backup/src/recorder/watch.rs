//! Replacing what was read, without losing what is written in between.

use std::{
    collections::BTreeSet,
    sync::{MutexGuard, PoisonError},
};

use kv_core::{Batch, KvStore as _, Result};

use super::{Order, Recorder};

/// Sees what is written from [`Recorder::watch`] on. Nothing is merged while it lives.
#[derive(Debug)]
pub struct Watch<'a> {
    recorder: &'a Recorder,
    _no_merging: MutexGuard<'a, ()>,
}

impl Recorder {
    /// Watches what is written from now on; what was submitted before can be read. Whoever then
    /// reads and replaces entries submits that with [`crate::Replicated::submit_unless_changed`].
    ///
    /// Waits for a merge that is under way, and holds the next one up: be short.
    pub fn watch(&self) -> Result<Watch<'_>> {
        let no_merging = self.merging.lock().unwrap_or_else(PoisonError::into_inner);
        self.order().touched = Some(BTreeSet::new());
        let watch = Watch { recorder: self, _no_merging: no_merging };
        self.inner.submit(Batch::new()).wait()?;
        Ok(watch)
    }
}

impl Drop for Watch<'_> {
    fn drop(&mut self) {
        self.recorder.order().touched = None;
    }
}

impl Order {
    /// Whether anything was written into a namespace of this batch since the watch began.
    pub(super) fn was_changed(&self, batch: &Batch) -> bool {
        let touched = self.touched.iter().flatten();
        let places: BTreeSet<(&str, &str)> =
            touched.map(|name| (name.primary.as_str(), name.secondary.as_str())).collect();
        let mut namespaces = batch.changes().map(|(ns, ..)| (ns.primary(), ns.secondary()));
        !places.is_empty() && namespaces.any(|place| places.contains(&place))
    }
}
