//! `visit` and `click`: browsing.

use serde::Serialize;
use wallet_persistence::{ActivityFilter, Error};

use super::{Context, holding::shown};
use crate::{
    cli::{ActivityArgs, By, Click, Visit},
    exit::Result,
    output::{row, table},
    time,
};

#[derive(Serialize)]
struct Count<'a> {
    /// The address of the page, or its origin.
    of: &'a str,
    visits: u64,
}

pub(super) async fn visit(context: &Context, command: Visit) -> Result<()> {
    context
        .unlocked(async |session| match command {
            Visit::Add { url, start, end } => {
                let start = start.unwrap_or_else(time::now);
                let visit = session.add_visit(&url, start, end.unwrap_or(start)).await?;
                context.out.result(&visit, || format!("added {}", visit.url))
            }
            Visit::List(args) => shown(context, &session.visits(&filter(&args)?)?, |visit| {
                let took = time::span(visit.end.saturating_sub(visit.start));
                row([&time::iso(visit.start / 1000), &took, &visit.url])
            }),
            Visit::Count { by, filter: args } => {
                let filter = filter(&args)?;
                let counts = match by {
                    By::Url => session.visits_by_url(&filter)?,
                    By::Origin => session.visits_by_origin(&filter)?,
                };
                if context.out.json {
                    let each = |(of, visits): (&String, &u64)| {
                        context.out.result(&Count { of, visits: *visits }, String::new)
                    };
                    return counts.iter().try_for_each(each);
                }
                let rows = counts.iter().map(|(of, visits)| row([visits, of]));
                context.out.lines(&table(&rows.collect::<Vec<_>>()))
            }
        })
        .await
}

pub(super) async fn click(context: &Context, command: Click) -> Result<()> {
    context
        .unlocked(async |session| match command {
            Click::Add { url, element } => {
                let click = session.add_click(&url, element.as_deref()).await?;
                context.out.result(&click, || format!("added {}", click.url))
            }
            Click::List(args) => shown(context, &session.clicks(&filter(&args)?)?, |click| {
                let element = click.element.as_deref().unwrap_or("-");
                row([&time::iso(click.time / 1000), &click.url, &element])
            }),
        })
        .await
}

fn filter(args: &ActivityArgs) -> Result<ActivityFilter, Error> {
    let mut filter = ActivityFilter::new();
    if let Some(url) = &args.url {
        filter = filter.url(url)?;
    }
    if let Some(origin) = &args.origin {
        filter = filter.origin(origin)?;
    }
    filter = args.since.into_iter().fold(filter, ActivityFilter::since);
    filter = args.until.into_iter().fold(filter, ActivityFilter::until);
    Ok(args.limit.into_iter().fold(filter, ActivityFilter::limit))
}
