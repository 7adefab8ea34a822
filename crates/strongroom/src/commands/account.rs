//! `account`: linked accounts.

use serde::Serialize;
use wallet_persistence::AccountId;

use super::Context;
use crate::{
    cli::Account,
    exit::{Code, Failure, Result},
    output::{row, table},
    time,
};

#[derive(Serialize)]
struct Id<'a> {
    id: &'a AccountId,
}

pub(super) async fn run(context: &Context, command: Account) -> Result<()> {
    context
        .unlocked(async |session| match &command {
            Account::Add { id, label } => {
                session.add_account(id.clone(), label.as_deref()).await?;
                context.out.result(&Id { id }, || format!("added {id}"))
            }
            Account::Remove { id } => {
                if !session.remove_account(id).await? {
                    return Err(Failure::new(
                        Code::Missing,
                        format!("{id} is not linked"),
                        "`strongroom account list` shows what is",
                    ));
                }
                context.out.result(&Id { id }, || format!("removed {id}"))
            }
            Account::List => {
                let accounts = session.accounts()?;
                if context.out.json {
                    return accounts.iter().try_for_each(|a| context.out.result(a, String::new));
                }
                let rows = accounts.iter().map(|account| {
                    let label = account.label.as_deref().unwrap_or("-");
                    row([&account.id, &time::iso(account.added / 1000), &label])
                });
                context.out.lines(&table(&rows.collect::<Vec<_>>()))
            }
        })
        .await
}
