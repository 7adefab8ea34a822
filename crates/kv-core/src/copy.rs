//! Copying a whole store into another: bytes and order kept, compared by digest, resumable.

use std::collections::{BTreeSet, VecDeque};

use data_encoding::HEXLOWER;
use sha2::{Digest as _, Sha256};

use crate::{Batch, Commit, Error, Key, KvStore, KvStoreExt, Namespace, Result};

/// What a copy has done.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Copied {
    /// Entries that both stores hold now.
    pub entries: u64,
    /// Bytes of their values.
    pub bytes: u64,
    /// How many entries were there already, from an attempt before.
    pub there_before: u64,
    /// The digest of both; see [`digest`].
    pub digest: String,
}

/// How far a copy has come.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct CopyProgress {
    /// Entries copied, or compared.
    pub done: u64,
    /// Entries in all.
    pub total: u64,
    /// The copy is complete and is being compared.
    pub comparing: bool,
}

/// Why a copy was not made. The store copied from is never changed.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum CopyError {
    /// One of the stores failed; its error says what to do. Then copy again: it goes on.
    #[error("the store to copy {side} failed")]
    Store {
        /// Which one.
        side: Side,
        /// What it said.
        source: Error,
    },
    /// The store to copy to holds what is not a part of this copy; nothing was changed. Use an
    /// empty store.
    #[error("the store to copy to holds something else already")]
    NotEmpty,
    /// The copy is complete and differs: the store copied from has changed meanwhile, or one of
    /// the two does not keep what it is given. Do not use the copy; use an empty store and try again.
    #[error("the copy differs from what was copied")]
    Differs,
}

/// One of the two stores of a copy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// The one that is read.
    From,
    /// The one that is written.
    To,
}

impl std::fmt::Display for Side {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::From => "from",
            Self::To => "to",
        })
    }
}

/// Batches on their way at a time, and bytes of values in them.
const IN_FLIGHT: usize = 64;
const BYTES_IN_FLIGHT: usize = 8 << 20;
/// Changes and bytes of one batch, at most.
const BATCH: usize = 500;
const BATCH_BYTES: usize = 1 << 20;
/// How often `progress` is called, in entries.
const TICK: u64 = 1000;

/// Copies everything, names of the layers included, into an empty store, or into one where an
/// earlier attempt was interrupted. Keys are created in the order of their creation, where `from` has one.
/// At the end both are read and compared.
///
/// Nobody else may change either store meanwhile: what is recorded or sealed is copied below
/// those layers, as it is, and needs no key. Two copies that are both used afterwards are two
/// wallets that believe to be one.
pub fn copy(
    from: &dyn KvStore,
    to: &dyn KvStore,
    progress: impl FnMut(CopyProgress),
) -> Result<Copied, CopyError> {
    copy_by(BATCH, from, to, progress)
}

/// The same, each entry in a batch of its own: for a store that does not create the keys of one batch
/// ascending by name, such as one that hides names.
pub fn copy_one_by_one(
    from: &dyn KvStore,
    to: &dyn KvStore,
    progress: impl FnMut(CopyProgress),
) -> Result<Copied, CopyError> {
    copy_by(1, from, to, progress)
}

/// With at most so many entries in a batch.
fn copy_by(
    most: usize,
    from: &dyn KvStore,
    to: &dyn KvStore,
    mut progress: impl FnMut(CopyProgress),
) -> Result<Copied, CopyError> {
    let mut order = Vec::new();
    let mut at = CopyProgress::default();
    for ns in from.namespaces().map_err(failed(Side::From))? {
        let keys = oldest_first(from, &ns).map_err(failed(Side::From))?;
        at.total += keys.len() as u64;
        order.push((ns, keys));
    }
    let there = already_there(to, &order)?;
    let there_before = there.iter().map(|there| *there as u64).sum();
    at.done = there_before;
    let mut copying = Copying { to, most, flying: VecDeque::new(), bytes: 0 };
    for ((ns, keys), there) in order.iter().zip(there) {
        copying.namespace(from, ns, keys.get(there..).unwrap_or_default(), &mut |count| {
            at.done += count;
            progress(at);
        })?;
    }
    copying.settle(0)?;
    to.flush().map_err(failed(Side::To))?;

    at = CopyProgress { done: 0, total: at.total, comparing: true };
    let (entries, bytes, digest) =
        sum(from, |done| progress(CopyProgress { done: done / 2, ..at }))
            .map_err(failed(Side::From))?;
    let half = at.total / 2;
    let copied = sum(to, |done| progress(CopyProgress { done: half + done / 2, ..at }))
        .map_err(failed(Side::To))?;
    if copied != (entries, bytes, digest.clone()) {
        return Err(CopyError::Differs);
    }
    Ok(Copied { entries, bytes, there_before, digest })
}

