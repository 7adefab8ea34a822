//! What happened on a chain: EVM transactions as records, found by account, newest first.

mod parse;

use alloy_primitives::{Address, Bytes, TxHash, U256};
use records::{Index, KeyRange, Query, Record, RecordKey};
use serde::{Deserialize, Serialize};

pub use parse::{BadTransaction, parse_block, parse_chain, parse_transaction};

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
    #[serde(with = "optional_decimal")]
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
    /// The place in listings: newest first means descending by this.
    pub(crate) fn order(&self) -> (u64, u64, TxHash) {
        (self.timestamp, self.block_number, self.hash)
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

pub(crate) fn key(chain_id: u64, hash: &TxHash) -> RecordKey {
    (chain_id, hash.as_slice()).into()
}

/// The newest `limit` transactions that `index` ("from" or "to") has for an address.
pub(crate) fn by_account(index: &str, chain_id: u64, address: &Address, limit: usize) -> Query {
    let account = KeyRange::prefix((chain_id, address.as_slice()));
    Query::index(index).range(account).backward().limit(limit)
}

/// Exact integers of any size: JSON numbers above 2^53 are not safe with every reader.
mod decimal {
    use alloy_primitives::U256;
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub(super) fn serialize<S: Serializer>(value: &U256, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(value)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(d: D) -> Result<U256, D::Error> {
        let text = String::deserialize(d)?;
        U256::from_str_radix(&text, 10).map_err(D::Error::custom)
    }
}

mod optional_decimal {
    use alloy_primitives::U256;
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    #[expect(clippy::ref_option, reason = "the signature serde asks for")]
    pub(super) fn serialize<S: Serializer>(value: &Option<U256>, s: S) -> Result<S::Ok, S::Error> {
        match value {
            Some(value) => s.collect_str(value),
            None => s.serialize_none(),
        }
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(d: D) -> Result<Option<U256>, D::Error> {
        let text = Option::<String>::deserialize(d)?;
        text.map(|text| U256::from_str_radix(&text, 10).map_err(D::Error::custom)).transpose()
    }
}
