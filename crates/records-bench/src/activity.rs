//! The records: what an EVM wallet keeps of a transaction, about 300 bytes of JSON each, and four
//! indexes.

use alloy_primitives::{Address, Bytes, TxHash, U256};
use bench_report::random::Random;
use records::{Index, Record, RecordKey};
use serde::{Deserialize, Serialize};

/// Accounts that are the wallet's own, and those they deal with.
const OWN: usize = 20;
const OTHERS: usize = 5000;

/// The first record's time; each is some seconds after the one before.
const BEGIN: u64 = 1_600_000_000;
const STEP: u64 = 12;

/// A transaction.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Activity {
    pub(crate) chain_id: u64,
    pub(crate) hash: TxHash,
    pub(crate) block_number: u64,
    pub(crate) timestamp: u64,
    pub(crate) from: Address,
    pub(crate) to: Address,
    pub(crate) value: U256,
    pub(crate) nonce: u64,
    pub(crate) input: Bytes,
}

impl Record for Activity {
    const STORE: &'static str = "activity";
    const VERSION: u32 = 1;
    const INDEXES: &'static [Index<Self>] = &[
        Index::new("time", |tx| Some((tx.timestamp, tx.block_number).into())),
        Index::new("from", |tx| Some((tx.chain_id, tx.from.as_slice(), tx.timestamp).into())),
        Index::new("to", |tx| Some((tx.chain_id, tx.to.as_slice(), tx.timestamp).into())),
        Index::new("block", |tx| Some((tx.chain_id, tx.block_number).into())),
    ];

    fn key(&self) -> RecordKey {
        (self.chain_id, self.hash.as_slice()).into()
    }
}

/// A record; the same number gives the same one.
pub(crate) fn activity(number: usize) -> Activity {
    let mut random = Random::seeded(number as u64 ^ (1 << 63));
    let hash = TxHash::from_slice(&words::<4>(&mut random));
    let (own, other) = (address(random.below(OWN)), address(OWN + random.below(OTHERS)));
    let (from, to) = if random.below(2) == 0 { (own, other) } else { (other, own) };
    let methods: [&[u8]; 3] = [&[0xa9, 0x05, 0x9c, 0xbb], &[], &[]];
    let method = methods.get(random.below(3)).copied().unwrap_or_default();
    let time = time(number);
    Activity {
        chain_id: 1,
        hash,
        block_number: time / STEP,
        timestamp: time,
        from,
        to,
        value: U256::from(random.next()) * U256::from(1_000_000),
        nonce: number as u64,
        input: Bytes::copy_from_slice(method),
    }
}

/// The time of a record. They come almost, but not quite, in their order.
pub(crate) fn time(number: usize) -> u64 {
    let jitter = Random::seeded(number as u64).below(10);
    BEGIN + STEP * (number + jitter) as u64
}

/// One of the wallet's own accounts, each of which has a share of all records.
pub(crate) fn own(number: usize) -> Address {
    address(number % OWN)
}

fn address(number: usize) -> Address {
    Address::from_slice(words::<3>(&mut Random::seeded(number as u64)).get(4..).unwrap_or_default())
}

fn words<const N: usize>(random: &mut Random) -> Vec<u8> {
    std::iter::repeat_with(|| random.next().to_le_bytes()).take(N).flatten().collect()
}

/// How many bytes of JSON the first records have.
pub(crate) fn json_bytes(records: usize) -> bench_report::Result<u64> {
    let mut bytes = 0;
    for number in 0..records {
        bytes += serde_json::to_vec(&activity(number))?.len() as u64;
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_are_as_long_as_said_and_differ() {
        assert_ne!(activity(1).key(), activity(2).key());
        assert_eq!(activity(7), activity(7));
        let mean = json_bytes(1000).unwrap() / 1000;
        assert!((270..330).contains(&mean), "{mean}");
    }
}
