//! `migrate`: the wallet moves to another place and kind of store.

use std::path::{Path, PathBuf};

use serde::Serialize;
use wallet_persistence::{CopyProgress, MoveTarget};

use super::{Context, migrate_ldk};
use crate::{
    cli::Migrate,
    exit::{Code, Failure, Result},
    output,
    progress::Progress,
};

#[derive(Serialize)]
struct Json<'a> {
    from: &'a Path,
    to: &'a Path,
    entries: u64,
    bytes: u64,
    there_before: u64,
    store_digest: &'a str,
}

/// `dir` is the wallet's folder if the command line names one.
pub(super) async fn run(context: Context, dir: Option<&Path>, args: Migrate) -> Result<()> {
    let Migrate { from, seed_file, to, abandon_move } = args;
    let target = MoveTarget::parse(to.to_str().unwrap_or_default());
    let Some(from) = from else {
        let target = target.map_err(|error| {
            Failure::new(Code::Usage, error.to_string(), "see `strongroom migrate --help`")
        })?;
        return move_wallet(&context, target, abandon_move).await;
    };
    if dir.is_some() {
        let what = "--dir does not go with --from: --to is the wallet";
        return Err(Failure::new(Code::Usage, what, "leave --dir out"));
    }
    let dir = target.map_or(to, |target| PathBuf::from(target.path()));
    migrate_ldk::run(&Context { dir, ..context }, &from, seed_file).await
}

async fn move_wallet(context: &Context, to: MoveTarget, instead: bool) -> Result<()> {
    let progress = Progress::entries("moving");
    let bar = progress.bar();
    // First everything is copied, then everything is compared: two halves of the bar.
    let wallet = context.wallet().build();
    let progress_of = move |at: CopyProgress| {
        let done = if at.comparing { at.total + at.done } else { at.done };
        bar.set(done, 2 * at.total);
    };
    let moved = if instead {
        wallet.move_to_instead(&to, progress_of).await
    } else {
        wallet.move_to(&to, progress_of).await
    };
    let moved = moved.map_err(|e| context.failure(e))?;
    drop(progress);
    let json = Json {
        from: &context.dir,
        to: to.path(),
        entries: moved.entries,
        bytes: moved.bytes,
        there_before: moved.there_before,
        store_digest: &moved.digest,
    };
    context.out.result(&json, || {
        format!(
            "moved {} entries, {}, to {}\nfrom now on: strongroom --dir {}; what is in {} can be removed",
            moved.entries,
            output::bytes(moved.bytes),
            to.path().display(),
            to.path().display(),
            context.dir.display(),
        )
    })
}
