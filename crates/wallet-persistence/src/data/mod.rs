//! What a wallet keeps beside accounts, profile and transactions: holdings, rewards, browsing, cohorts,
//! and how far contracts were read. A record type each, and the calls of a session for it.

mod activity;
mod asset;
mod cohort;
mod contract;
mod holding;
mod label;
mod reward;
pub(crate) mod text;
mod visits;

use records::ObjectStore;

pub use self::{
    activity::{ActivityFilter, Click, SiteVisit},
    asset::{AssetId, BadAssetId},
    cohort::RejectedCohort,
    contract::ContractProgress,
    holding::{Balance, Nft},
    label::{BadLabelKind, ImportedLabels, Label, LabelKind},
    reward::EarnedReward,
    text::BadData,
};
use crate::{Account, EvmTransaction, KvNamespace, stores::Stores};

/// The object stores of every kind of record that a wallet has of its own.
#[derive(Debug)]
pub(crate) struct Data {
    pub(crate) accounts: ObjectStore<Account>,
    pub(crate) transactions: ObjectStore<EvmTransaction>,
    pub(crate) balances: ObjectStore<Balance>,
    pub(crate) nfts: ObjectStore<Nft>,
    pub(crate) rewards: ObjectStore<EarnedReward>,
    pub(crate) clicks: ObjectStore<Click>,
    pub(crate) visits: ObjectStore<SiteVisit>,
    pub(crate) cohorts: ObjectStore<RejectedCohort>,
    pub(crate) contracts: ObjectStore<ContractProgress>,
    pub(crate) labels: ObjectStore<Label>,
    pub(crate) kv_namespaces: ObjectStore<KvNamespace>,
}

impl Data {
    pub(crate) fn open(stores: &Stores) -> records::Result<Self> {
        Ok(Self {
            accounts: stores.open()?,
            transactions: stores.open()?,
            balances: stores.open()?,
            nfts: stores.open()?,
            rewards: stores.open()?,
            clicks: stores.open()?,
            visits: stores.open()?,
            cohorts: stores.open()?,
            contracts: stores.open()?,
            labels: stores.open()?,
            kv_namespaces: stores.open()?,
        })
    }
}
