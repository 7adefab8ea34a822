//! The sealed store: a decorator below which there is no plaintext, neither of values nor of names.

mod capabilities;
mod passphrase;
mod read;
mod sealing;
mod unlocked;
mod verify;

use std::{
    fmt,
    sync::{Arc, Mutex, PoisonError, RwLock},
};

use kv_core::{
    Batch, Capabilities, Commit, Error, Finding, InvalidName, Key, KvStore, Namespace, Result,
    Value,
};

use crate::{Keys, RootSecret, Secret, UnlockError, directory, header::Header, hidden};
use unlocked::Unlocked;

/// How this layer names itself in errors.
pub(crate) const STORE: &str = "vault";

/// Encrypts the values and hides the names of any store.
///
/// A locked or closed store answers [`Error::Locked`] or [`Error::Closed`] to everything; to unlock
/// is to [`open`](SealedStore::open) again.
///
/// Its own entries lie under the primary namespace `~vault`: a caller sees nothing there, and a
/// change there is refused as an invalid name. In `~backup` names stay in clear, so a key must be a
/// number there ([`Key::number`]).
pub struct SealedStore {
    inner: Arc<dyn KvStore>,
    state: RwLock<State>,
    /// As it is once everything submitted has taken effect.
    header: Mutex<Header>,
    /// What was noticed, and healed, at open.
    noticed: Option<Finding>,
}

enum State {
    Unlocked(Box<Unlocked>),
    Locked,
    Closed,
}

impl SealedStore {
    /// Makes a new wallet in an empty store.
    pub fn create(inner: Arc<dyn KvStore>, root: &RootSecret) -> Result<Arc<Self>, UnlockError> {
        Self::create_with(inner, root, Batch::new())
    }

    /// The same with the first entries of the log, in one batch: never is one there without the other.
    /// Only entries in `~backup` can be, where names stay in clear.
    pub fn create_with(
        inner: Arc<dyn KvStore>,
        root: &RootSecret,
        first: Batch,
    ) -> Result<Arc<Self>, UnlockError> {
        if !inner.namespaces()?.is_empty() {
            return Err(UnlockError::NotEmpty);
        }
        let keys = Keys::derive(root);
        let header = Header::new(keys.wallet_tag());
        let (journal, names) = directory::load(&*inner, &keys)?;
        let mut batch = Unlocked::new(keys, journal, names).seal_clear(first)?;
        for (ns, key, change) in header.write().into_changes() {
            batch.insert(ns, key, change);
        }
        inner.submit(batch).wait()?;
        Self::open(inner, root)
    }

    /// Unlocks the wallet in this store, with its root secret or a passphrase. Reads the header and
    /// the name directory, nothing else; a damaged copy of the header is replaced by the other one,
    /// and a key wrapped more weakly than is usual now is wrapped again.
    ///
    /// Only one sealed store may be open on `inner` at a time.
    pub fn open(
        inner: Arc<dyn KvStore>,
        secret: impl Into<Secret>,
    ) -> Result<Arc<Self>, UnlockError> {
        let secret = secret.into();
        let (header, noticed) = Header::read(&*inner)?;
        let (root, keys) = header.unlock(&secret)?;
        let (journal, names) = directory::load(&*inner, &keys)?;
        let unlocked = Unlocked::new(keys, journal, names);
        let store = Self {
            inner,
            state: RwLock::new(State::Unlocked(Box::new(unlocked))),
            header: Mutex::new(header),
            noticed,
        };
        store.strengthen(&root, &secret)?;
        Ok(Arc::new(store))
    }

    /// As [`SealedStore::open`], with the keys of the wallet that [`SealedStore::keys`] gave before:
    /// for a program that was put aside for a moment and kept them.
    pub fn reopen(inner: Arc<dyn KvStore>, keys: &Keys) -> Result<Arc<Self>, UnlockError> {
        let (header, noticed) = Header::read(&*inner)?;
        if header.wallet_tag != keys.wallet_tag() {
            return Err(UnlockError::OtherWallet);
        }
        let (journal, names) = directory::load(&*inner, keys)?;
        let unlocked = Unlocked::new(keys.clone(), journal, names);
        Ok(Arc::new(Self {
            inner,
            state: RwLock::new(State::Unlocked(Box::new(unlocked))),
            header: Mutex::new(header),
            noticed,
        }))
    }

    /// Drops the keys and the names once running calls are done; from then on everything answers
    /// [`Error::Locked`]. The store below stays open until [`close`](KvStore::close).
    pub fn lock(&self) {
        let mut state = self.state.write().unwrap_or_else(PoisonError::into_inner);
        if matches!(*state, State::Unlocked(_)) {
            *state = State::Locked;
        }
        crate::wipe::wipe_stack();
    }

    /// The wallet's keys, for the layers above.
    pub fn keys(&self) -> Result<Keys> {
        self.with(|unlocked| Ok(unlocked.keys().clone()))
    }

