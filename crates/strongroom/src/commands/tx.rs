//! `tx`: transactions, newest first.

use wallet_persistence::EvmTransaction;

use super::Context;
use crate::{
    cli::Tx,
    exit::Result,
    output::{row, table},
    time,
};

pub(super) async fn run(context: &Context, command: Tx) -> Result<()> {
    let Tx::List { account, limit } = command;
    context
        .unlocked(async |session| {
            let found = session.transactions(account.as_ref(), limit)?;
            if context.out.json {
                return found.iter().try_for_each(|tx| context.out.result(tx, String::new));
            }
            context.out.lines(&table(&found.iter().map(line).collect::<Vec<_>>()))
        })
        .await
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
