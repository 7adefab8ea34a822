//! The persister: one entry per change set, and now and then one for all of them.

use std::{fmt, future::Future, pin::Pin, sync::Arc};

use bdk_wallet::{AsyncWalletPersister, ChangeSet, WalletPersister, chain::Merge};
use kv_core::{Batch, Commit, InvalidName, Key, KvStore, Namespace};

use crate::{
    Error,
    codec::{self, STORE},
    fold::{Contradiction, Fold, Identity},
};

/// The primary namespace; the secondary one is the name of the wallet.
const PRIMARY: &str = "bdk";
/// How many entries a wallet may have; the next change set replaces them all. So loading stays
/// short, and a change set is rewritten once in so many.
const MAX_ENTRIES: u64 = 256;
/// How many keys to list at once.
const PAGE: usize = 1000;

/// Keeps one wallet of bdk in a store.
///
/// One persister per wallet at a time: what another one wrote meanwhile is
/// [`Error::WrittenElsewhere`], and then the wallet has to be loaded again.
///
/// `persist` returns, or its future resolves, when the store's commit does: the change set then
/// survives power loss, and over a replicated store it is in the cloud. After an error the changes
/// stay staged in the wallet; after one of unknown outcome nothing is written and the same error comes
/// again, until the wallet is loaded: reopen the store if it says so, and load.
/// Loading reads the store on the calling thread, also in the asynchronous version; it waits for no
/// cloud.
pub struct BdkPersister {
    store: Arc<dyn KvStore>,
    entries: Namespace,
    /// `None` until loaded.
    known: Option<Known>,
    /// The error that has left open what is stored. Until the wallet is loaded again, what is in its
    /// memory may be behind that.
    lost: Option<kv_core::Error>,
}

/// What is stored, as far as the next change set must know it.
struct Known {
    identity: Identity,
    count: u64,
    /// The highest sequence in use; 0 if there is none.
    newest: u64,
}

/// Every entry of the wallet, folded.
struct Loaded {
    fold: Fold,
    keys: Vec<Key>,
    newest: u64,
}

impl BdkPersister {
    /// For the wallet of this name in `store`, of which there may be many: a name has at most 120
    /// characters from `A-Z a-z 0-9 _ -`. Nothing is read or written yet.
    ///
    /// # Errors
    /// The name breaks the rules.
    pub fn new(store: Arc<dyn KvStore>, wallet: &str) -> Result<Self, InvalidName> {
        Ok(Self { store, entries: Namespace::new(PRIMARY, wallet)?, known: None, lost: None })
    }

    /// Makes what was submitted and not waited for readable: a future may have been dropped. A cloud may be
    /// away for days, and a wallet is loaded meanwhile.
    fn flush(&self) -> Commit {
        match self.store.capabilities().replication {
            Some(replication) => replication.durable_here(),
            None => self.store.submit(Batch::new()),
        }
    }

    fn load(&mut self) -> Result<ChangeSet, Error> {
        self.known = None;
        let Loaded { fold, keys, newest } = self.read()?;
        let whole = fold.finish();
        let identity = Identity::of(&whole);
        self.known = Some(Known { identity, count: keys.len() as u64, newest });
        self.lost = None;
        Ok(whole)
    }

    /// Whether a change set may be written now, loaded or not.
    fn check(&self) -> Result<(), Error> {
        self.lost.clone().map_or(Ok(()), |error| Err(error.into()))
    }

    /// Reads what is durable now.
    fn read(&self) -> Result<Loaded, Error> {
        let mut loaded = Loaded { fold: Fold::default(), keys: Vec::new(), newest: 0 };
        loop {
            let page = self.store.list(&self.entries, loaded.keys.last(), PAGE)?;
            let full = page.len() == PAGE;
            loaded.keys.extend(page);
            if !full {
                break;
            }
        }
        for key in &loaded.keys {
            let broken = |what: &'static str| kv_core::Error::corrupt(STORE, what);
            let sequence = key.as_number().ok_or_else(|| broken("an entry without a number"))?;
            // Another persister may have replaced it since it was listed.
            let bytes = self.store.read(&self.entries, key)?.ok_or(Error::WrittenElsewhere)?;
            let change_set = codec::decode(sequence, &bytes)?;
            let added = loaded.fold.add(change_set);
            added.map_err(|Contradiction| broken("two scripts for one index"))?;
            loaded.newest = sequence;
        }
        Ok(loaded)
    }

