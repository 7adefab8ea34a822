//! A store whose namespaces lie among those that merge.

use std::sync::Arc;

use data_encoding::BASE32_NOPAD;
use kv_core::{
    Batch, Capabilities, Commit, Error, InvalidName, Key, KvStore, Lag, Namespace, Replication,
    Result, Value,
};
use records::{ObjectStore, Query, Transaction};
use sha2::{Digest, Sha256};

use super::class::{KvClass, KvNamespace, chosen, class_of, key_of};
use crate::registry::RECORDS;

const STORE: &str = "kv";

/// What the second level of their namespaces begins with.
pub(super) const PREFIX: &str = "kv-";

/// Entries that merge, under the names that the application gave.
#[derive(Debug)]
pub(super) struct Mergeable {
    kv: Arc<dyn KvStore>,
    names: ObjectStore<KvNamespace>,
}

impl Mergeable {
    pub(super) fn new(kv: Arc<dyn KvStore>, names: ObjectStore<KvNamespace>) -> Self {
        Self { kv, names }
    }

    /// What a batch is below; the class of namespaces that it is the first to write comes along.
    fn below(&self, batch: Batch) -> crate::Result<Commit> {
        let mut transaction = self.names.transaction();
        transaction.batch().set_durability(batch.durability());
        for (ns, key) in batch.absent_keys() {
            transaction.batch().insert_require_absent(place(ns)?, key.clone());
        }
        let mut last: Option<(Namespace, Namespace)> = None;
        for (ns, key, change) in batch.into_changes() {
            let place = match last.take() {
                Some((known, place)) if known == ns => place,
                _ => {
                    self.choose(&mut transaction, &ns)?;
                    place(&ns)?
                }
            };
            transaction.batch().insert(place.clone(), key, change);
            last = Some((ns, place));
        }
        Ok(transaction.submit()?)
    }

    /// Remembers the class of a namespace with its first write. Nothing is submitted if another one is
    /// chosen before that, also if that is in flight.
    fn choose(&self, transaction: &mut Transaction, ns: &Namespace) -> crate::Result<()> {
        let is_ours = |chosen: &KvNamespace| chosen.class == KvClass::Mergeable;
        let seen = chosen(&self.names, ns)?;
        if !seen.as_ref().is_some_and(is_ours)
            && class_of(&*self.kv, &self.names, ns)? == Some(KvClass::SingleWriter)
        {
            return Err(Error::from(InvalidName::OtherClass).into());
        }
        let new = KvNamespace::new(ns, KvClass::Mergeable);
        let fits =
            move |now: Option<&KvNamespace>| now == seen.as_ref() || now.is_some_and(is_ours);
        transaction.require(&self.names, key_of(ns), fits)?;
        let choose = move |now: Option<&KvNamespace>| (!now.is_some_and(is_ours)).then_some(new);
        Ok(transaction.update(&self.names, key_of(ns), choose)?)
    }
}

/// Where the entries of a namespace lie that merges: its name may be longer than fits there, and so
/// is hashed.
pub(super) fn place(ns: &Namespace) -> Result<Namespace> {
    if ns.is_reserved() {
        return Err(InvalidName::Taken.into());
    }
    let mut hash = Sha256::new();
    for name in [ns.primary(), ns.secondary()] {
        hash.update((name.len() as u64).to_le_bytes());
        hash.update(name);
    }
    let hash = BASE32_NOPAD.encode(&hash.finalize()).to_ascii_lowercase();
    Ok(Namespace::reserved(RECORDS, &format!("{PREFIX}{hash}"))?)
}

pub(super) fn is_empty(kv: &dyn KvStore, ns: &Namespace) -> Result<bool> {
    Ok(kv.list(ns, None, 1)?.is_empty())
}

impl KvStore for Mergeable {
    fn read(&self, ns: &Namespace, key: &Key) -> Result<Option<Value>> {
        self.kv.read(&place(ns)?, key)
    }

    fn list(&self, ns: &Namespace, after: Option<&Key>, limit: usize) -> Result<Vec<Key>> {
        self.kv.list(&place(ns)?, after, limit)
    }

    fn namespaces(&self) -> Result<Vec<Namespace>> {
        let mut namespaces = Vec::new();
        for chosen in self.names.query(&Query::all()).map_err(store_error)? {
            let ns = Namespace::new(&chosen.primary, &chosen.secondary)?;
            if !is_empty(&*self.kv, &place(&ns)?)? {
                namespaces.push(ns);
            }
        }
        Ok(namespaces)
    }

    fn submit(&self, batch: Batch) -> Commit {
        if batch.is_empty() && batch.absent_keys().len() == 0 {
            return self.kv.submit(batch);
        }
        self.below(batch).unwrap_or_else(|error| {
            Commit::done(Err(match error {
                crate::Error::Store(error) => error,
                crate::Error::Records(error) => store_error(error),
                _ => InvalidName::OtherClass.into(),
            }))
        })
    }

    fn capabilities(&self) -> Capabilities<'_> {
        let mut capabilities = Capabilities::default();
        capabilities.replication = self.kv.capabilities().replication.and(Some(self));
        capabilities.merges = true;
        capabilities
    }

    fn close(&self) -> Result<()> {
        self.kv.close()
    }
}

impl Replication for Mergeable {
    fn waits(&self, ns: &Namespace) -> bool {
        let below = self.kv.capabilities().replication;
        below.is_some_and(|below| place(ns).map_or(true, |ns| below.waits(&ns)))
    }

    fn lag(&self) -> Option<Lag> {
        self.kv.capabilities().replication.and_then(|below| below.lag())
    }

    fn caught_up(&self) -> Commit {
        match self.kv.capabilities().replication {
            Some(below) => below.caught_up(),
            None => self.kv.submit(Batch::new()),
        }
    }

    fn durable_here(&self) -> Commit {
        match self.kv.capabilities().replication {
            Some(below) => below.durable_here(),
            None => self.kv.submit(Batch::new()),
        }
    }
}

fn store_error(error: records::Error) -> Error {
    match error {
        records::Error::Store { source, .. } => source,
        other => Error::corrupt(STORE, other.to_string()),
    }
}
