//! The store, without LDK's traits: names checked, changes submitted, contents listed.

use std::sync::Arc;

use kv_core::{
    Batch, Commit, CreationPage, Cursor, Error, InvalidName, Key, KvStore, KvStoreExt, Namespace,
    Result,
};

/// How this layer is called in errors.
pub(crate) const STORE: &str = "ldk";
/// How many keys LDK gets in one page.
const PAGE: usize = 50;

/// Any Strongroom store as a store of LDK.
///
/// Clones are the same store. It implements `KVStoreSync`, `KVStore` and `MigratableKVStore` of
/// LDK 0.2, so that LDK's own `Persist`, `MonitorUpdatingPersister` and background processor work
/// on it; with the feature `ldk-0-3` also the five traits of 0.3.
///
/// - The order of changes is the order of calls, whatever becomes of their futures.
/// - A change is durable when its call returns or its future resolves. A lazy removal becomes
///   durable with the next change, at latest a second later.
/// - Over a store whose commits wait for a cloud the waiting calls (`KVStoreSync::write` and
///   `remove`) are refused, since they would block LDK's threads for as long as the cloud is away:
///   use [`crate::ReplicatedPersister`] for the monitors, and a local store for the rest. Where
///   commits wait for some namespaces only, that is not noticed.
/// - What is written here has a single writer: a store that merges
///   (`Session::kv_mergeable`) is refused with every change.
/// - A name that breaks LDK's rules is `InvalidInput`, an absent key `NotFound`, damage
///   `InvalidData`. The message is Strongroom's own.
#[derive(Debug, Clone)]
pub struct StrongroomStore {
    store: Arc<dyn KvStore>,
}

/// A change cannot be waited for here.
#[derive(Debug, thiserror::Error)]
#[error("commits of this store wait for a cloud; use `ReplicatedPersister` or the awaited calls")]
struct WouldBlock;

/// Other devices would change what is here.
#[derive(Debug, thiserror::Error)]
#[error("this store merges what several devices write, which would lose the state of channels")]
struct Merges;

/// The store below cannot list by creation.
#[derive(Debug, thiserror::Error)]
#[error("the store keeps no order of creation")]
struct NoOrder;

pub(crate) type Place = (Namespace, Key);
/// A key with its two namespaces, as LDK lists them.
pub(crate) type Name = (String, String, String);

/// Checks a name.
pub(crate) fn place(primary: &str, secondary: &str, key: &str) -> Result<Place> {
    let named = || Ok::<_, InvalidName>((Namespace::new(primary, secondary)?, Key::new(key)?));
    Ok(named()?)
}

/// Checks the name of a namespace.
pub(crate) fn space(primary: &str, secondary: &str) -> Result<Namespace> {
    Ok(Namespace::new(primary, secondary)?)
}

impl StrongroomStore {
    /// Over any store: plain, sealed, recorded.
    pub fn new(store: Arc<dyn KvStore>) -> Self {
        Self { store }
    }

    /// The store below.
    pub fn inner(&self) -> &Arc<dyn KvStore> {
        &self.store
    }

    pub(crate) fn get(&self, place: Result<Place>) -> Result<Vec<u8>> {
        let (ns, key) = place?;
        let value = self.store.read(&ns, &key)?.ok_or(Error::NotFound { store: STORE })?;
        Ok(value.to_vec())
    }

    pub(crate) fn put(&self, place: Result<Place>, value: Vec<u8>) -> Commit {
        self.change(place, |batch, ns, key| batch.put(ns, key, value))
    }

    pub(crate) fn delete(&self, place: Result<Place>, lazy: bool) -> Commit {
        self.change(place, |batch, ns, key| {
            let batch = batch.remove(ns, key);
            if lazy { batch.lazy() } else { batch }
        })
    }

    fn change(
        &self,
        place: Result<Place>,
        add: impl FnOnce(Batch, &Namespace, &Key) -> Batch,
    ) -> Commit {
        match place {
            Ok(_) if self.store.capabilities().merges => {
                Commit::done(Err(Error::Refused { store: STORE, source: Arc::new(Merges) }))
            }
            Ok((ns, key)) => self.store.submit(add(Batch::new(), &ns, &key)),
            Err(error) => Commit::done(Err(error)),
        }
    }

    /// Whether a change may be waited for on this thread.
    pub(crate) fn may_wait(&self) -> Result<()> {
        if self.store.capabilities().replicated {
            return Err(Error::Refused { store: STORE, source: Arc::new(WouldBlock) });
        }
        Ok(())
    }

    pub(crate) fn names(&self, ns: Result<Namespace>) -> Result<Vec<String>> {
        let keys = self.store.list_all(&ns?)?;
        Ok(keys.iter().map(|key| key.as_str().to_owned()).collect())
    }

    /// Everything, each namespace in the order of creation where the store knows it: who copies it
    /// in this order keeps that order.
    pub(crate) fn all_names(&self) -> Result<Vec<Name>> {
        let mut all = Vec::new();
        for ns in self.store.namespaces()? {
            // Layers below keep these for themselves.
            if ns.is_reserved() {
                continue;
            }
            let name = |key: Key| {
                (ns.primary().to_owned(), ns.secondary().to_owned(), key.as_str().to_owned())
            };
            all.extend(self.oldest_first(&ns)?.into_iter().map(name));
        }
        Ok(all)
    }

    fn oldest_first(&self, ns: &Namespace) -> Result<Vec<Key>> {
        let capabilities = self.store.capabilities();
        let Some(order) = capabilities.creation_order else { return self.store.list_all(ns) };
        let mut page = order.list_newest_first(ns, None, usize::MAX)?;
        let mut keys = page.keys;
        while let Some(cursor) = page.next {
            page = order.list_newest_first(ns, Some(&cursor), usize::MAX)?;
            keys.append(&mut page.keys);
        }
        keys.reverse();
        Ok(keys)
    }

    /// One page, newest first.
    #[cfg_attr(not(feature = "ldk-0-3"), expect(dead_code, reason = "LDK 0.2 has no pages"))]
    pub(crate) fn page(
        &self,
        ns: Result<Namespace>,
        cursor: Option<Cursor>,
    ) -> Result<CreationPage> {
        let capabilities = self.store.capabilities();
        let refused = || Error::Refused { store: STORE, source: Arc::new(NoOrder) };
        let order = capabilities.creation_order.ok_or_else(refused)?;
        order.list_newest_first(&ns?, cursor.as_ref(), PAGE)
    }
}
