//! The unlocked part of a sealed store: keys, names, listings and submits.

use std::sync::{Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use kv_core::{
    Batch, Change, Commit, Error, InvalidName, Key, KvStore, Namespace, Prepared, Result, Value,
};

use super::{STORE, invalid, sealing::Sealing};
use crate::{
    Aad, Keys,
    aad::AadOfEach,
    directory::{
        ENTRIES, Journal, Name, NameChange, Names, PAGES, Touched, namespace_of, open_entry,
        open_page,
    },
    hidden,
};

/// What `lock` drops.
pub(super) struct Unlocked {
    keys: Keys,
    /// The ordering lock: held across the submit below, so that the order of the journal is the
    /// order of effects. Taken before `names`. Shared by batches that add and remove no name: their
    /// order among each other is the store's below, but no name may come or go meanwhile.
    journal: RwLock<Journal>,
    /// Held for moments only, never across a call below.
    names: Mutex<Names>,
}

/// A batch in the names and values of the store below, and the hidden names it touches.
struct Translated {
    batch: Batch,
    /// Ascending by name.
    touched: Vec<Touched>,
}

/// What [`Unlocked::prepare`] has done.
#[derive(Clone)]
struct Ready {
    /// For whom: the same wallet has the same keys.
    wallet: [u8; 16],
    /// What it was made of, ascending by name.
    changes: Vec<ReadyChange>,
    /// The batch for the store below that makes these changes.
    below: Batch,
}

#[derive(Clone)]
struct ReadyChange {
    name: Name,
    /// The value as it was; `None` for a removal.
    plain: Option<Value>,
    /// The key below, if the name is hidden.
    hidden: Option<Key>,
}

impl ReadyChange {
    /// Whether it is the very change that was prepared.
    fn is(&self, change: &Change) -> bool {
        match (&self.plain, change) {
            (Some(plain), Change::Put(value)) => {
                plain.as_ptr() == value.as_ptr() && plain.len() == value.len()
            }
            (None, Change::Remove) => true,
            _ => false,
        }
    }
}

impl Ready {
    /// Whether all of it is in the batch, as it was. There may be more in the batch.
    fn is_part_of(&self, batch: &Batch) -> bool {
        let mut rest = batch.changes();
        self.changes.iter().all(|ready| {
            let found = rest.find(|(ns, key, _)| (*ns, *key) == (&ready.name.0, &ready.name.1));
            found.is_some_and(|(.., change)| ready.is(change))
        })
    }
}

impl Unlocked {
    pub(super) fn new(keys: Keys, journal: Journal, names: Names) -> Self {
        Self { keys, journal: RwLock::new(journal), names: Mutex::new(names) }
    }

    pub(super) fn keys(&self) -> &Keys {
        &self.keys
    }

    // Listings take the ordering lock for a moment: between the submit below and its note in
    // `names`, a batch may be visible below that the names do not show yet.

    pub(super) fn list(&self, ns: &Namespace, after: Option<&Key>, limit: usize) -> Vec<Key> {
        let _order = self.order();
        self.names().list(ns, after, limit)
    }

    pub(super) fn namespaces(&self) -> Vec<Namespace> {
        let _order = self.order();
        self.names().namespaces()
    }

    /// The true names of keys below.
    pub(super) fn reveal(&self, ns: &Namespace, hidden: &[Key]) -> Vec<Key> {
        let _order = self.order();
        let hide = |key: &Key| hidden::key(&self.keys, ns, key);
        self.names().reveal(ns, hidden, hide)
    }

    /// The parts of the directory on disk: class and number.
    pub(super) fn bookkeeping(&self) -> Vec<(&'static str, u64)> {
        let journal = self.order();
        let pages = journal.pages().map(|number| (PAGES, number));
        let entries = journal.entries().map(|number| (ENTRIES, number));
        pages.chain(entries).collect()
    }

    /// Opens one part of the directory and tells its length on disk. One that was folded away
    /// meanwhile, or is still under way, is fine.
    pub(super) fn check_part(
        &self,
        inner: &dyn KvStore,
        class: &'static str,
        number: u64,
    ) -> Result<usize> {
        let key = Key::number(number);
        match inner.read(&namespace_of(class), &key)? {
            Some(sealed) if class == ENTRIES => {
                open_entry(&self.keys, number, &sealed).map(|_| sealed.len())
            }
            Some(sealed) => open_page(&self.keys, number, &sealed).map(|_| sealed.len()),
            None => {
                let journal = self.order();
                let expected = match class {
                    ENTRIES => journal.entries().contains(&number),
                    _ => journal.pages().any(|page| page == number),
                };
                let at_rest = self.names().is_at_rest();
                if expected && at_rest && inner.read(&namespace_of(class), &key)?.is_none() {
                    return Err(Error::corrupt(STORE, "missing"));
                }
                Ok(0)
            }
        }
    }

    pub(super) fn submit(&self, inner: &dyn KvStore, batch: Batch) -> Result<Commit> {
        let translated = self.translate(batch).map_err(|e| self.give_up(e))?;
        let Translated { mut batch, touched } = translated;
        let shared = self.shared_order();
        if !touched.iter().any(self.working_names()?.is_changed()) {
            return Ok(inner.submit(batch));
        }
        drop(shared);
        let mut journal = self.order();
        // Looked at again: between the two locks others may have added or removed the same names.
        let mut changes = self.changes(touched)?;
        if changes.is_empty() {
            return Ok(inner.submit(batch));
        }
        self.fold(inner, &mut journal, Journal::are_bulk(&changes))?;
        let mut noted = journal
            .note(&self.keys, &changes)
            .map_err(|e| self.give_up(e.into_store_error(STORE)))?;
        for (ns, key, put) in std::mem::take(&mut noted.puts) {
            batch.insert(ns, key, Change::Put(put));
        }

        let commit = inner.submit(batch);
        let receipt = commit.receipt();
        if let Some(Err(error)) = receipt.outcome()
            && error.is_refusal()
        {
            return Ok(commit);
        }
        let mut names = self.names();
        journal.accept(noted, &mut changes, &mut names);
        names.accept(changes, receipt);
        Ok(commit)
    }

    /// A batch as it goes below, if all of its names stay in clear.
    pub(super) fn seal_clear(&self, batch: Batch) -> Result<Batch> {
        let Translated { batch, touched } = self.translate(batch)?;
        if touched.is_empty() { Ok(batch) } else { Err(invalid(InvalidName::Taken)) }
    }

    /// What of the touched names is added and removed by a batch that comes next.
    fn changes(&self, touched: Vec<Touched>) -> Result<Vec<NameChange>> {
        let names = self.working_names()?;
        let changed = touched.into_iter().filter(names.is_changed());
        Ok(changed.map(NameChange::from).collect())
    }

    /// The names, unless no further change is to be taken.
    fn working_names(&self) -> Result<MutexGuard<'_, Names>> {
        let names = self.names();
        if names.has_failed() { Err(Error::Poisoned { store: STORE }) } else { Ok(names) }
    }

    /// Folds the directory if it is time, as a lazy batch before the one that is about to come.
    fn fold(&self, inner: &dyn KvStore, journal: &mut Journal, bulk: bool) -> Result<()> {
        let fold = journal.fold(&self.keys, bulk);
        let Some(mut fold) = fold.map_err(|e| self.give_up(e.into_store_error(STORE)))? else {
            return Ok(());
        };
        let receipt = inner.submit(std::mem::take(&mut fold.batch)).receipt();
        if let Some(Err(_)) = receipt.outcome() {
            journal.postpone_fold();
            return Ok(());
        }
        let mut names = self.names();
        journal.folded(fold, &mut names);
        names.accept(Vec::new(), receipt);
        Ok(())
    }

    /// Seals values and hides names before the batch has its place in the order. What fails here
    /// fails again at the submit, and is answered there.
    pub(super) fn prepare(&self, mut batch: Batch) -> Batch {
        let (mut changes, mut below) = (Vec::with_capacity(batch.len()), Batch::new());
        let mut sealing = Sealing::of(self, batch.len());
        for (ns, key, change) in batch.changes() {
            let Ok((place, sealed)) = sealing.translate(ns, key, change) else { break };
            let plain = match change {
                Change::Put(value) => Some(value.clone()),
                Change::Remove => None,
            };
            let hidden = place.hidden.then(|| place.key.clone());
            changes.push(ReadyChange { name: (ns.clone(), key.clone()), plain, hidden });
            below.insert(place.ns, place.key, sealed);
        }
        let wallet = self.keys.wallet_id();
        batch.set_prepared(Prepared::new(Ready { wallet, changes, below }));
        batch
    }

    fn translate(&self, mut batch: Batch) -> Result<Translated> {
        let ready = batch.take_prepared().and_then(Prepared::into_inner::<Ready>);
        let ready = ready.filter(|r| r.wallet == self.keys.wallet_id() && r.is_part_of(&batch));
        let (ready, mut below) = ready.map(|r| (r.changes, r.below)).unwrap_or_default();
        below.set_durability(batch.durability());
        for (ns, key) in batch.absent_keys() {
            let place = hidden::place(&self.keys, ns, key).map_err(invalid)?;
            below.insert_require_absent(place.ns, place.key);
        }
        let mut touched = Vec::with_capacity(batch.len());
        let mut sealing = Sealing::of(self, batch.len().saturating_sub(ready.len()));
        // Both ascend by name.
        let mut ready = ready.into_iter().peekable();
        for (ns, key, change) in batch.into_changes() {
            let put = matches!(change, Change::Put(_));
            let same = |r: &ReadyChange| (&r.name.0, &r.name.1) == (&ns, &key);
            let hidden = match ready.next_if(same) {
                Some(ready) => ready.hidden,
                None => {
                    let (place, change) = sealing.translate(&ns, &key, &change)?;
                    let hidden = place.hidden.then(|| place.key.clone());
                    below.insert(place.ns, place.key, change);
                    hidden
                }
            };
            if let Some(hidden) = hidden {
                touched.push(Touched { name: (ns, key), hidden, put });
            }
        }
        Ok(Translated { batch: below, touched })
    }

    /// Binds values of a namespace to their true names.
    pub(super) fn aad_in(&self, ns: &Namespace) -> AadOfEach {
        let wallet = Aad::new("value").bytes(&self.keys.wallet_id());
        AadOfEach::new(wallet.text(ns.primary()).text(ns.secondary()))
    }

    /// An error that is no refusal ends all writing until the store is reopened.
    pub(super) fn give_up(&self, error: Error) -> Error {
        if !error.is_refusal() {
            self.names().fail();
        }
        error
    }

    pub(super) fn order(&self) -> RwLockWriteGuard<'_, Journal> {
        self.journal.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// While it is held no name comes or goes.
    fn shared_order(&self) -> RwLockReadGuard<'_, Journal> {
        self.journal.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// The names as of now.
    pub(super) fn names(&self) -> MutexGuard<'_, Names> {
        let mut names = self.names.lock().unwrap_or_else(PoisonError::into_inner);
        names.settle();
        names
    }
}
