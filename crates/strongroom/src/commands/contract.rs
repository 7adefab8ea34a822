//! `contract`: how far the events of contracts were read.

use serde::Serialize;
use wallet_persistence::Address;

use super::{Context, holding::shown};
use crate::{
    cli::Contract,
    exit::{Code, Failure, Result},
    output::row,
    time,
};

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Json {
    chain_id: u64,
    contract: Address,
    block_number: u64,
}

pub(super) async fn run(context: &Context, command: Contract) -> Result<()> {
    context
        .unlocked(async |session| match command {
            Contract::Set { chain, contract, block } => {
                session.set_latest_block(chain, contract, block).await?;
                let json = Json { chain_id: chain, contract, block_number: block };
                context.out.result(&json, || format!("eip155:{chain} {contract}: block {block}"))
            }
            Contract::Get { chain, contract } => {
                let Some(block) = session.latest_block(chain, &contract)? else {
                    return Err(Failure::new(
                        Code::Missing,
                        format!("eip155:{chain} {contract} was not read yet"),
                        "`strongroom contract list` shows those that were",
                    ));
                };
                let json = Json { chain_id: chain, contract, block_number: block };
                context.out.result(&json, || block)
            }
            Contract::List => shown(context, &session.contracts()?, |progress| {
                let chain = format!("eip155:{}", progress.chain_id);
                let updated = time::iso(progress.updated / 1000);
                row([&chain, &progress.contract, &progress.block_number, &updated])
            }),
        })
        .await
}
