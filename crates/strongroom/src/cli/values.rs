//! The values of options that are more than text.

use std::path::PathBuf;

use wallet_persistence::{BadProfileValue, CloudUrl, Key, LdkVersion, ProfileField, RestoreAt};

use crate::time;

/// Where a Lightning node keeps its data.
#[derive(Debug, Clone)]
pub(crate) enum Source {
    Folder { version: LdkVersion, path: PathBuf },
    LdkNodeFile { path: PathBuf },
}

/// Which addresses this build takes.
pub(super) fn kinds_of_clouds() -> String {
    let kinds = CloudUrl::kinds();
    let width = kinds.iter().map(|(_, example)| example.len()).max().unwrap_or_default();
    let lines = kinds.iter().map(|(name, example)| format!("  {example:width$}  {name}\n"));
    format!(
        "Addresses of clouds:\n{}\nAn address holds no secret. Passwords and keys come from the \
         environment, from files, or from\nwhere the tools of each service keep them; the chapter \
         on clouds in the book says which.",
        lines.collect::<String>()
    )
}

pub(super) fn cloud(text: &str) -> Result<CloudUrl, String> {
    CloudUrl::parse(text).map_err(|error| error.to_string())
}

pub(super) fn source(text: &str) -> Result<Source, String> {
    let folder = |version, path: &str| Source::Folder { version, path: path.into() };
    match text.split_once(':') {
        Some((_, "")) | None => {}
        Some(("ldk-fs", path)) => return Ok(folder(LdkVersion::V1, path)),
        Some(("ldk-fs-v2", path)) => return Ok(folder(LdkVersion::V2, path)),
        Some(("ldk-node-sqlite", path)) => return Ok(Source::LdkNodeFile { path: path.into() }),
        Some(_) => {}
    }
    Err("a place to move from is `ldk-fs:DIR`, `ldk-fs-v2:DIR` or `ldk-node-sqlite:FILE`"
        .to_owned())
}

pub(super) fn at(text: &str) -> Result<RestoreAt, String> {
    if text == "newest" {
        return Ok(RestoreAt::Newest);
    }
    if let Ok(sequence) = text.parse() {
        return Ok(RestoreAt::Sequence(sequence));
    }
    time::parse(text).map(RestoreAt::Time).ok_or_else(|| {
        "neither the number of a change nor a time such as 2026-01-31T18:00:00Z".to_owned()
    })
}

/// The name of a field: of the profile, or one that an application may have set.
pub(super) fn field(text: &str) -> Result<String, String> {
    if let Ok(field) = text.parse::<ProfileField>() {
        return Ok(field.name().to_owned());
    }
    match Key::new(text) {
        Ok(name) => Ok(name.as_str().to_owned()),
        Err(_) => Err(BadProfileValue::Field.to_string()),
    }
}
