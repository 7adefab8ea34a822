//! What happened on a chain: EVM transactions as records, and what can be asked of them.

mod filter;
mod flow;
mod parse;
mod queries;

use alloy_primitives::{Address, Bytes, TxHash, U256};
use records::{Index, Record, RecordKey};
use serde::{Deserialize, Serialize};

pub use self::{
    filter::TxFilter,
    flow::{Flow, Side},
    parse::{BadTransaction, parse_block, parse_chain, parse_transaction},
};
use crate::decimal;

/// An EVM transaction. Its key is (chain, hash).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct EvmTransaction {
    /// EIP-155 chain id.
    pub chain_id: u64,
    /// Transaction hash.
    pub hash: TxHash,
    /// Number of the block it is in.
    pub block_number: u64,
    /// Time of that block, in seconds since the Unix epoch.
    pub timestamp: u64,
    /// Who sent it.
    pub from: Address,
    /// Who it went to; `None`: it creates a contract.
    pub to: Option<Address>,
    /// Value in wei.
    #[serde(with = "decimal")]
    pub value: U256,
    /// Price of a unit of gas in wei, where known.
    #[serde(with = "decimal::optional")]
    pub gas_price: Option<U256>,
    /// The sender's count of transactions before this one.
    pub nonce: u64,
    /// Input data.
    pub input: Bytes,
}

/// What an import did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Imported {
    /// Transactions that were not there before.
    pub new: usize,
    /// Transactions that were there already; nothing changed.
    pub known: usize,
}

impl EvmTransaction {
    /// The place in listings: newest first means descending by this. The chain comes last, so that
    /// one transaction that is found twice is found twice in a row.
    fn order(&self) -> (u64, u64, TxHash, u64) {
        (self.timestamp, self.block_number, self.hash, self.chain_id)
    }

    fn place(&self) -> (u64, u64, &[u8]) {
        (self.timestamp, self.block_number, self.hash.as_slice())
    }

    fn account_key(&self, address: &Address) -> RecordKey {
        let (timestamp, block, hash) = self.place();
        (self.chain_id, address.as_slice(), timestamp, block, hash).into()
    }
}

impl Record for EvmTransaction {
    const STORE: &'static str = "evm-transactions";
    const VERSION: u32 = 1;
    const INDEXES: &'static [Index<Self>] = &[
        Index::new("time", |tx| Some(tx.place().into())),
        Index::new("from", |tx| Some(tx.account_key(&tx.from))),
        Index::new("to", |tx| Some(tx.account_key(tx.to.as_ref()?))),
    ];

    fn key(&self) -> RecordKey {
        key(self.chain_id, &self.hash)
    }
}

fn key(chain_id: u64, hash: &TxHash) -> RecordKey {
    (chain_id, hash.as_slice()).into()
}
