//! What has come in and gone out on each chain.

use std::collections::{BTreeMap, BTreeSet};

use alloy_primitives::{Address, U256, U512};
use records::{ObjectStore, Query};
use serde::Serialize;

use super::{EvmTransaction, TxFilter};
use crate::{AccountId, Result, decimal};

/// What has come in and gone out on a chain. What a wallet sends to itself does both.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Flow {
    /// What was received.
    pub incoming: Side,
    /// What was sent.
    pub outgoing: Side,
}

/// One side of a [`Flow`].
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Side {
    /// How many transactions.
    pub count: u64,
    /// The exact sum of their values in wei: wider than a value, so that it cannot overflow whatever
    /// somebody claims to have sent.
    #[serde(serialize_with = "decimal::serialize")]
    pub value: U512,
}

impl Side {
    fn add(&mut self, value: U256) {
        self.count += 1;
        self.value += U512::from(value);
    }
}

/// The flow of these accounts, by chain. Of `filter` the times count.
pub(super) fn flow(
    store: &ObjectStore<EvmTransaction>,
    accounts: &[AccountId],
    filter: &TxFilter,
) -> Result<BTreeMap<u64, Flow>> {
    let accounts: BTreeSet<(u64, Address)> = accounts.iter().filter_map(AccountId::evm).collect();
    let mut flows: BTreeMap<u64, Flow> = BTreeMap::new();
    for (chain, address) in accounts {
        for (index, side) in [("to", incoming as fn(&mut Flow) -> &mut Side), ("from", outgoing)] {
            let range = filter.times(vec![chain.into(), address.as_slice().into()]);
            for tx in store.query(&Query::index(index).range(range))? {
                side(flows.entry(chain).or_default()).add(tx.value);
            }
        }
    }
    Ok(flows)
}

fn incoming(flow: &mut Flow) -> &mut Side {
    &mut flow.incoming
}

fn outgoing(flow: &mut Flow) -> &mut Side {
    &mut flow.outgoing
}
