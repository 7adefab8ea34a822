//! How far the events of contracts were read: the latest block of each.

use alloy_primitives::Address;
use kv_core::Timestamp;
use records::{Found, Query, Record, RecordKey};
use serde::{Deserialize, Serialize};

use crate::{Result, Session};

/// How far a contract was read. Its key is (chain, contract).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ContractProgress {
    /// EIP-155 chain id.
    pub chain_id: u64,
    /// Which contract.
    pub contract: Address,
    /// The last block that was read.
    pub block_number: u64,
    /// When that was noted, in milliseconds since the Unix epoch.
    pub updated: u64,
}

impl Record for ContractProgress {
    const STORE: &'static str = "contracts";
    const VERSION: u32 = 1;

    fn key(&self) -> RecordKey {
        key(self.chain_id, &self.contract)
    }
}

fn key(chain_id: u64, contract: &Address) -> RecordKey {
    (chain_id, contract.as_slice()).into()
}

impl Session {
    /// Notes the latest block of a contract that was read. It may be an earlier one than before:
    /// chains reorganise. Resolves when it is durable.
    pub async fn set_latest_block(
        &self,
        chain_id: u64,
        contract: Address,
        block_number: u64,
    ) -> Result<()> {
        let tower = self.tower()?;
        let Timestamp(updated) = tower.clock.now();
        let progress = ContractProgress { chain_id, contract, block_number, updated };
        Ok(tower.data.contracts.put(&progress)?.await?)
    }

    /// The latest block of a contract that was read; `None`: it never was.
    pub fn latest_block(&self, chain_id: u64, contract: &Address) -> Result<Option<u64>> {
        let known = self.tower()?.data.contracts.get(key(chain_id, contract))?;
        Ok(known.map(|known| known.block_number))
    }

    /// Every contract that was read, ascending by chain and address.
    pub fn contracts(&self) -> Result<Vec<ContractProgress>> {
        Ok(self.tower()?.data.contracts.query(&Query::all())?.map(Found::into_record).collect())
    }
}
