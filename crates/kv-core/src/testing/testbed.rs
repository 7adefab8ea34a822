//! What the conformance suite needs to know of a store under test.

use std::sync::Arc;

use crate::{Key, KvStore, Namespace, Result};

/// A medium (a folder, a simulated disk, a map) that outlives the stores opened on it.
pub trait Testbed: Send + Sync {
    /// Opens the medium, creating the store at first.
    fn open(&self) -> Result<Arc<dyn KvStore>>;

    /// Power cut: what is not durable is gone, handles from before are dead, no lock stays behind.
    fn crash(&self);

    /// The `nth` operation of the medium from now fails once (1: the next one); 0 forgets it.
    fn fail_nth(&self, nth: u64);

    /// Whether the failure asked for last has happened.
    fn fired(&self) -> bool;

    /// Damages the closed medium; `false` if this medium cannot suffer it.
    fn damage(&self, what: Damage, ns: &Namespace, key: &Key) -> bool;
}

/// A kind of damage.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Damage {
    /// One bit of the stored value is flipped.
    Value,
    /// The medium claims to be of a format newer than this version knows.
    NewerFormat,
    /// The next open uses another key.
    WrongKey,
}
