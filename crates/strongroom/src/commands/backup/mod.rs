//! `backup`: put changes into the clouds, and see what is there.

mod listing;

use serde::Serialize;
use wallet_persistence::{
    BackupReport, CloudStatus, DumpKind, DumpReport, PollReport, RejoinReport, SingleWriter,
    Status, VerifiedBy, VerifiedRestore,
};

use super::Context;
use crate::{
    cli::Backup,
    exit::Result,
    output::{bytes, row, table},
    progress::Progress,
    time,
};

pub(super) async fn run(context: &Context, command: Backup) -> Result<()> {
    context
        .unlocked(async |session| match command {
            Backup::Now => {
                let progress = Progress::spinner("backing up");
                let report = session.post_backup().await?;
                drop(progress);
                context.out.result(&report, || posted(&report))
            }
            Backup::Poll => {
                let progress = Progress::spinner("asking the clouds");
                let report = session.poll_backups().await?;
                drop(progress);
                context.out.result(&report, || polled(&report))
            }
            Backup::Rejoin => {
                let progress = Progress::spinner("taking the state of the others");
                let report = session.rejoin().await?;
                drop(progress);
                context.out.result(&report, || rejoined(report.as_ref()))
            }
            Backup::Dump { full } => {
                let progress = Progress::spinner("dumping");
                let kind = if full { DumpKind::Full } else { DumpKind::Delta };
                let report = session.dump(kind).await?;
                drop(progress);
                context.out.result(&report, || dumped(&report))
            }
            Backup::Status => {
                let status = session.status()?;
                context.out.result(&status, || described(&status))
            }
            Backup::Acknowledge => {
                let findings = session.acknowledge_findings()?;
                let json = Acknowledged { findings };
                context.out.result(&json, || format!("took note of {findings} findings"))
            }
            Backup::List { points } => listing::run(context, session, points).await,
        })
        .await
}

#[derive(Serialize)]
struct Acknowledged {
    findings: usize,
}

/// A clock may be that far ahead without a word, in milliseconds.
const MINUTE: u64 = 60_000;

fn posted(report: &BackupReport) -> String {
    if report.objects == 0 {
        return format!("nothing new: everything up to change {} is in the cloud", report.sequence);
    }
    let mut rows = Vec::new();
    if report.changes > 0 {
        rows.push(row([&"changes", &report.changes]));
    }
    if let Some(entries) = report.dumped {
        rows.push(row([&"dump", &format_args!("{entries} entries")]));
    }
    rows.push(row([&"objects", &report.objects]));
    rows.push(row([&"bytes", &bytes(report.bytes)]));
    rows.push(row([&"up to", &format_args!("change {}", report.sequence)]));
    if let Some(single_writer) = report.single_writer {
        rows.push(row([&"your own entries", &fenced(single_writer)]));
    }
    table(&rows)
}

/// What became of data that has a single writer.
fn fenced(single_writer: SingleWriter) -> &'static str {
    match single_writer {
        SingleWriter::Acknowledged => "acknowledged: no other device has written meanwhile",
        SingleWriter::Noted => {
            "put; the cloud cannot fence, so another device is noticed and not kept out"
        }
        SingleWriter::Stopped => {
            "NOT acknowledged: this device may not write them (see \"strongroom backup status\")"
        }
        _ => {
            "NOT acknowledged: a cloud shows an older state than before (see \"strongroom backup \
             status\")"
        }
    }
}

fn polled(report: &PollReport) -> String {
    let mut lines: Vec<String> = Vec::new();
    if report.retired {
        lines.push(
            "this device was unseen for so long that the others no longer wait for it:\n\
             \"strongroom backup rejoin\" takes their state and keeps what was never sent"
                .to_owned(),
        );
    }
    for failure in &report.unreachable {
        lines.push(format!("a cloud did not answer: {failure}"));
    }
    if !report.writers.is_empty() {
        let mut rows = vec![row([&"DEVICE", &"UP TO", &"MERGED", &"BOTH CHANGED", &""])];
        for writer in &report.writers {
            let note = match &writer.failure {
                Some(failure) => format!("not merged: {failure}"),
                None if writer.retired => "no longer counts until it rejoins".to_owned(),
                None if writer.clock_ahead_ms > MINUTE => {
                    format!("its clock is ahead by {}", time::span(writer.clock_ahead_ms))
                }
                None if !writer.damaged.is_empty() => {
                    format!("took the place of damaged entries: {}", writer.damaged.join(", "))
                }
                None => String::new(),
            };
            let (changes, conflicts) = (&writer.changes, &writer.conflicts);
            rows.push(row([&writer.writer, &writer.sequence, changes, conflicts, &note]));
        }
        lines.push(table(&rows));
    }
    if lines.is_empty() {
        let others = report.heads.iter().filter(|head| !head.mine).count();
        lines.push(format!("nothing new from {others} other devices"));
    }
    lines.join("\n")
}

