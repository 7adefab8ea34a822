//! Entries of an application's own, in two classes: with a single writer, or merged as records are.
//!
//! The two lie in different places, so no entry is ever taken for one of the other class, whatever
//! devices that did not know of each other have chosen.

mod class;
mod mergeable;
mod put;
mod reclass;

use std::sync::Arc;

use kv_core::KvStore;

pub(crate) use self::class::called;
pub use self::class::{KvClass, KvNamespace, ListedNamespace};
use self::mergeable::Mergeable;
use crate::{Error, Result, Session};

impl Session {
    /// The store for an application's own data that has a single writer: durable, encrypted, backed
    /// up. Use namespaces that [`kv_core::Namespace::new`] accepts.
    ///
    /// What is written here never merges, whatever was said of a namespace of this name elsewhere:
    /// see [`Session::kv_mergeable`].
    pub fn kv(&self) -> Result<Arc<dyn KvStore>> {
        Ok(self.tower()?.kv())
    }

    /// The store for an application's own data that every device may write, also while it is
    /// offline: of each key the later change counts, as for records.
    ///
    /// The first write into a namespace makes it one of this class, which is remembered, backed up
    /// and known to every device. It is refused with [`kv_core::InvalidName::OtherClass`] if the
    /// namespace has entries in [`Session::kv`], or a single writer was chosen with
    /// [`Session::put_kv`]: [`Session::reclass_kv`] moves them.
    ///
    /// Not for the state of Lightning channels, nor for anything else that must never fork.
    pub fn kv_mergeable(&self) -> Result<Arc<dyn KvStore>> {
        let tower = self.tower()?;
        Ok(Arc::new(Mergeable::new(tower.kv(), tower.data.kv_namespaces.clone())))
    }

    /// One of the two.
    pub fn kv_of(&self, class: KvClass) -> Result<Arc<dyn KvStore>> {
        match class {
            KvClass::Mergeable => self.kv_mergeable(),
            KvClass::SingleWriter => self.kv(),
        }
    }
}

/// Of what is a change of entries first of all the store's own errors are answered as they are.
fn store_first(error: records::Error) -> Error {
    match error {
        records::Error::Store { source, .. } => source.into(),
        other => other.into(),
    }
}
