//! `watch`: replication that goes on, and what happens meanwhile.

use tokio::{select, signal, sync::broadcast::error::RecvError};
use wallet_persistence::{Error, Event, Session, Status};

use super::Context;
use crate::{
    exit::{Code, Failure, Result},
    output::bytes,
    progress::Live,
    time,
};

pub(super) async fn run(context: &Context, until_backed_up: bool) -> Result<()> {
    let secret = context.secret().await?;
    let wallet = context.wallet_that_goes_on();
    context
        .unlocked_in(wallet, &secret, async |session| {
            watch(context, session, until_backed_up).await
        })
        .await
}

async fn watch(context: &Context, session: &Session, until_backed_up: bool) -> Result<()> {
    let mut events = session.events();
    let status = session.status()?;
    if status.clouds.is_empty() {
        return Err(Error::NoCloud.into());
    }
    context.out.note(format_args!("{}; Ctrl-C ends", lag(&status)));
    let live = Live::new();
    let ended = ended();
    tokio::pin!(ended);
    loop {
        let status = session.status()?;
        live.show(lag(&status));
        if until_backed_up && status.lag_records == 0 && status.last_backup.is_some() {
            break;
        }
        select! {
            outcome = &mut ended => {
                outcome?;
                break;
            }
            event = events.recv() => match event {
                Ok(event) => live.aside(|| told(context, &event))?,
                // What was missed is over; the lag is asked for anyway.
                Err(RecvError::Lagged(_)) => {}
                Err(RecvError::Closed) => break,
            },
            () = tokio::time::sleep(std::time::Duration::from_secs(1)) => {}
        }
    }
    drop(live);
    context.out.note(lag(&session.status()?));
    Ok(())
}

/// Resolves when the person, or the system, wants an end.
async fn ended() -> Result<()> {
    let failed = |error: std::io::Error| {
        Failure::new(Code::Other, "cannot wait for Ctrl-C", "try again").because(&error)
    };
    #[cfg(unix)]
    {
        let mut terminate =
            signal::unix::signal(signal::unix::SignalKind::terminate()).map_err(failed)?;
        select! {
            outcome = signal::ctrl_c() => outcome.map_err(failed),
            _ = terminate.recv() => Ok(()),
        }
    }
    #[cfg(not(unix))]
    signal::ctrl_c().await.map_err(failed)
}

fn lag(status: &Status) -> String {
    match status.lag_age_ms {
        None if status.lag_records == 0 => "everything is in the clouds".to_owned(),
        age => format!(
            "not in the clouds yet: {} changes, {}, the oldest from {}",
            status.lag_records,
            bytes(status.lag_bytes),
            time::ago(age.unwrap_or(0))
        ),
    }
}

fn told(context: &Context, event: &Event) -> Result<()> {
    let text = match event {
        // The lag is shown anyway.
        Event::Lag { .. } if !context.out.json => return Ok(()),
        Event::BackedUp { sequence, bytes: size } => {
            format!("backed up to change {sequence}, {}", bytes(*size))
        }
        Event::BackupFailed { reason } => format!("a backup failed: {reason}"),
        Event::PollFailed { reason } => format!("looking what others put failed: {reason}"),
        Event::DumpFailed { reason } => format!("a dump failed: {reason}"),
        Event::Merged { writer, changes, .. } => format!("merged {changes} changes of {writer}"),
        Event::ConflictResolved { namespace, key, mine, .. } => {
            let whose = if *mine { "the change of this device" } else { "that of the other one" };
            format!("two devices had changed {namespace}/{key}: {whose} counts")
        }
        Event::NotUnique { store, index, keys: [counts, other] } => {
            format!("{store}: {counts} and {other} share a key of {index}: change or remove one")
        }
        Event::ClockAhead { writer, ahead_ms } => format!(
            "a clock is wrong: changes of {writer} lie {} in the future here",
            time::span(*ahead_ms)
        ),
        Event::Suspicious(finding) => format!("SUSPICIOUS: {} {}", finding.cloud, finding.what),
        Event::SingleWriterStopped { reason } => format!("your own entries: {reason}"),
        _ if context.out.json => String::new(),
        _ => return Ok(()),
    };
    context.out.result(event, || format!("{} {text}", time::iso(time::now() / 1000)))
}
