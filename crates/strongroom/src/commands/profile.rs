//! `profile`: what a person tells about themselves.

use serde::Serialize;
use wallet_persistence::{Error, ProfileField};

use super::Context;
use crate::{
    cli::Profile,
    exit::{Code, Failure, Result},
};

#[derive(Serialize)]
struct Json<'a> {
    field: &'static str,
    value: &'a str,
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
            Profile::Get { field } => {
                let value = session.profile(*field)?.ok_or_else(|| unset(*field))?;
                context.out.result(&Json { field: field.name(), value: &value }, || &value)
            }
            Profile::Clear { field } => {
                let fields = session.fields()?;
                let stored: Option<String> = fields.get(field.name()).map_err(Error::from)?;
                let Some(value) = stored else { return Err(unset(*field)) };
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

fn unset(field: ProfileField) -> Failure {
    Failure::new(
        Code::Missing,
        format!("the field {field} is not set"),
        "`strongroom profile list` shows what is",
    )
}
