//! The contract of a store, and pleasant helpers over it.

use std::{fmt, ops::Deref};

use crate::{Batch, Capabilities, Commit, Error, Key, Namespace, Result, Value};

/// A durable, ordered map from [`Namespace`] and [`Key`] to [`Value`].
///
/// Object-safe and without default methods, so that a decorator cannot forget one. Helpers for
/// callers are in [`KvStoreExt`].
///
/// # Contract
///
/// Each law has a test of the same name in the conformance suite (feature `testing`).
///
/// 1. **Atomic.** A batch is wholly there or wholly absent, also after a crash at any point.
/// 2. **Ordered.** The order of `submit` calls is the order of effects. A later batch is never
///    visible or durable without the earlier ones.
/// 3. **Durable once resolved.** A synced commit resolves to `Ok` only when it survives power
///    loss. A lazy one resolves at once and promises only its place in the order: it becomes
///    visible and durable with the next flush, at latest a second later or at close.
/// 4. **Awaitable and waitable.** One thread can have a hundred writes in flight; the order is
///    fixed when `submit` is called, not when the future runs. Dropping a commit cancels nothing.
///    `submit` does no I/O and blocks only for back-pressure, so a decorator may hold its one
///    ordering lock across the inner `submit`, and nothing else. Polling never does I/O.
/// 5. **Reads see what is durable** in this store, nothing more, nothing less.
/// 6. **An error means unknown until reopened**: the batch is wholly there or wholly absent, every
///    batch queued behind it fails too, and the store takes no further change; reads go on. A
///    *refusal* (full, backlog, locked, precondition, invalid, closed) is different: it is decided before
///    `submit` returns, the batch is surely absent, and the store goes on. A failed flush is never
///    retried.
/// 7. **Loud about damage.** Missing, damaged, wrong key, newer format and in use elsewhere are
///    five different errors. Damage is never returned as a value.
/// 8. **One owner.** A second open of the same store, from this or another process, is
///    [`Error::InUse`]; a crash leaves no lock behind.
/// 9. **Preconditions hold** at the batch's place in the order: of sixteen threads that write one
///    key if absent, exactly one wins. What is queued before the batch counts, so a refusal may
///    come before that can be read; a flush makes it readable.
pub trait KvStore: fmt::Debug + Send + Sync {
    /// The value under the key, or `None`.
    fn read(&self, ns: &Namespace, key: &Key) -> Result<Option<Value>>;

    /// Up to `limit` keys of the namespace, ascending, after `after` (exclusive, need not exist).
    fn list(&self, ns: &Namespace, after: Option<&Key>, limit: usize) -> Result<Vec<Key>>;

    /// The namespaces that hold at least one key, ascending.
    fn namespaces(&self) -> Result<Vec<Namespace>>;

    /// The only way to change anything. An empty synced batch is a flush.
    fn submit(&self, batch: Batch) -> Commit;

    /// What this store can do beyond the contract.
    fn capabilities(&self) -> Capabilities<'_>;

    /// Flushes, checkpoints, notes the clean close and releases the lock. Idempotent; later calls
    /// answer [`Error::Closed`]. Dropping the store tries the same silently.
    fn close(&self) -> Result<()>;
}

/// Pleasant helpers over any [`KvStore`]; each blocks until the change is durable, except where it says not.
pub trait KvStoreExt: KvStore {
    /// Stores a value.
    fn write(&self, ns: &Namespace, key: &Key, value: impl Into<Value>) -> Result<()> {
        self.submit(Batch::new().put(ns, key, value)).wait()
    }

    /// Stores a value, or answers [`Error::Precondition`] if the key is there. What stood in the
    /// way is then durable and can be read, even if it was still in flight when it did.
    fn write_if_absent(&self, ns: &Namespace, key: &Key, value: impl Into<Value>) -> Result<()> {
        let outcome = self.submit(Batch::new().require_absent(ns, key).put(ns, key, value)).wait();
        if matches!(outcome, Err(Error::Precondition { .. })) {
            self.flush()?;
        }
        outcome
    }

    /// Removes a key; an absent one is no error.
    fn remove(&self, ns: &Namespace, key: &Key) -> Result<()> {
        self.submit(Batch::new().remove(ns, key)).wait()
    }

    /// Removes a key with the next flush; returns at once.
    fn remove_lazy(&self, ns: &Namespace, key: &Key) -> Result<()> {
        self.submit(Batch::new().remove(ns, key).lazy()).wait()
    }

    /// All keys of a namespace, ascending.
    fn list_all(&self, ns: &Namespace) -> Result<Vec<Key>> {
        self.list(ns, None, usize::MAX)
    }

    /// The value under the key; [`Error::NotFound`] if there is none.
    fn read_required(&self, ns: &Namespace, key: &Key) -> Result<Value> {
        self.read(ns, key)?.ok_or(Error::NotFound { store: "kv" })
    }

    /// Makes everything submitted so far durable.
    fn flush(&self) -> Result<()> {
        self.submit(Batch::new()).wait()
    }
}

impl<S: KvStore + ?Sized> KvStoreExt for S {}

impl<P> KvStore for P
where
    P: Deref + fmt::Debug + Send + Sync,
    P::Target: KvStore,
{
    fn read(&self, ns: &Namespace, key: &Key) -> Result<Option<Value>> {
        (**self).read(ns, key)
    }

    fn list(&self, ns: &Namespace, after: Option<&Key>, limit: usize) -> Result<Vec<Key>> {
        (**self).list(ns, after, limit)
    }

    fn namespaces(&self) -> Result<Vec<Namespace>> {
        (**self).namespaces()
    }

    fn submit(&self, batch: Batch) -> Commit {
        (**self).submit(batch)
    }

    fn capabilities(&self) -> Capabilities<'_> {
        (**self).capabilities()
    }

    fn close(&self) -> Result<()> {
        (**self).close()
    }
}
