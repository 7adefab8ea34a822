//! What a session answers about transactions.

use std::collections::{BTreeMap, BTreeSet};

use records::{KeyRange, ObjectStore, Query, RecordKey};

use super::{EvmTransaction, Flow, Imported, TxFilter, flow, key};
use crate::{AccountId, Result, Session};

impl Session {
    /// Adds transactions in one atomic, durable step; those that are there already stay as they are.
    pub async fn import(&self, transactions: &[EvmTransaction]) -> Result<Imported> {
        let store = &self.tower()?.data.transactions;
        let mut imported = Imported::default();
        let mut staged = store.transaction();
        for tx in transactions {
            let key = key(tx.chain_id, &tx.hash);
            if store.count(&Query::all().range(KeyRange::only(key)))? > 0 {
                imported.known += 1;
            } else {
                staged.put(store, tx)?;
                imported.new += 1;
            }
        }
        staged.submit()?.await?;
        Ok(imported)
    }

    /// The transactions that the filter lets through, newest first (timestamp, then block number,
    /// then hash).
    pub fn find_transactions(&self, filter: &TxFilter) -> Result<Vec<EvmTransaction>> {
        filter.find(&self.tower()?.data.transactions)
    }

    /// Transactions, newest first: of one account, or all.
    pub fn transactions(
        &self,
        account: Option<&AccountId>,
        limit: usize,
    ) -> Result<Vec<EvmTransaction>> {
        let filter = TxFilter::new().limit(limit);
        self.find_transactions(&match account {
            Some(account) => filter.account(account),
            None => filter,
        })
    }

    /// The newest transaction of an account.
    pub fn latest_transaction(&self, account: &AccountId) -> Result<Option<EvmTransaction>> {
        Ok(self.transactions(Some(account), 1)?.pop())
    }

    /// How many transactions there are on each chain.
    pub fn transactions_per_chain(&self) -> Result<BTreeMap<u64, usize>> {
        let store = &self.tower()?.data.transactions;
        let count = |chain| {
            let here = Query::all().range(KeyRange::prefix((chain,)));
            Ok((chain, store.count(&here)?))
        };
        chains(store)?.into_iter().map(count).collect()
    }

    /// What has come in and gone out on each chain: of these accounts, or of all that are linked if
    /// none is given. Of the filter only [`TxFilter::since`] and [`TxFilter::until`] count.
    pub fn flow(&self, accounts: &[AccountId], filter: &TxFilter) -> Result<BTreeMap<u64, Flow>> {
        let store = &self.tower()?.data.transactions;
        if accounts.is_empty() {
            let linked: Vec<AccountId> = self.accounts()?.into_iter().map(|a| a.id).collect();
            return flow::flow(store, &linked, filter);
        }
        flow::flow(store, accounts, filter)
    }
}

/// Every chain that has transactions.
pub(super) fn chains(store: &ObjectStore<EvmTransaction>) -> Result<BTreeSet<u64>> {
    let mut chains = BTreeSet::new();
    let mut cursor = store.cursor(&Query::all())?;
    while let Some(tx) = cursor.record() {
        let chain = tx.chain_id;
        chains.insert(chain);
        // Behind every hash of the chain: an array comes behind everything binary.
        cursor.continue_to((chain, RecordKey::Array(Vec::new())))?;
    }
    Ok(chains)
}
