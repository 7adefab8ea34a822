//! `takeover` and `handover`: which device writes data that has a single writer.

use wallet_persistence::{HandoverReport, Secret, TakeoverReport};

use super::Context;
use crate::{
    exit::Result,
    output::{row, table},
    progress::Progress,
};

/// Takes over; `back`: on a wallet that was handed over from here.
pub(super) async fn take_over(context: &Context, back: bool) -> Result<()> {
    let secret = context.secret().await?;
    let progress = Progress::spinner("asking the clouds");
    let report = if back {
        take_back(context, secret).await?
    } else {
        context.unlocked_with(&secret, async |session| Ok(session.take_over().await?)).await?
    };
    drop(progress);
    context.out.result(&report, || taken_over(&report))
}

async fn take_back(context: &Context, secret: Secret) -> Result<TakeoverReport> {
    let taken = context.wallet().build().take_back(secret).await;
    let (session, report) = taken.map_err(|e| context.failure(e))?;
    session.lock().await?;
    Ok(report)
}

/// Backs everything up and seals the wallet.
pub(super) async fn hand_over(context: &Context) -> Result<()> {
    let progress = Progress::spinner("backing up");
    let report = context.unlocked(async |session| Ok(session.hand_over().await?)).await?;
    drop(progress);
    context.out.result(&report, || handed_over(&report))
}

fn taken_over(report: &TakeoverReport) -> String {
    let deposed = match &report.deposed {
        Some(writer) => {
            format!("device {writer}, of which changes up to {} count", report.counts_to)
        }
        None => "nobody".to_owned(),
    };
    let mut rows = vec![
        row([&"took over", &format_args!("epoch {}", report.epoch)]),
        row([&"from", &deposed]),
        row([&"in", &format_args!("{} clouds of {} needed", report.clouds, report.needed)]),
    ];
    for cloud in &report.missing {
        rows.push(row([&"did not answer", &format_args!("{cloud}; it follows with a backup")]));
    }
    for cloud in &report.without_compare_and_swap {
        let what = format!("{cloud}: another device is noticed there, not kept out");
        rows.push(row([&"cannot fence", &what]));
    }
    table(&rows)
}

fn handed_over(report: &HandoverReport) -> String {
    let mut text = table(&[
        row([&"handed over", &format_args!("device {}", report.writer)]),
        row([&"in the clouds", &format_args!("everything up to change {}", report.sequence)]),
        row([&"epoch", &report.epoch]),
    ]);
    text.push_str("\n\nOn the other device, with the words (or the key):\n  strongroom restore");
    for cloud in &report.clouds {
        text.push_str(" --cloud ");
        text.push_str(cloud);
    }
    text.push_str(
        "\n  strongroom takeover\n\n\
         This folder refuses to run from now on. \"strongroom takeover --back\" takes it back as \
         long as no other device has taken over.",
    );
    text
}
