//! `restore`: a wallet from its words (or key) and its clouds alone.

use wallet_persistence::{
    CloudUrl, Error, Reaction, RestoreAt, RestoreProgress, RestoreReport, UnlockError, WriterReport,
};

use super::Context;
use crate::{
    exit::{Failure, Result},
    output::{bytes, row, table},
    progress::Progress,
    secret, time,
};

pub(super) async fn run(
    context: &Context,
    clouds: Vec<CloudUrl>,
    at: RestoreAt,
    accept_stale: bool,
) -> Result<()> {
    let root = secret::root()?;
    let mut builder = context.wallet();
    for url in clouds {
        builder = builder.cloud_url(url);
    }
    let progress = Progress::bytes("restoring");
    let wallet = builder.build();
    let told = |now: RestoreProgress| progress.set(now.bytes_done, now.bytes_total);
    let outcome = match accept_stale {
        true => wallet.restore_stale_at(&root, at, told).await,
        false => wallet.restore_at(&root, at, told).await,
    };
    drop(progress);
    let report = outcome.map_err(|error| match error {
        UnlockError::Other(error @ Error::Stale { time, .. }) => {
            let what = format!("this would bring back the state of {}", time::with_age(time));
            Failure::from(error).before(what)
        }
        UnlockError::Other(error) if !accept_stale && error.reaction() == Reaction::OtherCloud => {
            let but = "what is older and whole can be looked at with --accept-stale: what came later \
                       is lost there";
            Failure::from(error).on("the newest state cannot be restored", but)
        }
        error => context.failure(error),
    })?;
    context.out.result(&report, || restored(&report))
}

fn restored(report: &RestoreReport) -> String {
    let others = match report.other_writers {
        0 => "none".to_owned(),
        n => merged(n, &report.merged),
    };
    let heads = report.heads.iter().map(|head| {
        let what = format!("{} of device {}", time::with_age(head.time), head.writer);
        row([&"newest seen", &what])
    });
    let mut rows = vec![
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
    ];
    rows.splice(3..3, heads);
    rows.extend(report.newer.iter().map(|newer| row([&"NOT restored", newer])));
    let passed_over = report.passed_over.iter();
    rows.extend(passed_over.map(|name| row([&"passed over", &format_args!("{name}, damaged")])));
    rows.extend(report.unreachable.iter().map(|why| row([&"NO answer from a cloud", why])));
    rows.push(row([&"your own entries", &"not taken here before \"strongroom takeover\""]));
    table(&rows)
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
