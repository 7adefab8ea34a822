//! The profiles of Amazon's own tools: `~/.aws/credentials` and `~/.aws/config`.

use super::Keys;
use crate::{
    Result,
    access::{Secret, Secrets},
    address::Address,
};

/// The keys of the profile, if it has any.
pub(super) fn keys(address: &Address, secrets: &Secrets) -> Result<Option<Keys>> {
    let profile = name(address, secrets);
    let Some(text) = file(secrets, "AWS_SHARED_CREDENTIALS_FILE", ".aws/credentials")? else {
        return Ok(None);
    };
    let find = |key| value(text.expose(), &[&profile], key);
    let (Some(id), Some(secret)) = (find("aws_access_key_id"), find("aws_secret_access_key"))
    else {
        return Ok(None);
    };
    let token = find("aws_session_token").map(Secret::new);
    Ok(Some(Keys { id: id.to_owned(), secret: Secret::new(secret), token }))
}

/// The region of the environment or the profile.
pub(super) fn region(address: &Address, secrets: &Secrets) -> Result<Option<String>> {
    for name in ["AWS_REGION", "AWS_DEFAULT_REGION"] {
        if let Some(region) = secrets.variable(name) {
            return Ok(Some(region));
        }
    }
    let profile = name(address, secrets);
    let Some(text) = file(secrets, "AWS_CONFIG_FILE", ".aws/config")? else { return Ok(None) };
    let sections = [profile.as_str(), &format!("profile {profile}")];
    Ok(value(text.expose(), &sections, "region").map(ToOwned::to_owned))
}

fn name(address: &Address, secrets: &Secrets) -> String {
    let profile = address.option("profile").or_else(|| secrets.variable("AWS_PROFILE"));
    profile.unwrap_or_else(|| "default".to_owned())
}

fn file(secrets: &Secrets, variable: &str, usual: &str) -> Result<Option<Secret>> {
    match secrets.variable(variable).map(Into::into).or_else(|| secrets.at_home(usual)) {
        Some(path) => secrets.file(&path),
        None => Ok(None),
    }
}

/// The value of a key in the first of these sections that has it.
fn value<'a>(text: &'a str, sections: &[&str], key: &str) -> Option<&'a str> {
    let mut within = false;
    text.lines().map(str::trim).find_map(|line| {
        if let Some(section) = line.strip_prefix('[').and_then(|l| l.strip_suffix(']')) {
            within = sections.contains(&section.trim());
            return None;
        }
        let (name, value) = line.split_once('=')?;
        (within && name.trim() == key).then_some(value.trim())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_profile_is_found_among_others() {
        let text =
            "# x\n[default]\naws_access_key_id = A\n[profile b]\n region=eu \n[c]\nregion=us";
        assert_eq!(value(text, &["default"], "aws_access_key_id"), Some("A"));
        assert_eq!(value(text, &["b", "profile b"], "region"), Some("eu"));
        assert_eq!(value(text, &["default"], "region"), None);
        assert_eq!(value(text, &["c"], "region"), Some("us"));
    }
}
