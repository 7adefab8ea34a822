//! `profile`: what a person tells about themselves.

use serde::Serialize;
use wallet_persistence::ProfileField;

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
                let Some(value) = session.profile(*field)? else {
                    return Err(Failure::new(
                        Code::Missing,
                        format!("the field {field} is not set"),
                        "`strongroom profile list` shows what is",
                    ));
                };
                context.out.result(&Json { field: field.name(), value: &value }, || &value)
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
