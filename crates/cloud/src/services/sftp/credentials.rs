//! Keys and passwords: from the environment, a file, the agent, or `~/.ssh`.

use std::{path::PathBuf, sync::Arc};

use russh::keys::{PrivateKey, decode_secret_key};

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
            let source = boxed(format!(
                "the key cannot be read: {e}; if it has a passphrase, set \
                 STRONGROOM_SFTP_PASSPHRASE"
            ));
            CloudError::Unauthorized { source }
        })?;
        return Ok(Credentials { keys: vec![Arc::new(key)], password: None, agent: None });
    }
    if let Some(password) = secrets.secret("STRONGROOM_SFTP_PASSWORD")? {
        return Ok(Credentials { keys: Vec::new(), password: Some(password), agent: None });
    }
    let mut keys = Vec::new();
    for path in USUAL.iter().filter_map(|path| secrets.at_home(path)) {
        if let Ok(Some(text)) = secrets.file(&path)
            // One that needs a passphrase is mostly in the agent.
            && let Ok(key) = decode_secret_key(text.expose(), passphrase)
        {
            keys.push(Arc::new(key));
        }
    }
    let agent = secrets.variable("SSH_AUTH_SOCK").map(PathBuf::from);
    if keys.is_empty() && agent.is_none() {
        return Err(no_credentials(
            "set STRONGROOM_SFTP_KEY_FILE to a private key, or STRONGROOM_SFTP_PASSWORD, or start \
             ssh-agent",
        ));
    }
    Ok(Credentials { keys, password: None, agent })
}
