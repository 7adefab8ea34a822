//! Transactions of real blocks: every filter finds what going through all of them would.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet},
};

use wallet_persistence::{
    AccountId, Address, EvmTransaction, Flow, TxFilter, TxHash, U256, U512, parse_block,
};

use crate::common::{Device, account, alone, two};

const MAINNET: &str = include_str!("../../../strongroom/data/eth-mainnet-block-15571241.json");
const GOERLI: &str = include_str!("../../../strongroom/data/eth-goerli-block-10536893.json");
const OLD: &str = include_str!("../../../strongroom/data/eth-mainnet-block-2000004.json");

/// The transactions of all blocks, and copies that differ in one thing each: another chain, another
/// time, sender and receiver the same.
fn all() -> Vec<EvmTransaction> {
    let real = [
        parse_block(MAINNET, None).unwrap(),
        parse_block(GOERLI, None).unwrap(),
        parse_block(OLD, Some(1)).unwrap(),
    ]
    .concat();
    let mut all = real.clone();
    for (n, tx) in (0_u64..).zip(&real) {
        all.push(EvmTransaction { chain_id: 10, ..tx.clone() });
        let hash = TxHash::from(U256::from(n));
        let (later, mut to_self) = (tx.timestamp + n % 7, tx.clone());
        all.push(EvmTransaction { hash, timestamp: later, ..tx.clone() });
        to_self.to = Some(tx.from);
        all.push(EvmTransaction { hash: TxHash::from(U256::from(n + 1000)), ..to_self });
    }
    all
}

fn newest_first(txs: impl IntoIterator<Item = EvmTransaction>) -> Vec<EvmTransaction> {
    let mut txs: Vec<_> = txs.into_iter().collect();
    txs.sort_by_key(|tx| Reverse((tx.timestamp, tx.block_number, tx.hash, tx.chain_id)));
    txs
}

async fn filled() -> (Device, Vec<EvmTransaction>) {
    let (device, all) = (alone().await, all());
    let imported = device.session.import(&all).await.unwrap();
    assert_eq!((imported.new, imported.known), (all.len(), 0));
    (device, all)
}

/// Every combination of conditions, each taken from transactions that exist and from none.
#[tokio::test]
async fn every_filter_finds_what_going_through_all_would() {
    let (device, all) = filled().await;
    let some = |n: usize| &all[n * 31 % all.len()];
    let mut found_some = 0;
    for bits in 0_u32..128 {
        let on = |bit: u32| bits & (1 << bit) != 0;
        for n in 0..6 {
            let (x, y) = (some(n), some(n + 3));
            let mut filter = TxFilter::new();
            let mut expected = all.clone();
            if on(0) {
                filter = filter.chain(x.chain_id).chain(77);
                expected.retain(|tx| tx.chain_id == x.chain_id);
            }
            let nobody = Address::repeat_byte(0xee);
            if on(1) {
                let parties = [x.from, y.to.unwrap_or(nobody)];
                filter = parties.into_iter().fold(filter, TxFilter::address);
                let is_one = |address: Address| parties.contains(&address);
                expected.retain(|tx| is_one(tx.from) || tx.to.is_some_and(is_one));
            }
            if on(2) {
                filter = filter.hash(x.hash).hash(y.hash).hash(TxHash::repeat_byte(1));
                expected.retain(|tx| [x.hash, y.hash].contains(&tx.hash));
            }
            if on(3) {
                filter = filter.since(x.timestamp);
                expected.retain(|tx| tx.timestamp >= x.timestamp);
            }
            if on(4) {
                filter = filter.until(y.timestamp + 1);
                expected.retain(|tx| tx.timestamp <= y.timestamp);
            }
            if on(5) {
                let (low, high) = (x.value.min(y.value), x.value.max(y.value));
                filter = filter.min_value(low).max_value(high);
                expected.retain(|tx| (low..=high).contains(&tx.value));
            }
            let mut expected = newest_first(expected);
            if on(6) {
                filter = filter.limit(3);
                expected.truncate(3);
            }
            let found = device.session.find_transactions(&filter).unwrap();
            assert_eq!(found, expected, "{filter:?}");
            found_some += u32::from(!found.is_empty());
        }
    }
    assert!(found_some > 300, "{found_some} filters found something");
}

