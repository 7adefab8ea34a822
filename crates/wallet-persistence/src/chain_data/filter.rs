//! Which transactions: a filter, and how the indexes answer it.

use std::{
    collections::{BTreeSet, BinaryHeap},
    iter,
};

use alloy_primitives::{Address, TxHash, U256};
use records::{Found, KeyRange, ObjectStore, Query, RecordKey, Records};

use super::{EvmTransaction, key, queries::chains};
use crate::{AccountId, Result};

/// Which transactions are wanted. What is not asked for does not matter; of each kind of condition
/// that is given, a transaction has to meet one.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[must_use]
pub struct TxFilter {
    chains: BTreeSet<u64>,
    /// Sent or received; on one chain, or on any.
    parties: BTreeSet<(Option<u64>, Address)>,
    /// An account was asked for that has no EVM transactions.
    has_foreign_party: bool,
    hashes: BTreeSet<TxHash>,
    since: Option<u64>,
    until: Option<u64>,
    min_value: Option<U256>,
    max_value: Option<U256>,
    limit: Option<usize>,
}

impl TxFilter {
    /// All transactions.
    pub fn new() -> Self {
        Self::default()
    }

    /// On this chain (EIP-155). Given several times: on one of them.
    pub fn chain(mut self, chain_id: u64) -> Self {
        self.chains.insert(chain_id);
        self
    }

    /// From or to this address, on any chain. Given several times: from or to one of them.
    pub fn address(mut self, address: Address) -> Self {
        self.parties.insert((None, address));
        self
    }

    /// From or to this account, on its chain. One that is no EVM account has no transactions here.
    pub fn account(mut self, account: &AccountId) -> Self {
        match account.evm() {
            Some((chain, address)) => _ = self.parties.insert((Some(chain), address)),
            None => self.has_foreign_party = true,
        }
        self
    }

    /// With this hash. Given several times: with one of them.
    pub fn hash(mut self, hash: TxHash) -> Self {
        self.hashes.insert(hash);
        self
    }

    /// In a block of this time or later, in seconds since the Unix epoch.
    pub fn since(self, seconds: u64) -> Self {
        Self { since: Some(seconds), ..self }
    }

    /// In a block before this time, in seconds since the Unix epoch.
    pub fn until(self, seconds: u64) -> Self {
        Self { until: Some(seconds), ..self }
    }

    /// With at least this value, in wei.
    pub fn min_value(self, wei: U256) -> Self {
        Self { min_value: Some(wei), ..self }
    }

    /// With at most this value, in wei.
    pub fn max_value(self, wei: U256) -> Self {
        Self { max_value: Some(wei), ..self }
    }

    /// At most so many, the newest.
    pub fn limit(self, limit: usize) -> Self {
        Self { limit: Some(limit), ..self }
    }

    fn accepts(&self, tx: &EvmTransaction) -> bool {
        let is_party = |address: &Address| {
            self.parties.contains(&(None, *address))
                || self.parties.contains(&(Some(tx.chain_id), *address))
        };
        (self.chains.is_empty() || self.chains.contains(&tx.chain_id))
            && (!self.has_parties() || is_party(&tx.from) || tx.to.as_ref().is_some_and(is_party))
            && (self.hashes.is_empty() || self.hashes.contains(&tx.hash))
            && self.since.is_none_or(|since| tx.timestamp >= since)
            && self.until.is_none_or(|until| tx.timestamp < until)
            && self.min_value.is_none_or(|min| tx.value >= min)
            && self.max_value.is_none_or(|max| tx.value <= max)
    }

    fn has_parties(&self) -> bool {
        self.has_foreign_party || !self.parties.is_empty()
    }

    /// The transactions it lets through, newest first: by timestamp, then block number, then hash.
    pub(super) fn find(&self, store: &ObjectStore<EvmTransaction>) -> Result<Vec<EvmTransaction>> {
        let limit = self.limit.unwrap_or(usize::MAX);
        let accepted = |tx: &Found<EvmTransaction>| self.accepts(tx);
        if !self.hashes.is_empty() {
            let mut found = self.by_hash(store)?;
            found.retain(accepted);
            found.sort_by_key(|tx| std::cmp::Reverse(tx.order()));
            return Ok(found.into_iter().take(limit).map(Found::into_record).collect());
        }
        let newest: Box<dyn Iterator<Item = Found<EvmTransaction>>> = if self.has_parties() {
            Box::new(newest_of(self.by_party(store)?))
        } else {
            let range = self.times(Vec::new());
            Box::new(store.query(&Query::index("time").range(range).backward())?)
        };
        Ok(newest.filter(accepted).take(limit).map(Found::into_record).collect())
    }

    fn by_hash(&self, store: &ObjectStore<EvmTransaction>) -> Result<Vec<Found<EvmTransaction>>> {
        let mut found = Vec::new();
        for chain in self.chains_in(store)? {
            for hash in &self.hashes {
                found.extend(store.get(key(chain, hash))?);
            }
        }
        Ok(found)
    }

    /// What each party has sent and received, the newest first.
    fn by_party(
        &self,
        store: &ObjectStore<EvmTransaction>,
    ) -> Result<Vec<Records<EvmTransaction>>> {
        let mut found = Vec::new();
        for chain in self.chains_in(store)? {
            for (only, address) in &self.parties {
                if only.is_some_and(|only| only != chain) {
                    continue;
                }
                for index in ["from", "to"] {
                    let range = self.times(vec![chain.into(), address.as_slice().into()]);
                    found.push(store.query(&Query::index(index).range(range).backward())?);
                }
            }
        }
        Ok(found)
    }

    /// The chains that matter: those of the filter, else all there are.
    fn chains_in(&self, store: &ObjectStore<EvmTransaction>) -> Result<BTreeSet<u64>> {
        if self.chains.is_empty() {
            return chains(store);
        }
        Ok(self.chains.clone())
    }

    /// The keys that begin so and go on with a time of the filter.
    pub(super) fn times(&self, begin: Vec<RecordKey>) -> KeyRange {
        let key = |end: Option<RecordKey>| {
            RecordKey::from(begin.iter().cloned().chain(end).collect::<Vec<_>>())
        };
        // An array comes behind every number, so behind every time.
        let behind = || RecordKey::Array(Vec::new());
        let low = key(self.since.map(RecordKey::from));
        let high = key(Some(self.until.map_or_else(behind, RecordKey::from)));
        KeyRange::within(low..high)
    }
}

/// Several listings, each the newest first, as one, each transaction once.
fn newest_of(
    mut listings: Vec<Records<EvmTransaction>>,
) -> impl Iterator<Item = Found<EvmTransaction>> {
    let mut heads: Vec<Option<Found<EvmTransaction>>> =
        listings.iter_mut().map(Iterator::next).collect();
    let order = |head: &Option<Found<EvmTransaction>>| head.as_ref().map(|tx| tx.order());
    let mut newest: BinaryHeap<_> =
        heads.iter().zip(0..).filter_map(|(head, at)| Some((order(head)?, at))).collect();
    let mut last = None;
    iter::from_fn(move || {
        loop {
            let (place, at): (_, usize) = newest.pop()?;
            let next = listings.get_mut(at).and_then(Iterator::next);
            newest.extend(order(&next).map(|place| (place, at)));
            let found = std::mem::replace(heads.get_mut(at)?, next);
            if last.replace(place) != Some(place) {
                return found;
            }
        }
    })
}
