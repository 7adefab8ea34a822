//! Sealing the changes of a batch.

use kv_core::{Change, Key, Namespace, Result};

use super::{STORE, invalid, unlocked::Unlocked};
use crate::{
    aad::AadOfEach,
    envelope::{Nonces, seal_one_of},
    hidden::{Hider, Place},
};

/// Sealing the changes of one batch, one after the other.
pub(super) struct Sealing<'a> {
    unlocked: &'a Unlocked,
    hider: Hider<'a>,
    nonces: Nonces,
    /// What binds the values of the last namespace.
    bound: Option<(Namespace, AadOfEach)>,
}

impl<'a> Sealing<'a> {
    pub(super) fn of(unlocked: &'a Unlocked, changes: usize) -> Self {
        let hider = Hider::new(unlocked.keys());
        Self { unlocked, hider, nonces: Nonces::for_values(changes), bound: None }
    }

    /// Where a change goes below, and what it is there.
    pub(super) fn translate(
        &mut self,
        ns: &Namespace,
        key: &Key,
        change: &Change,
    ) -> Result<(Place, Change)> {
        let place = self.hider.place(ns, key).map_err(invalid)?;
        let Change::Put(value) = change else { return Ok((place, Change::Remove)) };
        let content = self.unlocked.keys().at_rest_content();
        let bound = self.bound.take().filter(|(known, _)| known == ns);
        let (_, bound) =
            self.bound.insert(bound.unwrap_or_else(|| (ns.clone(), self.unlocked.aad_in(ns))));
        let sealed = seal_one_of(&mut self.nonces, content, bound.text(key.as_str()), value);
        let sealed = sealed.map_err(|e| e.into_store_error(STORE))?;
        Ok((place, Change::Put(sealed.into())))
    }
}