fn rejoined(report: Option<&RejoinReport>) -> String {
    match report {
        None => "nothing to do: the other devices count this one".to_owned(),
        Some(report) => format!(
            "took the state of device {}: {} changes\nthis device is now {}; back up next",
            report.from, report.changes, report.writer
        ),
    }
}

fn dumped(report: &DumpReport) -> String {
    let kind = match report.kind {
        DumpKind::Full => "everything",
        _ => "what has changed since the last full dump",
    };
    table(&[
        row([&"dumped", &kind]),
        row([&"entries", &format_args!("{}, {}", report.entries, bytes(report.value_bytes))]),
        row([&"put", &format_args!("{} objects, {}", report.objects, bytes(report.bytes))]),
        row([&"read back", &"yes, from each cloud that has it"]),
        row([&"up to", &format_args!("change {}", report.sequence)]),
    ])
}

fn described(status: &Status) -> String {
    let mut rows = vec![
        row([&"device", &status.writer]),
        row([&"accounts", &status.accounts]),
        row([&"transactions", &status.transactions]),
    ];
    if status.retired {
        let what = "no longer counted by the others: run \"strongroom backup rejoin\"";
        rows.push(row([&"this device is", &what]));
    }
    if status.single_writer != "open" {
        let what = match status.single_writer {
            "take-over-first" => {
                "not taken before \"strongroom takeover\": this device was restored"
            }
            "fenced" => "not taken: another device has taken over",
            "copied" => "not taken: this folder is an old copy of one that has gone on",
            _ => "not taken: this wallet was handed over",
        };
        rows.push(row([&"your own entries", &what]));
    }
    for finding in status.open_findings() {
        let since = time::with_age(finding.since);
        let what = format!("{} {} (since {since})", finding.cloud, finding.what);
        rows.push(row([&"SUSPICIOUS", &what]));
    }
    rows.extend(status.cannot_fence.iter().map(|what| row([&"cannot fence", what])));
    if status.clouds.is_empty() {
        rows.push(row([&"cloud", &"none: nothing is backed up"]));
    }
    if status.replicas.len() == 1 {
        rows.extend(status.clouds.iter().map(|url| row([&"cloud", url])));
    } else {
        rows.extend(status.replicas.iter().map(|cloud| row([&"cloud", &replica(cloud)])));
    }
    let last = status.last_backup.map_or_else(|| "never".to_owned(), time::with_age);
    rows.push(row([&"last backup", &last]));
    let verified = match &status.last_verified {
        None => "never: \"strongroom verify --cloud\" does it".to_owned(),
        Some(verified) => described_restore(verified, status),
    };
    rows.push(row([&"last verified restore", &verified]));
    let waiting = match status.lag_age_ms {
        None if status.lag_records == 0 => "nothing, everything is in the cloud".to_owned(),
        age => format!(
            "{} changes, {}, the oldest from {}",
            status.lag_records,
            bytes(status.lag_bytes),
            time::ago(age.unwrap_or(0))
        ),
    };
    rows.push(row([&"not in the cloud yet", &waiting]));
    if status.dump_needed {
        rows.push(row([&"next backup", &"a full dump: the clouds lag too far for anything less"]));
    }
    table(&rows)
}

/// One of several clouds.
fn replica(cloud: &CloudStatus) -> String {
    let state = match (cloud.is_behind, cloud.has) {
        (true, Some(has)) => format!(" lacks what came after change {has}"),
        (true, None) => " has nothing of this device yet".to_owned(),
        (false, _) => String::new(),
    };
    let why = cloud.failing.as_ref().map_or_else(String::new, |why| format!(": {why}"));
    format!("{}{state}{why}", cloud.name)
}

fn described_restore(verified: &VerifiedRestore, status: &Status) -> String {
    let by = match verified.by {
        VerifiedBy::Restore => "this device was restored",
        _ => "every object was read and compared with this device",
    };
    let whose = match verified.writer == status.writer {
        true => String::new(),
        false => format!(" of device {}", verified.writer),
    };
    format!(
        "{}: {by}, up to change {}{whose}, in {} of {} clouds",
        time::with_age(verified.time),
        verified.sequence,
        verified.clouds,
        verified.clouds_asked
    )
}
