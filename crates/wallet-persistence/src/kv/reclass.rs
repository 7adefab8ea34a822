//! The migration of a namespace from one class to the other.

use kv_core::{Batch, Commit, KvStore, Namespace};

use super::{
    class::{self, KvClass, KvNamespace},
    mergeable, store_first,
};
use crate::{Error, Result, Session, tower::Tower, wallet::blocking};

impl Session {
    /// Moves the entries of a namespace to another class, all or none: how many were moved. Resolves
    /// when that is durable. All of them are in memory for a moment.
    ///
    /// To [`KvClass::Mergeable`]: every device has them after its next poll, and may write them. To
    /// [`KvClass::SingleWriter`]: only this device and those restored from here on have them; what
    /// another one still writes, not knowing of it, merges beside them, and is moved when this is
    /// called again. Either way this must be the device that may write what has a single writer.
    ///
    /// # Errors
    /// [`Error::KeyOfTwoClasses`] if a key has one value here and another one there: remove one.
    /// [`kv_core::Error::Precondition`] if this program writes into the namespace without a pause:
    /// nothing was moved; again when it rests.
    pub async fn reclass_kv(&self, ns: &Namespace, to: KvClass) -> Result<u64> {
        let inner = self.inner.clone();
        self.tower()?;
        let ns = ns.clone();
        let (moved, commit) = blocking(move || reclass(&inner.tower, &ns, to)).await?;
        commit.await?;
        Ok(moved)
    }
}

/// How often to read again because of what others write meanwhile.
const TRIES: usize = 100;

fn reclass(tower: &Tower, ns: &Namespace, to: KvClass) -> Result<(u64, Commit)> {
    let mut left = TRIES;
    loop {
        match try_reclass(tower, ns, to) {
            Err(Error::Store(kv_core::Error::Precondition { .. })) if left > 0 => left -= 1,
            outcome => return outcome,
        }
    }
}

/// Refused with [`kv_core::Error::Precondition`] if somebody writes into the namespace, or chooses a
/// class, between the reading and the change: that would be moved as it was before, and lost.
fn try_reclass(tower: &Tower, ns: &Namespace, to: KvClass) -> Result<(u64, Commit)> {
    let (kv, names) = (tower.kv(), &tower.data.kv_namespaces);
    let (single, merged) = (ns.clone(), mergeable::place(ns)?);
    let (from, target) = match to {
        KvClass::Mergeable => (single, merged),
        KvClass::SingleWriter => (merged, single),
    };
    let watch = tower.recorder.watch()?;
    let chosen = class::chosen(names, ns)?;
    if chosen.is_some_and(|c| c.moved && c.class == to && to == KvClass::Mergeable) {
        // What lies there was moved by another device, and is left over.
        return Ok((0, kv.submit(Batch::new())));
    }
    let keys = kv.list(&from, None, usize::MAX)?;
    let mut batch = Batch::new();
    for key in &keys {
        let Some(value) = kv.read(&from, key)? else { continue };
        match kv.read(&target, key)? {
            Some(there) if there != value => {
                let (namespace, key) = (class::name(ns), key.as_str().to_owned());
                return Err(Error::KeyOfTwoClasses { namespace, key });
            }
            Some(_) => {}
            None => batch = batch.put(&target, key, value),
        }
        batch = batch.remove(&from, key);
    }
    let mut transaction = names.transaction();
    transaction.put(names, &KvNamespace { moved: true, ..KvNamespace::new(ns, to) })?;
    let all = transaction.batch();
    batch.into_changes().for_each(|(ns, key, change)| all.insert(ns, key, change));
    let submitted = transaction.submit_by(|batch| tower.submit_unless_changed(batch, &watch));
    Ok((keys.len() as u64, submitted.map_err(store_first)?))
}
