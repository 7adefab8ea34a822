//! `reward`: what was earned.

use serde::Serialize;
use wallet_persistence::EarnedReward;

use super::{Context, holding::shown};
use crate::{
    cli::Reward,
    exit::{Code, Failure, Result},
    output::row,
    time,
};

#[derive(Serialize)]
struct Id<'a> {
    id: &'a str,
}

pub(super) async fn run(context: &Context, command: Reward) -> Result<()> {
    context
        .unlocked(async |session| match command {
            Reward::Add { id, name, description, image, kind } => {
                let new = EarnedReward::new(id.as_str(), name);
                session.add_rewards([EarnedReward { description, image, kind, ..new }]).await?;
                context.out.result(&Id { id: id.trim() }, || format!("added {}", id.trim()))
            }
            Reward::List => shown(context, &session.rewards()?, |reward| {
                let kind = reward.kind.as_deref().unwrap_or("-");
                row([&time::iso(reward.earned / 1000), &reward.id, &kind, &reward.name])
            }),
            Reward::Remove { id } => {
                if !session.remove_reward(&id).await? {
                    return Err(Failure::new(
                        Code::Missing,
                        format!("there is no reward {id}"),
                        "`strongroom reward list` shows those there are",
                    ));
                }
                context.out.result(&Id { id: &id }, || format!("removed {id}"))
            }
        })
        .await
}
