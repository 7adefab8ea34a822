//! The store, without LDK's traits: names checked, changes submitted, contents listed.

use std::sync::Arc;

use kv_core::{
    Batch, Commit, CreationPage, Cursor, Error, InvalidName, Key, KvStore, KvStoreExt, Namespace,
    Result,
};

/// How this layer is called in errors.
pub(crate) const STORE: &str = "ldk";
/// What a node finds again: the keys of the network graph and the scorer, which are not in a namespace.
const GRAPH: [&str; 2] = ["network_graph", "scorer"];
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
/// - Where the commits of a namespace wait for a cloud the waiting calls (`KVStoreSync::write` and
///   `remove`) are refused, since they would block LDK's threads for as long as the cloud is away:
///   use [`crate::ReplicatedPersister`] for the monitors, and a local store for the rest.
/// - What is written here has a single writer: a store that merges
///   (`Session::kv_mergeable`) is refused with every change.
/// - A name that breaks LDK's rules is `InvalidInput`, an absent key `NotFound`, damage
///   `InvalidData`. The message is Strongroom's own.
#[derive(Debug, Clone)]
pub struct StrongroomStore {
    store: Arc<dyn KvStore>,
    /// Where network graph and scorer are, if not there.
    graph: Option<Arc<dyn KvStore>>,
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
        Self { store, graph: None }
    }

    /// With the network graph and the scorer in another store, such as a `kv_fs::FsStore` in a folder of
    /// its own: they are large, they change often, a node finds them again, and in the wallet's store
    /// every monitor that is written after them waits until they are backed up.
    ///
    /// What the first store has under their names is not seen any more; nothing else of the second one is.
    #[must_use]
    pub fn with_graph_in(mut self, store: Arc<dyn KvStore>) -> Self {
        self.graph = Some(store);
        self
    }

    /// The store below, without that of [`StrongroomStore::with_graph_in`].
    pub fn inner(&self) -> &Arc<dyn KvStore> {
        &self.store
    }

    pub(crate) fn get(&self, place: Result<Place>) -> Result<Vec<u8>> {
        let (ns, key) = place?;
        let value =
            self.store_of(&ns, &key).read(&ns, &key)?.ok_or(Error::NotFound { store: STORE })?;
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
        let (ns, key) = match place {
            Ok(place) => place,
            Err(error) => return Commit::done(Err(error)),
        };
        let store = self.store_of(&ns, &key);
        if store.capabilities().merges {
            return Commit::done(Err(Error::Refused { store: STORE, source: Arc::new(Merges) }));
        }
        store.submit(add(Batch::new(), &ns, &key))
    }

    /// Checks a name, and whether its change may be waited for on this thread.
    pub(crate) fn may_wait(&self, place: Result<Place>) -> Result<Place> {
        let (ns, key) = place?;
        let replication = self.store_of(&ns, &key).capabilities().replication;
        if replication.is_some_and(|replication| replication.waits(&ns)) {
            return Err(Error::Refused { store: STORE, source: Arc::new(WouldBlock) });
        }
        Ok((ns, key))
    }

    fn store_of(&self, ns: &Namespace, key: &Key) -> &Arc<dyn KvStore> {
        match &self.graph {
            Some(graph) if is_graph(ns, key) => graph,
            _ => &self.store,
        }
    }

    /// The keys of a namespace, where those that lie in the other store are with it.
    fn with_those_of_graph(&self, ns: &Namespace, mut keys: Vec<Key>) -> Result<Vec<Key>> {
        let Some(graph) = &self.graph else { return Ok(keys) };
        if !is_root(ns) {
            return Ok(keys);
        }
        keys.retain(|key| !is_graph(ns, key));
        keys.extend(graph.list_all(ns)?.into_iter().filter(|key| is_graph(ns, key)));
        Ok(keys)
    }

    pub(crate) fn names(&self, ns: Result<Namespace>) -> Result<Vec<String>> {
        let ns = ns?;
        let keys = self.with_those_of_graph(&ns, self.store.list_all(&ns)?)?;
        Ok(keys.iter().map(|key| key.as_str().to_owned()).collect())
    }

    /// Everything, each namespace in the order of creation where the store knows it: who copies it
    /// in this order keeps that order.
    pub(crate) fn all_names(&self) -> Result<Vec<Name>> {
        let mut all = Vec::new();
        let mut namespaces = self.store.namespaces()?;
        if let Some(graph) = &self.graph {
            let theirs = graph.namespaces()?.into_iter().filter(is_root);
            namespaces.extend(theirs.filter(|ns| !namespaces.contains(ns)).collect::<Vec<_>>());
        }
        for ns in namespaces {
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
        let Some(order) = capabilities.creation_order else {
            return self.with_those_of_graph(ns, self.store.list_all(ns)?);
        };
        let mut page = order.list_newest_first(ns, None, usize::MAX)?;
        let mut keys = page.keys;
        while let Some(cursor) = page.next {
            page = order.list_newest_first(ns, Some(&cursor), usize::MAX)?;
            keys.append(&mut page.keys);
        }
        keys.reverse();
        self.with_those_of_graph(ns, keys)
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
        let ns = ns?;
        let mut page = order.list_newest_first(&ns, cursor.as_ref(), PAGE)?;
        // The other store has an order of its own: its two come last.
        if page.next.is_none() {
            page.keys = self.with_those_of_graph(&ns, page.keys)?;
        } else if self.graph.is_some() {
            page.keys.retain(|key| !is_graph(&ns, key));
        }
        Ok(page)
    }
}

/// Where manager, graph and scorer lie.
fn is_root(ns: &Namespace) -> bool {
    ns.primary().is_empty()
}

fn is_graph(ns: &Namespace, key: &Key) -> bool {
    is_root(ns) && GRAPH.contains(&key.as_str())
}
