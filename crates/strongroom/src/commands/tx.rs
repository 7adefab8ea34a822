//! `tx`: transactions, newest first, and what they come to.

use serde::Serialize;
use wallet_persistence::{EvmTransaction, Flow, Side, TxFilter};

use super::Context;
use crate::{
    cli::{Tx, TxFilterArgs},
    exit::{Code, Failure, Result},
    output::{row, table},
    time,
};

pub(super) async fn run(context: &Context, command: Tx) -> Result<()> {
    context
        .unlocked(async |session| match command {
            Tx::List(args) => shown(context, &session.find_transactions(&filter(args))?),
            Tx::Latest { account } => {
                let latest = session.latest_transaction(&account)?.ok_or_else(|| {
                    Failure::new(
                        Code::Missing,
                        format!("{account} has no transaction here"),
                        "`strongroom tx list` shows those there are",
                    )
                })?;
                shown(context, &[latest])
            }
            Tx::Count => {
                let counts = session.transactions_per_chain()?;
                for (chain, transactions) in counts {
                    let chain = caip2(chain);
                    let text = format!("{chain}  {transactions}");
                    context.out.result(&Count { chain, transactions }, || text)?;
                }
                Ok(())
            }
            Tx::Flow { accounts, since, until } => {
                let flows = session.flow(&accounts, &between(TxFilter::new(), since, until))?;
                let flows = flows.into_iter().map(|(chain, flow)| (caip2(chain), flow));
                flowed(context, flows.collect())
            }
        })
        .await
}

#[derive(Serialize)]
struct Count {
    chain: String,
    transactions: usize,
}

#[derive(Serialize)]
struct OfChain<'a> {
    chain: &'a str,
    #[serde(flatten)]
    flow: Flow,
}

fn caip2(chain: u64) -> String {
    format!("eip155:{chain}")
}

fn filter(args: TxFilterArgs) -> TxFilter {
    let TxFilterArgs { accounts, addresses, chains, hashes, min_value, max_value, .. } = args;
    let mut filter = between(TxFilter::new().limit(args.limit), args.since, args.until);
    filter = accounts.iter().fold(filter, TxFilter::account);
    filter = addresses.into_iter().fold(filter, TxFilter::address);
    filter = chains.into_iter().fold(filter, TxFilter::chain);
    filter = hashes.into_iter().fold(filter, TxFilter::hash);
    filter = min_value.into_iter().fold(filter, TxFilter::min_value);
    max_value.into_iter().fold(filter, TxFilter::max_value)
}

fn between(filter: TxFilter, since: Option<u64>, until: Option<u64>) -> TxFilter {
    let filter = since.into_iter().fold(filter, TxFilter::since);
    until.into_iter().fold(filter, TxFilter::until)
}

fn shown(context: &Context, found: &[EvmTransaction]) -> Result<()> {
    if context.out.json {
        return found.iter().try_for_each(|tx| context.out.result(tx, String::new));
    }
    context.out.lines(&table(&found.iter().map(line).collect::<Vec<_>>()))
}

fn line(tx: &EvmTransaction) -> Vec<String> {
    let to = tx.to.map_or_else(|| "(new contract)".to_owned(), |to| to.to_string());
    row([
        &time::iso(tx.timestamp),
        &format_args!("eip155:{}", tx.chain_id),
        &tx.block_number,
        &tx.hash,
        &tx.from,
        &"->",
        &to,
        &format_args!("{} wei", tx.value),
    ])
}

fn flowed(context: &Context, flows: Vec<(String, Flow)>) -> Result<()> {
    if context.out.json {
        let each = |(chain, flow): &(String, Flow)| {
            context.out.result(&OfChain { chain, flow: *flow }, String::new)
        };
        return flows.iter().try_for_each(each);
    }
    let side = |side: &Side| format!("{} wei in {} transactions", side.value, side.count);
    let rows = flows.iter().map(|(chain, Flow { incoming, outgoing })| {
        row([chain, &"received", &side(incoming), &"sent", &side(outgoing)])
    });
    context.out.lines(&table(&rows.collect::<Vec<_>>()))
}
