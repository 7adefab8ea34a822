//! Holdings, rewards, cohorts and contracts.

use wallet_persistence::{Address, AssetId, BadData, Balance, EarnedReward, Error, Nft, U256};

use crate::common::{NOW, account, alone, two};

fn coin(chain: u64) -> AssetId {
    format!("eip155:{chain}/slip44:60").parse().unwrap()
}

fn token(n: u8) -> AssetId {
    format!("eip155:1/erc20:0x{}", format!("{n:02x}").repeat(20)).parse().unwrap()
}

fn kitty(n: u32) -> AssetId {
    format!("eip155:1/erc721:0x{}/{n}", "cc".repeat(20)).parse().unwrap()
}

#[tokio::test]
async fn balances_tell_when_they_were_updated() {
    let device = alone().await;
    let (a, b) = (account(1, 1), account(1, 2));
    let huge = Balance {
        decimals: Some(18),
        symbol: Some(" ETH ".to_owned()),
        ..Balance::new(a.clone(), coin(1), U256::MAX)
    };
    device.session.put_balances([huge]).await.unwrap();
    device.clock.advance(5);
    let one = U256::from(1);
    let more = [Balance::new(a.clone(), token(1), one), Balance::new(b.clone(), token(1), one)];
    device.session.put_balances(more).await.unwrap();
    let held = device.session.balances(Some(&a)).unwrap();
    assert_eq!(held.len(), 2);
    let huge = held.iter().find(|balance| balance.asset == coin(1)).unwrap();
    assert_eq!((huge.amount, huge.symbol.as_deref(), huge.updated), (U256::MAX, Some("ETH"), NOW));
    assert_eq!(held.iter().find(|b| b.asset == token(1)).unwrap().updated, NOW + 5);

    // What is not named is not held any more; of another account nothing changes.
    device.clock.advance(5);
    let now = [Balance::new(a.clone(), token(2), one)];
    device.session.replace_balances(&a, now).await.unwrap();
    let held = device.session.balances(Some(&a)).unwrap();
    assert_eq!((held.len(), &held[0].asset, held[0].updated), (1, &token(2), NOW + 10));
    assert_eq!(device.session.balances(None).unwrap().len(), 2);
    assert!(device.session.remove_balance(&b, &token(1)).await.unwrap());
    assert!(!device.session.remove_balance(&b, &token(1)).await.unwrap());
    let device = device.reopen().await;
    assert_eq!(device.session.balances(None).unwrap(), held);
}

#[tokio::test]
async fn what_makes_no_sense_changes_nothing() {
    let device = alone().await;
    let (a, b) = (account(1, 1), account(1, 2));
    let good = Balance::new(a.clone(), coin(1), U256::ONE);
    let foreign = Balance::new(a.clone(), coin(5), U256::ONE);
    let outcome = device.session.put_balances([good.clone(), foreign]).await;
    assert!(matches!(outcome, Err(Error::BadData(BadData::OtherChain))), "{outcome:?}");
    let outcome = device.session.replace_balances(&b, [good]).await;
    assert!(matches!(outcome, Err(Error::BadData(BadData::OtherAccount))), "{outcome:?}");
    let outcome = device.session.put_nfts([Nft::new(a, token(1))]).await;
    assert!(matches!(outcome, Err(Error::BadData(BadData::NoToken))), "{outcome:?}");
    assert!(device.session.balances(None).unwrap().is_empty());
    assert!(device.session.nfts(None).unwrap().is_empty());
}

#[tokio::test]
async fn nfts_are_replaced_when_they_are_gone() {
    let device = alone().await;
    let a = account(1, 1);
    device.session.put_nfts([1, 2].map(|n| Nft::new(a.clone(), kitty(n)))).await.unwrap();
    device.clock.advance(7);
    device.session.replace_nfts(&a, [2, 3].map(|n| Nft::new(a.clone(), kitty(n)))).await.unwrap();
    let held = device.session.nfts(Some(&a)).unwrap();
    let tokens: Vec<_> = held.iter().map(|nft| (nft.asset.token(), nft.updated)).collect();
    assert_eq!(tokens, [(Some("2"), NOW + 7), (Some("3"), NOW + 7)]);
    assert_eq!(held[0].amount, U256::ONE);
    assert!(device.session.remove_nft(&a, &kitty(3)).await.unwrap());
    assert_eq!(device.session.nfts(None).unwrap().len(), 1);
}

