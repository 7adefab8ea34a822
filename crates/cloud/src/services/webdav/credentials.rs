//! The password of a user: from the environment, a file, or `~/.netrc`.

use crate::{
    Result,
    access::{Secret, Secrets, no_credentials},
    address::Address,
};

/// Who we are towards the server.
#[derive(Debug)]
pub(super) struct Login {
    pub(super) user: String,
    pub(super) password: Secret,
}

/// `None` is anonymous: the address names no user and nothing else does.
pub(super) fn find(address: &Address, secrets: &Secrets) -> Result<Option<Login>> {
    let user = address.user().or_else(|| secrets.variable("STRONGROOM_WEBDAV_USER"));
    if let Some(password) = secrets.secret("STRONGROOM_WEBDAV_PASSWORD")?
        && let Some(user) = user
    {
        return Ok(Some(Login { user, password }));
    }
    let named = secrets.variable("NETRC").map(Into::into);
    if let Some(path) = named.or_else(|| secrets.at_home(".netrc"))
        && let Some(text) = secrets.file(&path)?
    {
        let host = address.host().unwrap_or_default();
        if let Some(login) = in_netrc(text.expose(), host, user.as_deref()) {
            return Ok(Some(login));
        }
    }
    match user {
        None if secrets.secret("STRONGROOM_WEBDAV_PASSWORD")?.is_some() => Err(no_credentials(
            "STRONGROOM_WEBDAV_PASSWORD is set, but no user: name one in the address, or in \
             STRONGROOM_WEBDAV_USER",
        )),
        None => Ok(None),
        Some(user) => Err(no_credentials(&format!(
            "set STRONGROOM_WEBDAV_PASSWORD to the (app) password of {user}, or put it into ~/.netrc"
        ))),
    }
}

/// The entry of this machine, and of this user if one is named.
fn in_netrc(text: &str, host: &str, user: Option<&str>) -> Option<Login> {
    let mut words = text.split_whitespace().peekable();
    while let Some(word) = words.next() {
        let here = match word {
            "machine" => words.next()? == host,
            "default" => true,
            _ => continue,
        };
        let (mut login, mut password) = (None, None);
        while let Some(word) = words.next_if(|word| !["machine", "default"].contains(word)) {
            match word {
                "login" => login = words.next(),
                "password" => password = words.next(),
                _ => {}
            }
        }
        if let (true, Some(login), Some(password)) = (here, login, password)
            && user.is_none_or(|user| user == login)
        {
            return Some(Login { user: login.to_owned(), password: Secret::new(password) });
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_netrc_is_searched_by_machine_and_user() {
        let text = "machine a login x password one\nmachine b\n login y\n password two\n\
                    machine b login z password three default login w password four";
        let find = |host, user| {
            in_netrc(text, host, user).map(|l| format!("{} {}", l.user, l.password.expose()))
        };
        assert_eq!(find("a", None).as_deref(), Some("x one"));
        assert_eq!(find("b", None).as_deref(), Some("y two"));
        assert_eq!(find("b", Some("z")).as_deref(), Some("z three"));
        assert_eq!(find("c", None).as_deref(), Some("w four"));
        assert!(find("c", Some("x")).is_none());
    }
}
