//! Holdings: balances and NFTs of accounts, as they were when they were last looked up.

use alloy_primitives::U256;
use kv_core::{Commit, Timestamp};
use records::{Found, KeyRange, ObjectStore, Query, Record, RecordKey};
use serde::{Deserialize, Serialize};

use super::{AssetId, BadData, text};
use crate::{AccountId, Result, Session, decimal};

/// How much of an asset an account holds. Its key is (account, asset).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Balance {
    /// Whose it is.
    pub account: AccountId,
    /// Of what.
    pub asset: AssetId,
    /// How much, in the smallest unit of the asset.
    #[serde(with = "decimal")]
    pub amount: U256,
    /// How many of its digits stand behind the point, where known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decimals: Option<u8>,
    /// What the asset is called for short, where known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub symbol: Option<String>,
    /// When it was put here last, in milliseconds since the Unix epoch.
    pub updated: u64,
}

/// One item of a collection that an account holds. Its key is (account, asset).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Nft {
    /// Whose it is.
    pub account: AccountId,
    /// Which one, with its token.
    pub asset: AssetId,
    /// How many of it: 1, unless it is of a kind with several.
    #[serde(with = "decimal")]
    pub amount: U256,
    /// What it is called, where known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Where its description lies, where known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uri: Option<String>,
    /// When it was put here last, in milliseconds since the Unix epoch.
    pub updated: u64,
}

impl Balance {
    /// A balance of which nothing more is known.
    pub fn new(account: AccountId, asset: AssetId, amount: U256) -> Self {
        Self { account, asset, amount, decimals: None, symbol: None, updated: 0 }
    }

    /// The balance with its texts in one spelling, if it can be kept.
    pub fn checked(mut self) -> Result<Self, BadData> {
        self.symbol = text::optional("a symbol", self.symbol.as_deref(), 100)?;
        same_chain(&self.account, &self.asset)?;
        Ok(self)
    }
}

impl Nft {
    /// One of an item of which nothing more is known.
    pub fn new(account: AccountId, asset: AssetId) -> Self {
        Self { account, asset, amount: U256::ONE, name: None, uri: None, updated: 0 }
    }

    /// The NFT with its texts in one spelling, if it can be kept.
    pub fn checked(mut self) -> Result<Self, BadData> {
        self.name = text::optional("a name", self.name.as_deref(), 1000)?;
        self.uri = text::optional("the address of a description", self.uri.as_deref(), 8192)?;
        self.asset.token().ok_or(BadData::NoToken)?;
        same_chain(&self.account, &self.asset)?;
        Ok(self)
    }
}

impl Record for Balance {
    const STORE: &'static str = "balances";
    const VERSION: u32 = 1;

    fn key(&self) -> RecordKey {
        (self.account.as_str(), self.asset.as_str()).into()
    }
}

impl Record for Nft {
    const STORE: &'static str = "nfts";
    const VERSION: u32 = 1;

    fn key(&self) -> RecordKey {
        (self.account.as_str(), self.asset.as_str()).into()
    }
}

/// What balances and NFTs have in common.
pub(crate) trait Holding: Record + Clone {
    fn account(&self) -> &AccountId;
    /// Refuses what makes no sense, and notes when that was.
    fn prepared(self, now: u64) -> Result<Self, BadData>;
}

impl Holding for Balance {
    fn account(&self) -> &AccountId {
        &self.account
    }

    fn prepared(self, now: u64) -> Result<Self, BadData> {
        Self { updated: now, ..self }.checked()
    }
}

impl Holding for Nft {
    fn account(&self) -> &AccountId {
        &self.account
    }

    fn prepared(self, now: u64) -> Result<Self, BadData> {
        Self { updated: now, ..self }.checked()
    }
}

fn same_chain(account: &AccountId, asset: &AssetId) -> Result<(), BadData> {
    if account.chain() == asset.chain() { Ok(()) } else { Err(BadData::OtherChain) }
}

