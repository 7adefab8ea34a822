//! `restore`: a wallet from its words (or key) and its clouds alone.

use wallet_persistence::{CloudUrl, RestoreReport, WriterReport};

use super::Context;
use crate::{
    exit::Result,
    output::{bytes, row, table},
    progress::Progress,
    secret, time,
};

pub(super) async fn run(context: &Context, clouds: Vec<CloudUrl>) -> Result<()> {
    let root = secret::root()?;
    let mut builder = context.wallet();
    for url in clouds {
        builder = builder.cloud_url(url);
    }
    let progress = Progress::bytes("restoring");
    let outcome =
        builder.build().restore(&root, |now| progress.set(now.bytes_done, now.bytes_total)).await;
    drop(progress);
    let report = outcome.map_err(|e| context.failure(e))?;
    context.out.result(&report, || restored(&report))
}

fn restored(report: &RestoreReport) -> String {
    let others = match report.other_writers {
        0 => "none".to_owned(),
        n => merged(n, &report.merged),
    };
    table(&[
        row([&"restored", &format_args!("the state of {}", time::with_age(report.time))]),
        row([&"made by", &format_args!("device {}", report.writer)]),
        row([&"up to", &format_args!("change {}", report.sequence)]),
        row([
            &"newest in",
            &format_args!("{} of {} clouds that answered", report.clouds_agreeing, report.clouds),
        ]),
        row([&"other devices", &others]),
        row([
            &"applied",
            &format_args!("{} changes, {}", report.changes, bytes(report.value_bytes)),
        ]),
        row([&"fetched", &format_args!("{} objects, {}", report.objects, bytes(report.bytes))]),
    ])
}

/// How many others there are and what of them is in the restore.
fn merged(others: usize, merged: &[WriterReport]) -> String {
    let changes: u64 = merged.iter().map(|writer| writer.changes).sum();
    let mut text = format!("{others}, {changes} newer changes of theirs were merged");
    for writer in merged {
        if let Some(failure) = &writer.failure {
            text.push_str(&format!("; NOT those of {}: {failure}", writer.writer));
        }
    }
    text
}
