//! `migrate`: the wallet moves to another place and kind of store.

use std::path::Path;

use serde::Serialize;
use wallet_persistence::MoveTarget;

use super::Context;
use crate::{exit::Result, output, progress::Progress};

#[derive(Serialize)]
struct Json<'a> {
    from: &'a Path,
    to: &'a Path,
    entries: u64,
    bytes: u64,
    there_before: u64,
    store_digest: &'a str,
}

pub(super) async fn run(context: &Context, to: MoveTarget) -> Result<()> {
    let progress = Progress::entries("moving");
    let bar = progress.bar();
    // First everything is copied, then everything is compared: two halves of the bar.
    let wallet = context.wallet().build();
    let moved = wallet.move_to(&to, move |at| {
        let done = if at.comparing { at.total + at.done } else { at.done };
        bar.set(done, 2 * at.total);
    });
    let moved = moved.await.map_err(|e| context.failure(e))?;
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
