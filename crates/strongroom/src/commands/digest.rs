//! `digest`: one hash over everything the wallet holds.

use serde::Serialize;

use super::Context;
use crate::{exit::Result, progress::Progress};

#[derive(Serialize)]
struct Json<'a> {
    digest: &'a str,
    namespaces: Vec<Count<'a>>,
}

#[derive(Serialize)]
struct Count<'a> {
    primary: &'a str,
    secondary: &'a str,
    entries: u64,
}

pub(super) async fn run(context: &Context) -> Result<()> {
    context
        .unlocked(async |session| {
            let progress = Progress::spinner("reading everything");
            let digest = session.digest().await?;
            drop(progress);
            let namespaces = digest.entries.iter().map(|(ns, entries)| Count {
                primary: ns.primary(),
                secondary: ns.secondary(),
                entries: *entries,
            });
            let json = Json { digest: &digest.hex, namespaces: namespaces.collect() };
            context.out.result(&json, || &digest.hex)
        })
        .await
}
