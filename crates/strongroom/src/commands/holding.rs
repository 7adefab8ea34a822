//! `balance` and `nft`: what accounts hold.

use serde::Serialize;
use wallet_persistence as wp;
use wallet_persistence::{AccountId, AssetId};

use super::Context;
use crate::{
    cli::{Balance, Nft, OfAccount},
    exit::{Code, Failure, Result},
    output::{row, table},
    time,
};

#[derive(Serialize)]
struct Removed<'a> {
    account: &'a AccountId,
    asset: &'a AssetId,
}

pub(super) async fn balance(context: &Context, command: Balance) -> Result<()> {
    context
        .unlocked(async |session| match command {
            Balance::Set { holding, amount, decimals, symbol } => {
                let (account, asset) = (holding.account, holding.asset);
                let new = wp::Balance::new(account.clone(), asset.clone(), amount);
                session.put_balances([wp::Balance { decimals, symbol, ..new }]).await?;
                let held = session.balances(Some(&account))?;
                let held = held.iter().find(|balance| balance.asset == asset);
                held.map_or(Ok(()), |held| {
                    context.out.result(held, || format!("set {asset} of {account}"))
                })
            }
            Balance::List(OfAccount { account }) => {
                let held = session.balances(account.as_ref())?;
                shown(context, &held, |balance| {
                    row([
                        &balance.account,
                        &balance.asset,
                        &amount(balance),
                        &time::iso(balance.updated / 1000),
                    ])
                })
            }
            Balance::Remove(holding) => {
                let removed = session.remove_balance(&holding.account, &holding.asset).await?;
                gone(context, removed, &holding.account, &holding.asset)
            }
        })
        .await
}

pub(super) async fn nft(context: &Context, command: Nft) -> Result<()> {
    context
        .unlocked(async |session| match command {
            Nft::Set { holding, amount, name, uri } => {
                let (account, asset) = (holding.account, holding.asset);
                let new = wp::Nft::new(account.clone(), asset.clone());
                session.put_nfts([wp::Nft { amount, name, uri, ..new }]).await?;
                let held = session.nfts(Some(&account))?;
                let held = held.iter().find(|nft| nft.asset == asset);
                held.map_or(Ok(()), |held| {
                    context.out.result(held, || format!("set {asset} of {account}"))
                })
            }
            Nft::List(OfAccount { account }) => {
                let held = session.nfts(account.as_ref())?;
                shown(context, &held, |nft| {
                    let name = nft.name.as_deref().unwrap_or("-");
                    let updated = time::iso(nft.updated / 1000);
                    row([&nft.account, &nft.asset, &nft.amount, &updated, &name])
                })
            }
            Nft::Remove(holding) => {
                let removed = session.remove_nft(&holding.account, &holding.asset).await?;
                gone(context, removed, &holding.account, &holding.asset)
            }
        })
        .await
}

/// With its point, where that is known, and its symbol.
fn amount(balance: &wp::Balance) -> String {
    let digits = balance.amount.to_string();
    let places = usize::from(balance.decimals.unwrap_or(0));
    let padded = format!("{digits:0>width$}", width = places + 1);
    let (whole, rest) = padded.split_at(padded.len() - places);
    let rest = rest.trim_end_matches('0');
    let point = if rest.is_empty() { "" } else { "." };
    let symbol = balance.symbol.as_deref().map(|symbol| format!(" {symbol}")).unwrap_or_default();
    format!("{whole}{point}{rest}{symbol}")
}

pub(super) fn shown<T: Serialize>(
    context: &Context,
    all: &[T],
    line: impl Fn(&T) -> Vec<String>,
) -> Result<()> {
    if context.out.json {
        return all.iter().try_for_each(|one| context.out.result(one, String::new));
    }
    context.out.lines(&table(&all.iter().map(line).collect::<Vec<_>>()))
}

fn gone(context: &Context, removed: bool, account: &AccountId, asset: &AssetId) -> Result<()> {
    if !removed {
        return Err(Failure::new(
            Code::Missing,
            format!("nothing is noted of {asset} in {account}"),
            "the command `list` shows what is",
        ));
    }
    context.out.result(&Removed { account, asset }, || format!("removed {asset} of {account}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_have_their_point() {
        let of = |units: u64, decimals| {
            let account = "eip155:1:0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed".parse().unwrap();
            let asset = "eip155:1/slip44:60".parse().unwrap();
            let balance = wp::Balance::new(account, asset, wp::U256::from(units));
            amount(&wp::Balance { decimals, symbol: Some("X".to_owned()), ..balance })
        };
        assert_eq!(of(1_500, Some(3)), "1.5 X");
        assert_eq!(of(5, Some(3)), "0.005 X");
        assert_eq!(of(0, Some(3)), "0 X");
        assert_eq!(of(2_000, Some(3)), "2 X");
        assert_eq!(of(12, Some(0)), "12 X");
        assert_eq!(of(12, None), "12 X");
    }
}
