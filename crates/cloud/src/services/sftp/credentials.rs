//! Keys and passwords: from the environment, a file, the agent, or `~/.ssh`.

use std::{path::PathBuf, sync::Arc};

use russh::keys::{Error as KeyError, PrivateKey, decode_secret_key};

use crate::{
    CloudError, Result,
    access::{Secret, Secrets, no_credentials},
    address::Address,
    error::boxed,
};

/// What we show the server, in this order.
pub(super) struct Credentials {
    pub(super) keys: Vec<Arc<PrivateKey>>,
    pub(super) password: Option<Secret>,
    /// Where the agent listens.
    pub(super) agent: Option<PathBuf>,
    /// Keys that lie where `ssh` looks and could not be opened: what is wrong with them.
    pub(super) unused: Vec<String>,
}

/// The keys that `ssh` would try.
const USUAL: [&str; 3] = [".ssh/id_ed25519", ".ssh/id_ecdsa", ".ssh/id_rsa"];

/// One key or password if one is given; else the agent's, and those that lie where `ssh` looks.
pub(super) fn find(address: &Address, secrets: &Secrets) -> Result<Credentials> {
    let passphrase = secrets.secret("STRONGROOM_SFTP_PASSPHRASE")?;
    let passphrase = passphrase.as_ref().map(Secret::expose);
    let named = match address.option("key") {
        Some(path) => match secrets.file(path.as_ref())? {
            Some(text) => Some(text),
            None => return Err(no_credentials(&format!("there is no file {path}"))),
        },
        None => secrets.secret("STRONGROOM_SFTP_KEY")?,
    };
    if let Some(text) = named {
        let key = decode_secret_key(text.expose(), passphrase).map_err(|e| {
            let why = unreadable("the key", &e, passphrase.is_some());
            CloudError::Unauthorized { source: boxed(why) }
        })?;
        return Ok(Credentials { keys: vec![Arc::new(key)], ..Credentials::none() });
    }
    if let Some(password) = secrets.secret("STRONGROOM_SFTP_PASSWORD")? {
        return Ok(Credentials { password: Some(password), ..Credentials::none() });
    }
    let (mut keys, mut unused) = (Vec::new(), Vec::new());
    for path in USUAL.iter().filter_map(|path| secrets.at_home(path)) {
        let Ok(Some(text)) = secrets.file(&path) else { continue };
        match decode_secret_key(text.expose(), passphrase) {
            Ok(key) => keys.push(Arc::new(key)),
            // One that needs a passphrase is mostly in the agent.
            Err(e) => {
                let shown = path.display().to_string();
                unused.push(unreadable(&shown, &e, passphrase.is_some()));
            }
        }
    }
    let agent = secrets.variable("SSH_AUTH_SOCK").map(PathBuf::from);
    if keys.is_empty() && agent.is_none() {
        let mut how =
            "set STRONGROOM_SFTP_KEY_FILE to a private key, or STRONGROOM_SFTP_PASSWORD, \
                       or start ssh-agent"
                .to_owned();
        for why in unused {
            how.push_str("; ");
            how.push_str(&why);
        }
        return Err(no_credentials(&how));
    }
    Ok(Credentials { keys, password: None, agent, unused })
}

impl Credentials {
    fn none() -> Self {
        Self { keys: Vec::new(), password: None, agent: None, unused: Vec::new() }
    }
}

/// Why a key is of no use, and what to do about it.
fn unreadable(key: &str, error: &KeyError, has_passphrase: bool) -> String {
    match error {
        KeyError::KeyIsEncrypted => format!(
            "{key} has a passphrase: set STRONGROOM_SFTP_PASSPHRASE or \
             STRONGROOM_SFTP_PASSPHRASE_FILE, or load it into ssh-agent"
        ),
        _ if has_passphrase => format!(
            "{key} cannot be read: {error}; STRONGROOM_SFTP_PASSPHRASE may not be its passphrase"
        ),
        _ => format!("{key} cannot be read: {error}"),
    }
}
