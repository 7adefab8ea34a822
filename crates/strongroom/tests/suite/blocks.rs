//! The three real blocks: listed in an order that this file works out for itself.

use std::{cmp::Reverse, fs};

use serde_json::Value;

use crate::common::{GOERLI, Home, MAINNET, OLD, block};

/// What the test knows of a transaction, from the block's JSON alone.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Known {
    chain: u64,
    time: u64,
    number: u64,
    hash: String,
    from: String,
    to: Option<String>,
    value: u128,
}

fn number(json: &Value) -> u128 {
    u128::from_str_radix(json.as_str().unwrap().trim_start_matches("0x"), 16).unwrap()
}

fn small(json: &Value) -> u64 {
    number(json).try_into().unwrap()
}

fn known(name: &str, chain: u64) -> Vec<Known> {
    let json: Value = serde_json::from_str(&fs::read_to_string(block(name)).unwrap()).unwrap();
    let body = json.get("result").unwrap_or(&json);
    let one = |tx: &Value| Known {
        chain,
        time: small(&body["timestamp"]),
        number: small(&body["number"]),
        hash: tx["hash"].as_str().unwrap().to_owned(),
        from: tx["from"].as_str().unwrap().to_owned(),
        to: tx["to"].as_str().map(str::to_owned),
        value: number(&tx["value"]),
    };
    body["transactions"].as_array().unwrap().iter().map(one).collect()
}

/// Newest first: timestamp, then block number, then hash.
fn newest_first(mut all: Vec<Known>) -> Vec<Known> {
    all.sort_by_key(|tx| Reverse((tx.time, tx.number, tx.hash.clone())));
    all
}

fn listed(home: &Home, args: &[&str]) -> Vec<Known> {
    let one = |json: Value| Known {
        chain: json["chainId"].as_u64().unwrap(),
        time: json["timestamp"].as_u64().unwrap(),
        number: json["blockNumber"].as_u64().unwrap(),
        hash: json["hash"].as_str().unwrap().to_owned(),
        from: json["from"].as_str().unwrap().to_lowercase(),
        to: json["to"].as_str().map(str::to_lowercase),
        value: json["value"].as_str().unwrap().parse().unwrap(),
    };
    home.json(&[&["tx", "list"], args].concat()).into_iter().map(one).collect()
}

fn imported() -> (Home, Vec<Known>) {
    let home = Home::new();
    home.ok(&["import", "eth-block", &block(MAINNET), &block(GOERLI)]);
    home.ok(&["import", "eth-block", "--chain", "eip155:1", &block(OLD)]);
    let all = [known(MAINNET, 1), known(GOERLI, 5), known(OLD, 1)].concat();
    (home, newest_first(all))
}

#[test]
fn real_blocks_come_back_with_the_same_listings() {
    let (home, all) = imported();
    assert_eq!(listed(&home, &["--limit", "1000"]), all);
    assert_eq!(listed(&home, &["--limit", "7"]), all[..7]);
    assert_eq!(listed(&home, &[]).len(), 50);

    // Three accounts that occur: the busiest of each block.
    let busiest = |chain: u64, number: u64| {
        let here = |tx: &&Known| (tx.chain, tx.number) == (chain, number);
        let mut names: Vec<&String> = all
            .iter()
            .filter(here)
            .flat_map(|tx| [Some(&tx.from), tx.to.as_ref()])
            .flatten()
            .collect();
        names.sort();
        let busy = names.chunk_by(|a, b| a == b).max_by_key(|same| same.len()).unwrap();
        (chain, busy[0].clone())
    };
    let accounts = [busiest(1, 15_571_241), busiest(5, 10_536_893), busiest(1, 2_000_004)];
    for (chain, address) in &accounts {
        home.ok(&["account", "add", &format!("eip155:{chain}:{address}"), "--label", "busy"]);
    }
    assert_eq!(home.json(&["account", "list"]).len(), 3);
    let views = || {
        accounts.iter().map(|(chain, address)| {
            listed(&home, &["--limit", "1000", "--account", &format!("eip155:{chain}:{address}")])
        })
    };
    let before: Vec<_> = views().collect();
    for ((chain, address), view) in accounts.iter().zip(&before) {
        let expected = all.iter().filter(|tx| {
            tx.chain == *chain && (tx.from == *address || tx.to.as_ref() == Some(address))
        });
        assert_eq!(view, &expected.cloned().collect::<Vec<_>>());
        assert!(!view.is_empty());
    }

    let digest = home.digest();
    home.ok(&["backup", "now"]);
    home.lose_the_device();
    home.ok(&["restore", "--cloud", "dir:cloud"]);
    assert_eq!(home.digest(), digest);
    assert!(views().eq(before));
    assert_eq!(listed(&home, &["--limit", "1000"]), all);
}

#[test]
fn importing_again_changes_nothing_and_is_acknowledged() {
    let (home, _) = imported();
    let digest = home.digest();
    let last = known(MAINNET, 1).last().unwrap().hash.clone();
    let again = home.ok(&["import", "eth-block", &block(MAINNET)]);
    assert_eq!(again.lines().last(), Some(format!("committed 58 {last}").as_str()));
    assert_eq!(home.digest(), digest);
}

#[test]
fn an_old_transaction_needs_its_chain() {
    let home = Home::new();
    let said = home.fails(11, &["import", "eth-block", &block(OLD)]);
    assert!(said.contains(OLD) && said.contains("--chain eip155:1"), "{said}");
    assert!(listed(&home, &[]).is_empty());
}