impl Session {
    /// Notes balances, each in place of the one before, as of now. All of them or none; resolves
    /// when they are durable.
    pub async fn put_balances(&self, balances: impl IntoIterator<Item = Balance>) -> Result<()> {
        Ok(self.put(&self.tower()?.data.balances, None, balances)?.await?)
    }

    /// Notes what an account holds as of now: what is not among `balances` is held no more. All in
    /// one durable step.
    pub async fn replace_balances(
        &self,
        account: &AccountId,
        balances: impl IntoIterator<Item = Balance>,
    ) -> Result<()> {
        Ok(self.put(&self.tower()?.data.balances, Some(account), balances)?.await?)
    }

    /// The balances of an account, or of all, ascending by account and asset.
    pub fn balances(&self, account: Option<&AccountId>) -> Result<Vec<Balance>> {
        held(&self.tower()?.data.balances, account)
    }

    /// Forgets a balance; `false` if there was none.
    pub async fn remove_balance(&self, account: &AccountId, asset: &AssetId) -> Result<bool> {
        self.remove(&self.tower()?.data.balances, (account.as_str(), asset.as_str())).await
    }

    /// Notes NFTs, each in place of what was known of it, as of now. All of them or none; resolves
    /// when they are durable.
    pub async fn put_nfts(&self, nfts: impl IntoIterator<Item = Nft>) -> Result<()> {
        Ok(self.put(&self.tower()?.data.nfts, None, nfts)?.await?)
    }

    /// Notes which NFTs an account holds as of now: what is not among `nfts` is held no more. All in
    /// one durable step.
    pub async fn replace_nfts(
        &self,
        account: &AccountId,
        nfts: impl IntoIterator<Item = Nft>,
    ) -> Result<()> {
        Ok(self.put(&self.tower()?.data.nfts, Some(account), nfts)?.await?)
    }

    /// The NFTs of an account, or of all, ascending by account and asset.
    pub fn nfts(&self, account: Option<&AccountId>) -> Result<Vec<Nft>> {
        held(&self.tower()?.data.nfts, account)
    }

    /// Forgets an NFT; `false` if there was none.
    pub async fn remove_nft(&self, account: &AccountId, asset: &AssetId) -> Result<bool> {
        self.remove(&self.tower()?.data.nfts, (account.as_str(), asset.as_str())).await
    }

    /// Stores holdings as of now, in place of all of an account if one is given.
    fn put<H: Holding>(
        &self,
        store: &ObjectStore<H>,
        all_of: Option<&AccountId>,
        holdings: impl IntoIterator<Item = H>,
    ) -> Result<Commit> {
        let Timestamp(now) = self.tower()?.clock.now();
        let mut transaction = store.transaction();
        if let Some(account) = all_of {
            transaction.delete_range(store, of(account))?;
        }
        for holding in holdings {
            if all_of.is_some_and(|account| account != holding.account()) {
                return Err(BadData::OtherAccount.into());
            }
            transaction.put(store, &holding.prepared(now)?)?;
        }
        Ok(transaction.submit()?)
    }

    /// Removes a record; `false` if there was none.
    pub(crate) async fn remove<R: Record>(
        &self,
        store: &ObjectStore<R>,
        key: impl Into<RecordKey>,
    ) -> Result<bool> {
        let key = key.into();
        if store.get(key.clone())?.is_none() {
            return Ok(false);
        }
        store.delete(key)?.await?;
        Ok(true)
    }
}

fn of(account: &AccountId) -> KeyRange {
    KeyRange::prefix((account.as_str(),))
}

fn held<H: Holding>(store: &ObjectStore<H>, account: Option<&AccountId>) -> Result<Vec<H>> {
    let query = match account {
        Some(account) => Query::all().range(of(account)),
        None => Query::all(),
    };
    Ok(store.query(&query)?.map(Found::into_record).collect())
}