#[tokio::test]
async fn an_account_has_its_transactions_on_its_chain() {
    let (device, all) = filled().await;
    for tx in all.iter().step_by(17) {
        let id: AccountId = format!("eip155:{}:{}", tx.chain_id, tx.from).parse().unwrap();
        let own = |other: &&EvmTransaction| {
            other.chain_id == tx.chain_id && (other.from == tx.from || other.to == Some(tx.from))
        };
        let expected = newest_first(all.iter().filter(own).cloned());
        assert_eq!(device.session.transactions(Some(&id), usize::MAX).unwrap(), expected);
        let latest = device.session.latest_transaction(&id).unwrap();
        assert_eq!(latest.as_ref(), expected.first());
    }
    assert_eq!(device.session.latest_transaction(&account(1, 0xee)).unwrap(), None);
    let solana: AccountId = "solana:x:abc".parse().unwrap();
    assert!(device.session.transactions(Some(&solana), 9).unwrap().is_empty());
}

#[tokio::test]
async fn transactions_are_counted_by_chain() {
    let (device, all) = filled().await;
    let mut expected: BTreeMap<u64, usize> = BTreeMap::new();
    all.iter().for_each(|tx| *expected.entry(tx.chain_id).or_default() += 1);
    assert_eq!(device.session.transactions_per_chain().unwrap(), expected);
    assert_eq!(expected.len(), 3);
    assert!(alone().await.session.transactions_per_chain().unwrap().is_empty());
}

#[tokio::test]
async fn the_flow_is_exact() {
    let (device, all) = filled().await;
    let busy: BTreeSet<AccountId> = all
        .iter()
        .step_by(11)
        .map(|tx| format!("eip155:{}:{}", tx.chain_id, tx.from).parse().unwrap())
        .collect();
    let since = all[20].timestamp;
    let mut expected: BTreeMap<u64, Flow> = BTreeMap::new();
    let mut late = expected.clone();
    for tx in &all {
        let id = |address: Address| -> AccountId {
            format!("eip155:{}:{address}", tx.chain_id).parse().unwrap()
        };
        for flows in [Some(&mut expected), (tx.timestamp >= since).then_some(&mut late)] {
            let Some(flows) = flows else { continue };
            if busy.contains(&id(tx.from)) {
                let side = &mut flows.entry(tx.chain_id).or_default().outgoing;
                side.count += 1;
                side.value += U512::from(tx.value);
            }
            if tx.to.is_some_and(|to| busy.contains(&id(to))) {
                let side = &mut flows.entry(tx.chain_id).or_default().incoming;
                side.count += 1;
                side.value += U512::from(tx.value);
            }
        }
    }
    let busy: Vec<AccountId> = busy.into_iter().collect();
    assert_eq!(device.session.flow(&busy, &TxFilter::new()).unwrap(), expected);
    assert_eq!(device.session.flow(&busy, &TxFilter::new().since(since)).unwrap(), late);
    assert!(device.session.flow(&[], &TxFilter::new()).unwrap().is_empty(), "none is linked");
    for id in busy {
        device.session.add_account(id, None).await.unwrap();
    }
    assert_eq!(device.session.flow(&[], &TxFilter::new()).unwrap(), expected);
}

/// Nobody can make a sum overflow by claiming to have sent more than there is.
#[tokio::test]
async fn a_sum_is_wider_than_its_values() {
    let device = alone().await;
    let mut tx = parse_block(MAINNET, None).unwrap()[0].clone();
    tx.value = U256::MAX;
    let other = EvmTransaction { hash: TxHash::repeat_byte(1), ..tx.clone() };
    device.session.import(&[tx.clone(), other]).await.unwrap();
    let id: AccountId = format!("eip155:{}:{}", tx.chain_id, tx.from).parse().unwrap();
    let flow = device.session.flow(&[id], &TxFilter::new()).unwrap()[&tx.chain_id];
    assert_eq!(flow.outgoing.value, U512::from(U256::MAX) * U512::from(2));
    let json = serde_json::to_value(flow).unwrap();
    let sum = "231584178474632390847141970017375815706539969331281128078915168015826259279870";
    assert_eq!((&json["outgoing"]["value"], &json["outgoing"]["count"]), (&sum.into(), &2.into()));
}

#[tokio::test]
async fn what_a_poll_brings_is_found_by_every_filter() {
    let (a, b) = two().await;
    let all = all();
    a.session.import(&all).await.unwrap();
    a.post().await;
    b.poll().await;
    let tx = &all[3];
    for filter in [
        TxFilter::new(),
        TxFilter::new().address(tx.from),
        TxFilter::new().hash(tx.hash),
        TxFilter::new().chain(10).since(tx.timestamp),
    ] {
        let here = b.session.find_transactions(&filter).unwrap();
        assert!(!here.is_empty());
        assert_eq!(here, a.session.find_transactions(&filter).unwrap());
    }
}
