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
    if let count @ 1.. = status.unusable.damaged {
        add(&format!(
            "damaged records, shown in no list: {count}; \"strongroom verify\" names them, and a restore \
             into another folder brings back what the clouds have of them"
        ));
    }
    if let count @ 1.. = status.unusable.too_new {
        add(&format!(
            "records of a newer version, shown in no list: {count}; use a newer version of strongroom"
        ));
    }
    if let Some(ahead) = status.clock_ahead_ms {
        add(&format!(
            "a clock is wrong: the newest change lies {} in the future of this device; set the clocks of \
             all your devices",
            time::span(ahead)
        ));
    }
    if status.clouds.is_empty() && status.replicas.is_empty() {
        add("nothing is backed up: add a cloud with \"strongroom cloud add URL\"");
        return todo;
    }
    let mut is_behind = false;
    for cloud in &status.replicas {
        match cloud.failing {
            Some(_) => {
                add(&format!("{0} fails: \"strongroom cloud test {0}\" tries it out", cloud.name));
            }
            None => is_behind |= cloud.is_behind,
        }
    }
    if status.lag_records > 0 || status.last_backup.is_none() || is_behind {
        add("back up with \"strongroom backup now\"");
    }
    let verified = status.last_verified.as_ref().map(|verified| verified.time);
    if verified.is_none_or(|time| now.saturating_sub(time) > VERIFIED_FOR) {
        add("see that a restore would succeed with \"strongroom verify --cloud\"");
    }
    todo
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use cloud::MemCloud;
    use wallet_persistence::{RootSecret, Settings, WalletPersistence};

    use super::*;

    #[tokio::test]
    async fn all_is_well_only_if_nothing_is_hidden_and_no_cloud_fails_or_is_behind() {
        let mut settings = Settings::default();
        settings.replicate_every = None;
        let builder = WalletPersistence::in_memory().cloud(Arc::new(MemCloud::new()));
        let wallet = builder.settings(settings).build();
        let session = wallet.create(&RootSecret::from_bytes([1; 32])).await.unwrap();
        session.post_backup().await.unwrap();
        session.verify(true).await.unwrap();
        let well = session.status().unwrap();
        let says = |change: fn(&mut Status)| {
            let mut status = well.clone();
            change(&mut status);
            screen("here", &status, time::now())
        };
        assert!(says(|_| ()).contains("All is well"), "{}", says(|_| ()));
        type Change = fn(&mut Status);
        let cases: [(Change, &str); 5] = [
            (|status| status.unusable.too_new = 2, "newer version, shown in no list: 2;"),
            (|status| status.unusable.damaged = 3, "damaged records, shown in no list: 3;"),
            (|status| status.clock_ahead_ms = Some(6 * 86_400_000), "lies 6 days in the future"),
            (|status| status.replicas[0].failing = Some("gone".into()), "cloud test cloud 1"),
            (|status| status.replicas[0].is_behind = true, "strongroom backup now"),
        ];
        for (change, expected) in cases {
            let screen = says(change);
            assert!(screen.contains("One thing to do:") && screen.contains(expected), "{screen}");
        }
    }
}
