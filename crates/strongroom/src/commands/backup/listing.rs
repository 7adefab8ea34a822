//! `backup list`: chains, dumps, restore points, objects and clouds, with sizes and ages.

use std::collections::BTreeSet;

use serde::Serialize;
use wallet_persistence::{
    BackupListing, ChainSummary, CloudSummary, DumpKind, HeadSummary, RestorePoint, Session,
};

use super::Context;
use crate::{
    exit::Result,
    output::{bytes, row, table},
    progress::Progress,
    time,
};

#[derive(Serialize)]
struct Json<'a> {
    #[serde(flatten)]
    listing: &'a BackupListing,
    #[serde(skip_serializing_if = "Option::is_none")]
    restore_points: Option<&'a [RestorePoint]>,
}

pub(super) async fn run(context: &Context, session: &Session, points: Option<usize>) -> Result<()> {
    let progress = Progress::spinner("asking the clouds");
    let listing = session.list_backups().await?;
    drop(progress);
    let points = match points {
        Some(limit) => {
            let progress = Progress::spinner("reading restore points");
            let points = session.restore_points(limit).await?;
            drop(progress);
            Some(points)
        }
        None => None,
    };
    let json = Json { listing: &listing, restore_points: points.as_deref() };
    context.out.result(&json, || listed(&listing, points.as_deref()))
}

fn listed(listing: &BackupListing, points: Option<&[RestorePoint]>) -> String {
    let mut parts = Vec::new();
    if listing.chains.is_empty() {
        parts.push("no restore points".to_owned());
    } else {
        parts.push(chains(&listing.chains));
        parts.push(dumps(&listing.chains));
        parts.push(match points {
            Some(points) => all_points(points),
            None => newest_points(&listing.heads),
        });
        let mut objects = vec![row([&"OBJECTS", &"COUNT", &"BYTES"])];
        for class in &listing.objects {
            objects.push(row([&class.class, &class.objects, &bytes(class.bytes)]));
        }
        parts.push(table(&objects));
    }
    parts.push(clouds(&listing.clouds));
    parts.extend(listing.problems.iter().map(|problem| format!("cannot be read: {problem}")));
    parts.retain(|part| !part.is_empty());
    parts.join("\n\n")
}

fn device(mine: bool, writer: &str) -> &str {
    if mine { "this one" } else { writer }
}

fn chains(chains: &[ChainSummary]) -> String {
    let mut rows = vec![row([
        &"DEVICE",
        &"NEWEST RESTORE POINT",
        &"UP TO",
        &"RESTORE POINTS",
        &"SINCE",
        &"OBJECTS",
        &"BYTES",
        &"",
    ])];
    for chain in chains {
        let newest = chain.time.map_or_else(|| "none".to_owned(), time::with_age);
        let up_to = chain.sequence.map_or_else(|| "-".to_owned(), |to| to.to_string());
        let since = chain.since.map_or_else(|| "-".to_owned(), time::with_age);
        let note = if chain.retired { "no longer counts until it rejoins" } else { "" };
        rows.push(row([
            &device(chain.mine, &chain.writer),
            &newest,
            &up_to,
            &chain.restore_points,
            &since,
            &chain.objects,
            &bytes(chain.bytes),
            &note,
        ]));
    }
    table(&rows)
}

fn dumps(chains: &[ChainSummary]) -> String {
    let mut rows =
        vec![row([&"DUMP", &"DEVICE", &"BEGAN", &"UP TO", &"ENTRIES", &"OBJECTS", &"BYTES"])];
    for chain in chains {
        for dump in &chain.dumps {
            rows.push(row([
                &if dump.kind == DumpKind::Full { "full" } else { "delta" },
                &device(chain.mine, &chain.writer),
                &time::with_age(dump.time),
                &dump.sequence,
                &dump.entries,
                &dump.objects,
                &bytes(dump.bytes),
            ]));
        }
    }
    if rows.len() > 1 { table(&rows) } else { String::new() }
}

fn newest_points(heads: &[HeadSummary]) -> String {
    let mut rows = vec![row([&"NEWEST RESTORE POINTS", &"DEVICE", &"UP TO"])];
    let mut seen = BTreeSet::new();
    // A head that only names a newer dump is no restore point of its own.
    let newest = heads.iter().rev().filter(|head| seen.insert((&head.writer, head.sequence)));
    rows.extend(newest.map(|head| {
        row([&time::with_age(head.time), &device(head.mine, &head.writer), &head.sequence])
    }));
    if rows.len() > 1 { table(&rows) } else { String::new() }
}

fn all_points(points: &[RestorePoint]) -> String {
    let mut rows = vec![row([&"RESTORE POINT", &"DEVICE", &"UP TO"])];
    rows.extend(points.iter().map(|point| {
        row([&time::with_age(point.time), &device(point.mine, &point.writer), &point.sequence])
    }));
    table(&rows)
}

fn clouds(clouds: &[CloudSummary]) -> String {
    let mut rows = vec![row([&"CLOUD", &"OBJECTS", &"BYTES", &""])];
    rows.extend(clouds.iter().map(|cloud| {
        let note = match (&cloud.failure, cloud.lacks) {
            (Some(failure), _) => format!("did not answer: {failure}"),
            (None, 0) => String::new(),
            (None, lacks) => format!("lacks {lacks} objects that another cloud has"),
        };
        row([&cloud.cloud, &cloud.objects, &bytes(cloud.bytes), &note])
    }));
    table(&rows)
}
