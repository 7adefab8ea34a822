//! The records: what an EVM wallet keeps of a transaction, 300 bytes of JSON each.

use data_encoding::{BASE32_NOPAD, HEXLOWER};
use kv_core::{Batch, Change, Key, Namespace};

use crate::{Result, random::Random};

/// How many bytes each record has.
pub(crate) const RECORD: usize = 300;

/// How many bytes the key of each record or large value has.
pub(crate) const KEY: usize = 52;

/// How many records are written in one batch.
pub(crate) const BATCH: usize = 1000;

/// Distinct accounts, which repeat from record to record as they do in a wallet.
const ACCOUNTS: u64 = 50;

/// The object store of the records. They are written as its entries, so that its indexes in memory
/// count nowhere.
pub(crate) fn namespace() -> Result<Namespace> {
    Ok(Namespace::reserved("~records", "activity")?)
}

/// The key of a record: 32 bytes as good as random in base32, as `records` makes it.
pub(crate) fn key(number: usize) -> Result<Key> {
    let bytes = words::<4>(&mut Random::seeded(number as u64));
    Ok(Key::new(&BASE32_NOPAD.encode(&bytes).to_ascii_lowercase())?)
}

/// A record; another version of it has another hash and other amounts.
pub(crate) fn value(number: usize, version: u64) -> Vec<u8> {
    let mut random = Random::seeded((version << 40) ^ number as u64 ^ (1 << 63));
    let account = |number: u64| HEXLOWER.encode(&words::<3>(&mut Random::seeded(number)));
    let account = |number| account(number).split_off(8);
    let hash = HEXLOWER.encode(&words::<4>(&mut random));
    let mut json = format!(
        "{{\"v\":1,\"r\":{{\"chainId\":{},\"hash\":\"0x{hash}\",\"from\":\"0x{}\",\"to\":\"0x{}\",\
         \"value\":\"{}\",\"nonce\":{version},\"timestamp\":{},\"input\":\"0x",
        random.below(3) + 1,
        account(random.next() % 3),
        account(random.next() % ACCOUNTS),
        random.next(),
        1_750_000_000 + number,
    );
    let end = "\"}}";
    // A method and its first argument, most of which are zeros.
    let method = ["a9059cbb", "095ea7b3", "38ed1739"].get(random.below(3)).copied();
    json.push_str(method.unwrap_or_default());
    while json.len() + end.len() < RECORD {
        json.push('0');
    }
    json.push_str(end);
    json.into_bytes()
}

/// How many bytes a large value has.
pub(crate) const LARGE: usize = 32 << 10;

/// A value as large as the state of a channel: as that is, of keys and signatures for the most part.
pub(crate) fn large_value(number: usize) -> Vec<u8> {
    let mut random = Random::seeded(number as u64);
    let mut value = Vec::with_capacity(LARGE);
    while value.len() < LARGE {
        value.extend_from_slice(&words::<12>(&mut random));
        // Counters, amounts and lengths between them.
        value.extend_from_slice(&[0; 32]);
    }
    value.truncate(LARGE);
    value
}

/// Batches of the first `count` records, each value made by `frame` into what is stored.
pub(crate) fn batches(
    count: usize,
    frame: impl Fn(Vec<u8>) -> Vec<u8>,
) -> impl Iterator<Item = Result<Batch>> {
    (0..count).step_by(BATCH).map(move |start| {
        let ns = namespace()?;
        let mut batch = Batch::new();
        for number in start..count.min(start + BATCH) {
            let value = frame(value(number, 0));
            batch.insert(ns.clone(), key(number)?, Change::Put(value.into()));
        }
        Ok(batch)
    })
}

fn words<const N: usize>(random: &mut Random) -> Vec<u8> {
    std::iter::repeat_with(|| random.next().to_le_bytes()).take(N).flatten().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_are_as_long_as_said_and_differ() {
        assert_eq!(key(7).unwrap().as_str().len(), KEY);
        let mut seen = std::collections::BTreeSet::new();
        for number in [0, 1, 2, 49_999, 999_999] {
            for version in [0, 1, 60_000] {
                let record = value(number, version);
                assert_eq!(record.len(), RECORD);
                let json: serde_json::Value = serde_json::from_slice(&record).unwrap();
                assert_eq!(json["r"]["nonce"], version);
                assert!(seen.insert(record));
            }
            assert_eq!(key(number).unwrap().as_str().len(), 52);
        }
    }
}
