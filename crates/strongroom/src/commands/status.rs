//! `status`: one screen that a person understands: what is here, whether it is safe, what to do.

use wallet_persistence::Status;

use super::Context;
use crate::{
    exit::Result,
    output::{bytes, row, table},
    time,
};

pub(super) async fn run(context: &Context) -> Result<()> {
    context
        .unlocked(async |session| {
            let status = session.status()?;
            let place = context.dir.display().to_string();
            context.out.result(&status, || screen(&place, &status, time::now()))
        })
        .await
}

/// How long ago a restore may have been verified without a word, in milliseconds.
const VERIFIED_FOR: u64 = 90 * 24 * 60 * 60 * 1000;

fn screen(place: &str, status: &Status, now: u64) -> String {
    let mut rows = vec![row([&"wallet", &place]), row([&"device", &status.writer])];
    rows.push(row([&"holds", &holds(status)]));
    rows.push(row([&"backup", &backup(status)]));
    for cloud in &status.replicas {
        let state = match (&cloud.failing, cloud.is_behind) {
            (Some(why), _) => format!("failing: {why}"),
            (None, true) => "behind".to_owned(),
            (None, false) => "has everything that was backed up".to_owned(),
        };
        rows.push(row([&"cloud", &format_args!("{}: {state}", cloud.name)]));
    }
    let verified = status.last_verified.as_ref();
    let verified = verified.map_or_else(|| "never".to_owned(), |v| time::with_age(v.time));
    rows.push(row([&"restore verified", &verified]));
    let mut text = table(&rows);
    let todo = todo(status, now);
    text.push_str(match todo.as_slice() {
        [] => "\n\nAll is well: from the words alone everything comes back.",
        [_] => "\n\nOne thing to do:",
        _ => "\n\nThings to do, the most urgent first:",
    });
    for what in todo {
        text.push_str("\n- ");
        text.push_str(&what);
    }
    text
}

fn holds(status: &Status) -> String {
    let some = status.records.iter().filter(|(_, count)| **count > 0);
    let parts: Vec<String> =
        some.map(|(store, count)| format!("{count} {}", store.replace('-', " "))).collect();
    if parts.is_empty() { "no records yet".to_owned() } else { parts.join(", ") }
}

fn backup(status: &Status) -> String {
    let last = status.last_backup.map_or_else(|| "never".to_owned(), time::with_age);
    match status.lag_records {
        _ if status.clouds.is_empty() && status.replicas.is_empty() => {
            "none: no cloud is set".to_owned()
        }
        0 => format!("everything up to change {}, last {last}", status.backed_up),
        lag => {
            format!("{lag} changes, {}, are not in the cloud; last {last}", bytes(status.lag_bytes))
        }
    }
}

/// What the person should do.
fn todo(status: &Status, now: u64) -> Vec<String> {
    let mut todo = Vec::new();
    let mut add = |what: &str| todo.push(what.to_owned());
    if status.open_findings().next().is_some() {
        add("a cloud or another device did what it should not: \"strongroom backup status\" tells");
    }
    match status.single_writer {
        "fenced" => add("another device has taken over your own entries: go on there"),
        "copied" => add("this folder is an old copy: use the one it was copied from"),
        "take-over-first" => add(
            "this device was restored: \"strongroom takeover\", once the old one has stopped, lets \
             it take entries of your own",
        ),
        _ => {}
    }
    if status.retired {
        add("the other devices no longer count this one: \"strongroom backup rejoin\"");
    }
    if status.clouds.is_empty() && status.replicas.is_empty() {
        add("nothing is backed up: add a cloud with \"strongroom cloud add URL\"");
        return todo;
    }
    if status.lag_records > 0 || status.last_backup.is_none() {
        add("back up with \"strongroom backup now\"");
    }
    let verified = status.last_verified.as_ref().map(|verified| verified.time);
    if verified.is_none_or(|time| now.saturating_sub(time) > VERIFIED_FOR) {
        add("see that a restore would succeed with \"strongroom verify --cloud\"");
    }
    todo
}