    /// Submits a change set. [`Self::load`] goes before.
    fn submit(&mut self, change_set: &ChangeSet) -> Result<Commit, Error> {
        let Some(known) = &self.known else { return Err(Error::WrittenElsewhere) };
        if !known.identity.fits(change_set) {
            return Err(Error::OtherWallet);
        }
        // Whoever replaced entries left one that is newer: the precondition alone would not see it.
        let last = Key::number(known.newest);
        if !self.store.list(&self.entries, Some(&last), 1)?.is_empty() {
            return Err(Error::WrittenElsewhere);
        }
        let full = || kv_core::Error::corrupt(STORE, "no sequence is left");
        let newest = known.newest.checked_add(1).ok_or_else(full)?;
        let mut batch = Batch::new();
        let mut count = known.count + 1;
        let value = if known.count >= MAX_ENTRIES
            && let Some((whole, replaced)) = self.fold_all(known.newest, change_set)?
        {
            for key in &replaced {
                batch = batch.remove(&self.entries, key);
            }
            count = 1;
            codec::encode(&whole)?
        } else {
            codec::encode(change_set)?
        };
        let key = Key::number(newest);
        batch = batch.require_absent(&self.entries, &key).put(&self.entries, &key, value);
        let commit = self.store.submit(batch);
        // A refusal is known by now, and has changed nothing.
        if let Some(Err(error)) = commit.receipt().outcome() {
            return Err(self.failed(error));
        }
        if let Some(known) = &mut self.known {
            known.identity.learn(change_set);
            (known.count, known.newest) = (count, newest);
        }
        Ok(commit)
    }

    /// All change sets and this one as one, and the keys it replaces; `None` while one of them is
    /// still on its way to the disk, since its future was dropped: then the next change set does it.
    fn fold_all(
        &self,
        newest: u64,
        change_set: &ChangeSet,
    ) -> Result<Option<(ChangeSet, Vec<Key>)>, Error> {
        let mut loaded = self.read()?;
        if loaded.newest != newest {
            return Ok(None);
        }
        let added = loaded.fold.add(change_set.clone());
        added.map_err(|Contradiction| Error::OtherWallet)?;
        Ok(Some((loaded.fold.finish(), loaded.keys)))
    }

    /// What a failed batch means here.
    fn failed(&mut self, error: kv_core::Error) -> Error {
        if matches!(error, kv_core::Error::Precondition { .. }) {
            return Error::WrittenElsewhere;
        }
        if !error.is_refusal() {
            self.known = None;
            self.lost = Some(error.clone());
        }
        error.into()
    }
}

impl WalletPersister for BdkPersister {
    type Error = Error;

    fn initialize(persister: &mut Self) -> Result<ChangeSet, Error> {
        persister.flush().wait()?;
        persister.load()
    }

    fn persist(persister: &mut Self, change_set: &ChangeSet) -> Result<(), Error> {
        if change_set.is_empty() {
            return Ok(());
        }
        persister.check()?;
        if persister.known.is_none() {
            persister.flush().wait()?;
            persister.load()?;
        }
        let outcome = persister.submit(change_set)?.wait();
        outcome.map_err(|error| persister.failed(error))
    }
}

/// What bdk's asynchronous trait wants.
type Answer<'a, T> = Pin<Box<dyn Future<Output = Result<T, Error>> + Send + 'a>>;

impl AsyncWalletPersister for BdkPersister {
    type Error = Error;

    fn initialize<'a>(persister: &'a mut Self) -> Answer<'a, ChangeSet>
    where
        Self: 'a,
    {
        Box::pin(async move {
            persister.flush().await?;
            persister.load()
        })
    }

    fn persist<'a>(persister: &'a mut Self, change_set: &'a ChangeSet) -> Answer<'a, ()>
    where
        Self: 'a,
    {
        Box::pin(async move {
            if change_set.is_empty() {
                return Ok(());
            }
            persister.check()?;
            if persister.known.is_none() {
                persister.flush().await?;
                persister.load()?;
            }
            let outcome = persister.submit(change_set)?.await;
            outcome.map_err(|error| persister.failed(error))
        })
    }
}

/// Neither descriptors nor anything else that is in the wallet.
impl fmt::Debug for BdkPersister {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let entries = self.known.as_ref().map(|known| known.count);
        f.debug_struct("BdkPersister").field("entries", &entries).finish_non_exhaustive()
    }
}