#[tokio::test]
async fn a_reward_keeps_the_date_it_was_earned() {
    let device = alone().await;
    device.session.add_rewards([EarnedReward::new("q1", "first")]).await.unwrap();
    device.clock.advance(10);
    let again = EarnedReward {
        description: Some("in words".to_owned()),
        ..EarnedReward::new("q1", "renamed")
    };
    device.session.add_rewards([EarnedReward::new("q2", "second"), again]).await.unwrap();
    let rewards = device.session.rewards().unwrap();
    let shown: Vec<_> = rewards.iter().map(|r| (r.id.as_str(), r.earned)).collect();
    assert_eq!(shown, [("q2", NOW + 10), ("q1", NOW)], "newest first");
    assert_eq!(rewards[1].description.as_deref(), Some("in words"));
    assert_eq!(rewards[1].name, "renamed");
    let bad = device.session.add_rewards([EarnedReward::new("q3", "x"), EarnedReward::new("", "")]);
    assert!(matches!(bad.await, Err(Error::BadData(BadData::Text { .. }))));
    assert!(device.session.remove_reward("q1").await.unwrap());
    assert!(!device.session.remove_reward("q1").await.unwrap());
    assert_eq!(device.session.rewards().unwrap().len(), 1);
}

#[tokio::test]
async fn cohorts_are_rejected_and_accepted_again() {
    let device = alone().await;
    device.session.reject_cohorts(["b", " a "]).await.unwrap();
    device.clock.advance(10);
    device.session.reject_cohorts(["a"]).await.unwrap();
    let rejected = device.session.rejected_cohorts().unwrap();
    let shown: Vec<_> = rejected.iter().map(|c| (c.id.as_str(), c.rejected)).collect();
    assert_eq!(shown, [("a", NOW), ("b", NOW)]);
    assert!(device.session.is_rejected("a").unwrap());
    assert!(device.session.accept_cohort("a").await.unwrap());
    assert!(!device.session.accept_cohort("a").await.unwrap());
    assert!(!device.session.is_rejected("a").unwrap());
}

#[tokio::test]
async fn the_latest_block_of_a_contract_is_the_one_noted_last() {
    let device = alone().await;
    let contract = Address::repeat_byte(7);
    assert_eq!(device.session.latest_block(1, &contract).unwrap(), None);
    for block in [10, 20, 15] {
        device.session.set_latest_block(1, contract, block).await.unwrap();
        assert_eq!(device.session.latest_block(1, &contract).unwrap(), Some(block));
    }
    device.session.set_latest_block(5, contract, u64::MAX).await.unwrap();
    assert_eq!(device.session.latest_block(1, &contract).unwrap(), Some(15));
    let all = device.session.contracts().unwrap();
    let all: Vec<_> = all.iter().map(|c| (c.chain_id, c.block_number)).collect();
    assert_eq!(all, [(1, 15), (5, u64::MAX)]);
}

/// Every kind, from one device to the other, and the same on both.
#[tokio::test]
async fn every_kind_of_record_reaches_the_other_device() {
    let (a, b) = two().await;
    let mine = account(1, 1);
    let s = &a.session;
    s.put_balances([Balance::new(mine.clone(), coin(1), U256::MAX)]).await.unwrap();
    s.put_nfts([Nft::new(mine.clone(), kitty(1))]).await.unwrap();
    s.add_rewards([EarnedReward::new("q1", "first")]).await.unwrap();
    s.reject_cohorts(["c"]).await.unwrap();
    s.set_latest_block(1, Address::repeat_byte(7), 5).await.unwrap();
    s.add_click("https://example.org/a", None).await.unwrap();
    s.add_visit("https://example.org/a", NOW, NOW + 1).await.unwrap();
    a.post().await;
    assert_eq!(b.poll().await.writers[0].changes, 7);
    let counts = |device: &crate::common::Device| device.session.status().unwrap().records;
    assert_eq!(counts(&a), counts(&b));
    assert_eq!(counts(&b).values().sum::<usize>(), 7);
    assert_eq!(b.session.balances(Some(&mine)).unwrap(), s.balances(None).unwrap());
    assert_eq!(b.session.rewards().unwrap(), s.rewards().unwrap());
    assert_eq!(a.digest().await, b.digest().await);
    // And what the other one removes is gone here.
    assert!(b.session.remove_nft(&mine, &kitty(1)).await.unwrap());
    b.post().await;
    a.poll().await;
    assert!(a.session.nfts(None).unwrap().is_empty());
}
