//! `cohort`: those that the person does not want to be counted among.

use serde::Serialize;

use super::{Context, holding::shown};
use crate::{
    cli::Cohort,
    exit::{Code, Failure, Result},
    output::row,
    time,
};

#[derive(Serialize)]
struct Id<'a> {
    id: &'a str,
}

pub(super) async fn run(context: &Context, command: Cohort) -> Result<()> {
    context
        .unlocked(async |session| match command {
            Cohort::Reject { ids } => {
                session.reject_cohorts(ids.iter().map(String::as_str)).await?;
                let each = |id: &String| {
                    let id = id.trim();
                    context.out.result(&Id { id }, || format!("rejected {id}"))
                };
                ids.iter().try_for_each(each)
            }
            Cohort::List => shown(context, &session.rejected_cohorts()?, |cohort| {
                row([&time::iso(cohort.rejected / 1000), &cohort.id])
            }),
            Cohort::Accept { id } => {
                if !session.accept_cohort(&id).await? {
                    return Err(Failure::new(
                        Code::Missing,
                        format!("{id} is not rejected"),
                        "`strongroom cohort list` shows those that are",
                    ));
                }
                context.out.result(&Id { id: &id }, || format!("accepted {id}"))
            }
        })
        .await
}
