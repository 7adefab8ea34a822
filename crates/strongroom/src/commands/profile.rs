//! `profile`: what a person tells about themselves, now and at older restore points.

use serde::Serialize;
use serde_json::Value;
use wallet_persistence::{Error, PastValue, ProfileField, RestoreAt, Session};

use super::Context;
use crate::{
    cli::Profile,
    exit::{Code, Failure, Result},
    output::{row, table},
    progress::Progress,
    time,
};

#[derive(Serialize)]
struct Json<'a, T> {
    field: &'a str,
    value: T,
}

#[derive(Serialize)]
struct Past<'a> {
    field: &'a str,
    #[serde(flatten)]
    past: &'a PastValue<Value>,
}

pub(super) async fn run(context: &Context, command: Profile) -> Result<()> {
    context
        .unlocked(async |session| match &command {
            Profile::Set { field, value } => {
                session.set_profile(*field, value).await?;
                let stored = session.profile(*field)?.unwrap_or_default();
                let json = Json { field: field.name(), value: &stored };
                context.out.result(&json, || format!("set {field}"))
            }
            Profile::Get { field, at: None } => {
                let value = now(session, field)?.ok_or_else(|| unset(session, field))?;
                context.out.result(&Json { field, value: &value }, || text(&value))
            }
            Profile::Get { field, at: Some(at) } => get_at(context, session, field, *at).await,
            Profile::History { field } => history(context, session, field).await,
            Profile::Clear { field } => {
                let fields = session.fields()?;
                let stored: Option<String> = fields.get(field.name()).map_err(Error::from)?;
                let Some(value) = stored else { return Err(unset(session, field.name())) };
                session.clear_profile(*field).await?;
                let json = Json { field: field.name(), value: &value };
                context.out.result(&json, || format!("cleared {field}"))
            }
            Profile::List => {
                for field in ProfileField::ALL {
                    if let Some(value) = session.profile(field)? {
                        let json = Json { field: field.name(), value: &value };
                        context.out.result(&json, || format!("{field}: {value}"))?;
                    }
                }
                Ok(())
            }
        })
        .await
}

/// The value here and now.
fn now(session: &Session, field: &str) -> Result<Option<Value>> {
    match field.parse::<ProfileField>() {
        Ok(field) => Ok(session.profile(field)?.map(Value::from)),
        Err(_) => Ok(session.fields()?.get(field).map_err(Error::from)?),
    }
}

async fn get_at(context: &Context, session: &Session, field: &str, at: RestoreAt) -> Result<()> {
    let progress = Progress::spinner("reading a restore point");
    let past: Result<PastValue<Value>, _> = session.field_at(field, at).await;
    drop(progress);
    let past = past.map_err(|error| no_point(error, field))?;
    let Some(value) = &past.value else {
        is_known(session, field)?;
        let then = time::iso(past.last.time / 1000);
        return Err(Failure::new(
            Code::Missing,
            format!("the field {field} was not set at {then}"),
            format!("`strongroom profile history {field}` shows when it was"),
        ));
    };
    context.out.result(&Past { field, past: &past }, || text(value))
}

async fn history(context: &Context, session: &Session, field: &str) -> Result<()> {
    let progress = Progress::spinner("reading restore points");
    let history: Result<Vec<PastValue<Value>>, _> = session.field_history(field).await;
    drop(progress);
    let history = history.map_err(|error| no_point(error, field))?;
    if history.is_empty() {
        is_known(session, field)?;
        return Err(Failure::new(
            Code::Missing,
            format!("no restore point in the clouds holds the field {field}"),
            "`strongroom backup now` makes one",
        ));
    }
    if context.out.json {
        return history
            .iter()
            .try_for_each(|past| context.out.result(&Past { field, past }, String::new));
    }
    let mut rows = vec![row([&"FROM", &"TO", &"DEVICE", &"UP TO", &"VALUE"])];
    rows.extend(history.iter().map(|past| {
        let value = past.value.as_ref().map_or_else(|| "(not set)".to_owned(), text);
        row([
            &time::iso(past.first.time / 1000),
            &time::with_age(past.last.time),
            &if past.mine { "this one" } else { &past.writer },
            &past.last.sequence,
            &value,
        ])
    }));
    context.out.line(table(&rows))
}

/// A text as it is, if it keeps to its line; anything else as JSON.
fn text(value: &Value) -> String {
    match value {
        Value::String(text) if !text.contains(char::is_control) => text.clone(),
        other => other.to_string(),
    }
}

fn no_point(error: Error, field: &str) -> Failure {
    Failure::from(error).if_missing(format!(
        "`strongroom profile history {field}` shows what the clouds keep; `strongroom backup now` \
         makes a restore point"
    ))
}

fn unset(session: &Session, field: &str) -> Failure {
    match is_known(session, field) {
        Ok(()) => Failure::new(
            Code::Missing,
            format!("the field {field} is not set"),
            "`strongroom profile list` shows what is",
        ),
        Err(failure) => failure,
    }
}

/// Whether there is such a field: of the profile, or one that an application has set here.
fn is_known(session: &Session, field: &str) -> Result<()> {
    let of_profile: Vec<&str> = ProfileField::ALL.map(ProfileField::name).into();
    let set = session.fields()?.list().map_err(Error::from)?;
    let mut all = of_profile.clone();
    all.extend(set.iter().map(String::as_str).filter(|name| !of_profile.contains(name)));
    if all.contains(&field) {
        return Ok(());
    }
    Err(Failure::new(
        Code::Usage,
        format!("there is no field {field}; fields are: {}", all.join(", ")),
        "correct it and try again",
    ))
}
