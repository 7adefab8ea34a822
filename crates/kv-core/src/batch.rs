//! A batch: several changes that happen together or not at all.

use std::{
    any::Any,
    collections::{BTreeMap, BTreeSet},
    fmt,
    sync::Arc,
};

use crate::{Key, Namespace, SortKey, Value};

/// Changes that take effect together. The last change per key wins; changes are kept ascending by
/// name, and that is also the order in which keys created by one batch count as created.
#[derive(Debug, Clone, Default)]
pub struct Batch {
    changes: BTreeMap<(Namespace, SortKey), Change>,
    require_absent: BTreeSet<(Namespace, Key)>,
    durability: Durability,
    prepared: Option<Prepared>,
}

/// What a layer has prepared of a batch, for itself alone; see [`crate::Prepare`].
#[derive(Clone)]
pub struct Prepared(Arc<dyn Any + Send + Sync>);

/// What happens to one key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// The key holds this value.
    Put(Value),
    /// The key is gone; removing an absent key is no error.
    Remove,
}

/// When a commit resolves.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Durability {
    /// When the batch survives power loss.
    #[default]
    Synced,
    /// At once: the batch has its place in the order and becomes visible and durable with the next
    /// flush, at latest a second later or at close.
    Lazy,
}

impl Batch {
    /// An empty synced batch. Submitted as it is, it is a flush.
    pub fn new() -> Self {
        Self::default()
    }

    /// Stores `value` under the key.
    #[must_use]
    pub fn put(mut self, ns: &Namespace, key: &Key, value: impl Into<Value>) -> Self {
        self.insert(ns.clone(), key.clone(), Change::Put(value.into()));
        self
    }

    /// Removes the key.
    #[must_use]
    pub fn remove(mut self, ns: &Namespace, key: &Key) -> Self {
        self.insert(ns.clone(), key.clone(), Change::Remove);
        self
    }

    /// Refuses the whole batch with [`crate::Error::Precondition`] if the key is there at the
    /// batch's place in the order.
    #[must_use]
    pub fn require_absent(mut self, ns: &Namespace, key: &Key) -> Self {
        self.require_absent.insert((ns.clone(), key.clone()));
        self
    }

    /// Makes the batch [`Durability::Lazy`].
    #[must_use]
    pub fn lazy(mut self) -> Self {
        self.durability = Durability::Lazy;
        self
    }

    /// Adds one change in place, replacing an earlier one to the same key.
    pub fn insert(&mut self, ns: Namespace, key: Key, change: Change) {
        self.changes.insert((ns, key.into()), change);
    }

    /// Adds a precondition in place; see [`Batch::require_absent`].
    pub fn insert_require_absent(&mut self, ns: Namespace, key: Key) {
        self.require_absent.insert((ns, key));
    }

    /// Sets the durability in place.
    pub fn set_durability(&mut self, durability: Durability) {
        self.durability = durability;
    }

    /// Attaches what a layer has prepared, replacing anything attached before.
    pub fn set_prepared(&mut self, prepared: Prepared) {
        self.prepared = Some(prepared);
    }

    /// Takes what was attached.
    pub fn take_prepared(&mut self) -> Option<Prepared> {
        self.prepared.take()
    }

    /// The changes, ascending by name.
    pub fn changes(&self) -> impl ExactSizeIterator<Item = (&Namespace, &Key, &Change)> {
        self.changes.iter().map(|((ns, key), change)| (ns, key.key(), change))
    }

    /// The changes by value, ascending by name.
    pub fn into_changes(self) -> impl ExactSizeIterator<Item = (Namespace, Key, Change)> {
        self.changes.into_iter().map(|((ns, key), change)| (ns, key.into_key(), change))
    }

    /// The keys that must be absent, ascending by name.
    pub fn absent_keys(&self) -> impl ExactSizeIterator<Item = (&Namespace, &Key)> {
        self.require_absent.iter().map(|(ns, key)| (ns, key))
    }

    /// When the commit resolves.
    pub fn durability(&self) -> Durability {
        self.durability
    }

    /// Whether there is nothing to change (there may still be preconditions).
    pub fn is_empty(&self) -> bool {
        self.changes.is_empty()
    }

    /// How many keys change.
    pub fn len(&self) -> usize {
        self.changes.len()
    }
}

impl Prepared {
    /// Wraps what was prepared.
    pub fn new(prepared: impl Any + Send + Sync) -> Self {
        Self(Arc::new(prepared))
    }

    /// What was prepared, if it is of this type; copied only if another batch has it too.
    pub fn into_inner<T: Any + Send + Sync + Clone>(self) -> Option<T> {
        self.0.downcast().ok().map(Arc::unwrap_or_clone)
    }
}

impl fmt::Debug for Prepared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Prepared(..)")
    }
}