/// One hash over everything in a store, names of the layers included, and over the order of creation.
///
/// SHA-256 (FIPS 180-4), as 64 lower-case hexadecimal characters, of these parts, each with its
/// length before it (u64, little-endian): for each namespace, ascending, for each key from the
/// oldest on (ascending where the store has no order of creation), the primary and secondary
/// namespace, the key, the value.
pub fn digest(store: &dyn KvStore) -> Result<String> {
    Ok(sum(store, |_| ())?.2)
}

fn sum(store: &dyn KvStore, mut progress: impl FnMut(u64)) -> Result<(u64, u64, String)> {
    let mut hash = Sha256::new();
    let (mut entries, mut bytes) = (0, 0);
    for ns in store.namespaces()? {
        for key in oldest_first(store, &ns)? {
            let value = store.read_required(&ns, &key)?;
            let names = [ns.primary(), ns.secondary(), key.as_str()].map(str::as_bytes);
            for part in names.into_iter().chain([&*value]) {
                hash.update((part.len() as u64).to_le_bytes());
                hash.update(part);
            }
            entries += 1;
            bytes += value.len() as u64;
            if entries % TICK == 0 {
                progress(entries);
            }
        }
    }
    Ok((entries, bytes, HEXLOWER.encode(&hash.finalize())))
}

fn oldest_first(store: &dyn KvStore, ns: &Namespace) -> Result<Vec<Key>> {
    let Some(order) = store.capabilities().creation_order else { return store.list_all(ns) };
    let mut keys = order.list_newest_first(ns, None, usize::MAX)?.keys;
    keys.reverse();
    Ok(keys)
}

/// How many keys of each namespace are there: the oldest ones, or it is not this copy.
fn already_there(
    to: &dyn KvStore,
    order: &[(Namespace, Vec<Key>)],
) -> Result<Vec<usize>, CopyError> {
    let found: BTreeSet<Namespace> =
        to.namespaces().map_err(failed(Side::To))?.into_iter().collect();
    if found.iter().any(|ns| !order.iter().any(|(known, _)| known == ns)) {
        return Err(CopyError::NotEmpty);
    }
    let there = order.iter().map(|(ns, keys)| {
        if !found.contains(ns) {
            return Ok(0);
        }
        let there = oldest_first(to, ns).map_err(failed(Side::To))?;
        if keys.starts_with(&there) { Ok(there.len()) } else { Err(CopyError::NotEmpty) }
    });
    there.collect()
}

/// The writing side of a copy.
struct Copying<'a> {
    to: &'a dyn KvStore,
    /// Changes of one batch.
    most: usize,
    flying: VecDeque<(Commit, usize)>,
    bytes: usize,
}

impl Copying<'_> {
    fn namespace(
        &mut self,
        from: &dyn KvStore,
        ns: &Namespace,
        keys: &[Key],
        progress: &mut dyn FnMut(u64),
    ) -> Result<(), CopyError> {
        let mut rest = keys;
        let mut told = 0;
        while !rest.is_empty() {
            let mut batch = Batch::new();
            let mut bytes = 0;
            let mut last: Option<&Key> = None;
            // A batch creates its keys ascending by name: it ends where the order does.
            while let Some((key, later)) = rest.split_first() {
                let fits = batch.len() < self.most && bytes < BATCH_BYTES;
                if !fits || last.is_some_and(|last| last > key) {
                    break;
                }
                let value = from.read_required(ns, key).map_err(failed(Side::From))?;
                bytes += value.len();
                batch.insert(ns.clone(), key.clone(), crate::Change::Put(value));
                (last, rest) = (Some(key), later);
            }
            told += batch.len() as u64;
            self.flying.push_back((self.to.submit(batch), bytes));
            self.bytes += bytes;
            self.settle(IN_FLIGHT)?;
            if told >= TICK || rest.is_empty() {
                progress(std::mem::take(&mut told));
            }
        }
        Ok(())
    }

    /// Waits until at most so many batches, and not too many bytes, are on their way.
    fn settle(&mut self, most: usize) -> Result<(), CopyError> {
        while self.flying.len() > most || self.bytes > BYTES_IN_FLIGHT {
            let Some((commit, bytes)) = self.flying.pop_front() else { break };
            commit.wait().map_err(failed(Side::To))?;
            self.bytes -= bytes;
        }
        Ok(())
    }
}

fn failed(side: Side) -> impl Fn(Error) -> CopyError {
    move |source| CopyError::Store { side, source }
}