    /// Runs `call` unless locked or closed. Locking waits until it has run, so it must not call
    /// anything that might lock.
    fn with<T>(&self, call: impl FnOnce(&Unlocked) -> Result<T>) -> Result<T> {
        match &*self.state.read().unwrap_or_else(PoisonError::into_inner) {
            State::Unlocked(unlocked) => call(unlocked),
            State::Locked => Err(Error::Locked { store: STORE }),
            State::Closed => Err(Error::Closed { store: STORE }),
        }
    }
}

impl KvStore for SealedStore {
    fn read(&self, ns: &Namespace, key: &Key) -> Result<Option<Value>> {
        self.with(|unlocked| unlocked.read(&*self.inner, ns, key))
    }

    fn list(&self, ns: &Namespace, after: Option<&Key>, limit: usize) -> Result<Vec<Key>> {
        self.with(|unlocked| {
            if hidden::is_clear(ns) {
                self.inner.list(ns, after, limit)
            } else {
                Ok(unlocked.list(ns, after, limit))
            }
        })
    }

    fn namespaces(&self) -> Result<Vec<Namespace>> {
        self.with(|unlocked| {
            // The log's are looked up a moment later: only the layer that owns the log sees both.
            let mut namespaces = unlocked.namespaces();
            let below = self.inner.namespaces()?;
            namespaces.extend(below.into_iter().filter(hidden::is_clear));
            namespaces.sort_unstable();
            Ok(namespaces)
        })
    }

    fn submit(&self, batch: Batch) -> Commit {
        let submitted = self.with(|unlocked| unlocked.submit(&*self.inner, batch));
        submitted.unwrap_or_else(|error| Commit::done(Err(error)))
    }

    fn capabilities(&self) -> Capabilities<'_> {
        let below = self.inner.capabilities();
        let mut capabilities = Capabilities::default();
        capabilities.creation_order = below.creation_order.and(Some(self));
        capabilities.footprint = below.footprint.and(Some(self));
        capabilities.verify = Some(self);
        capabilities.prepare = Some(self);
        capabilities.read_many = Some(self);
        capabilities.replication = below.replication.and(Some(self));
        capabilities
    }

    fn close(&self) -> Result<()> {
        let closed = self.inner.close();
        *self.state.write().unwrap_or_else(PoisonError::into_inner) = State::Closed;
        closed
    }
}

impl fmt::Debug for SealedStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = match &*self.state.read().unwrap_or_else(PoisonError::into_inner) {
            State::Unlocked(_) => "unlocked",
            State::Locked => "locked",
            State::Closed => "closed",
        };
        f.debug_struct("SealedStore").field("state", &state).field("inner", &self.inner).finish()
    }
}

/// A name that the rules of this layer forbid.
fn invalid(source: InvalidName) -> Error {
    Error::InvalidName { source }
}

#[cfg(test)]
mod tests {
    use kv_core::KvStoreExt;
    use kv_mem::MemStore;

    use super::*;

    #[test]
    fn locking_drops_the_keys() {
        let root = RootSecret::from_bytes([7; 32]);
        let store = SealedStore::create(Arc::new(MemStore::new()), &root).unwrap();
        let ns = Namespace::new("a-secret-name", "").unwrap();
        store.write(&ns, &Key::number(1), b"x").unwrap();
        let keys = store.keys().unwrap();
        assert_eq!(keys.wallet_tag(), Keys::derive(&root).wallet_tag());
        assert_eq!(keys.holders(), 2);
        store.lock();
        assert_eq!(keys.holders(), 1, "a locked store kept the keys");
    }

    /// Without random bytes nothing can be sealed; that is an error, and no refusal.
    #[test]
    fn a_failure_to_seal_ends_all_writing() {
        let root = RootSecret::from_bytes([7; 32]);
        let store = SealedStore::create(Arc::new(MemStore::new()), &root).unwrap();
        let ns = Namespace::new("a", "").unwrap();
        let failed = || {
            let source = std::io::Error::other("no device");
            let error = crate::EnvelopeError::from(crate::NoRandomness { source });
            error.into_store_error(STORE)
        };
        let given_up = store.with(|unlocked| Err::<(), _>(unlocked.give_up(failed())));
        assert!(matches!(given_up, Err(Error::Io { .. })));
        let written = store.write(&ns, &Key::number(1), b"x");
        assert!(matches!(written, Err(Error::Poisoned { .. })));
        assert!(store.read(&ns, &Key::number(1)).unwrap().is_none());
    }

    #[test]
    fn debug_shows_no_name() {
        let root = RootSecret::from_bytes([7; 32]);
        let store = SealedStore::create(Arc::new(MemStore::new()), &root).unwrap();
        let ns = Namespace::new("a-secret-name", "").unwrap();
        store.write(&ns, &Key::number(1), b"x").unwrap();
        let shown = format!("{store:?}");
        assert!(!shown.contains("a-secret-name"), "{shown}");
    }
}
