//! `accept-copy`: a SQLite file whose log is missing is taken as it is.

use std::path::Path;

use serde::Serialize;

use super::Context;
use crate::exit::Result;

#[derive(Serialize)]
struct Json<'a> {
    accepted: &'a Path,
}

pub(super) async fn run(context: &Context) -> Result<()> {
    let accepted = context.wallet().build().accept_copy().await;
    accepted.map_err(|e| context.failure(e))?;
    context.out.result(&Json { accepted: &context.dir }, || {
        format!(
            "{} is taken as it is; compare it with its backup: strongroom --dir {} verify --cloud",
            context.dir.display(),
            context.dir.display(),
        )
    })
}
