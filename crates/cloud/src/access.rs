//! What opening a cloud needs besides its address: secrets, and how HTTP is spoken.

#![cfg_attr(
    not(feature = "all"),
    allow(dead_code, reason = "each service uses a part of it, and none without one")
)]

use std::{
    env, fmt, fs,
    io::ErrorKind,
    path::{Path, PathBuf},
    sync::Arc,
};

use zeroize::Zeroizing;

use crate::{CloudError, Result, error::boxed};

/// What opening a cloud needs besides its address.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct Access {
    /// Where passwords and keys come from.
    pub secrets: Secrets,
    /// Who writes, for the services where that is a key instead of an account.
    pub identity: Option<CloudIdentity>,
    /// How HTTP is spoken, for the services that do.
    #[cfg(feature = "http")]
    pub http: crate::HttpSettings,
    /// How long to wait for a server over SSH.
    #[cfg(feature = "sftp")]
    pub sftp: crate::SftpSettings,
}

/// The secret from which a wallet's identity in a cloud follows. Clones share it; it is wiped when
/// the last one is dropped, and shown to nobody.
#[derive(Clone)]
pub struct CloudIdentity(Arc<Zeroizing<[u8; 32]>>);

impl CloudIdentity {
    /// Takes a copy of the secret.
    pub fn new(secret: &[u8; 32]) -> Self {
        Self(Arc::new(Zeroizing::new(*secret)))
    }

    /// The secret itself.
    #[cfg(any(feature = "ceramic", feature = "vss"))]
    pub(crate) fn expose(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Debug for CloudIdentity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CloudIdentity")
    }
}

/// Where the passwords and keys of clouds come from: from variables, by default those of the
/// environment, and from the files where the tools of each service keep theirs.
///
/// For each variable `NAME`, `NAME_FILE` may name a file that holds the secret instead.
#[derive(Clone)]
pub struct Secrets(Arc<Variables>);

type Variables = dyn Fn(&str) -> Option<String> + Send + Sync;

/// A password, key or token. Wiped when dropped, and shown to nobody.
pub(crate) struct Secret(Zeroizing<String>);

impl Secrets {
    /// Asks `variable` instead of the environment. `HOME` is asked for, too: the usual files of
    /// each service lie below it.
    pub fn new(variable: impl Fn(&str) -> Option<String> + Send + Sync + 'static) -> Self {
        Self(Arc::new(variable))
    }

    /// A variable that is no secret.
    pub(crate) fn variable(&self, name: &str) -> Option<String> {
        (self.0)(name).filter(|value| !value.is_empty())
    }

    /// A secret by the name of its variable, or from the file that `NAME_FILE` names.
    pub(crate) fn secret(&self, name: &str) -> Result<Option<Secret>> {
        if let Some(value) = self.variable(name) {
            return Ok(Some(Secret::new(value)));
        }
        let Some(file) = self.variable(&format!("{name}_FILE")) else { return Ok(None) };
        let path = Path::new(&file);
        match self.file(path)? {
            Some(text) => Ok(Some(Secret::new(text.expose().trim_end_matches(['\r', '\n'])))),
            None => Err(missing(path)),
        }
    }

    /// A file of secrets, or `None` if there is none.
    pub(crate) fn file(&self, path: &Path) -> Result<Option<Secret>> {
        match fs::read_to_string(path) {
            Ok(text) => Ok(Some(Secret::new(text))),
            Err(e) if e.kind() == ErrorKind::NotFound => Ok(None),
            Err(e) => {
                let source = boxed(format!("cannot read {}: {e}", path.display()));
                Err(CloudError::Unauthorized { source })
            }
        }
    }

    /// A file below the user's folder, where a tool keeps its settings.
    pub(crate) fn at_home(&self, path: &str) -> Option<PathBuf> {
        let home = self.variable("HOME").or_else(|| self.variable("USERPROFILE"))?;
        Some(Path::new(&home).join(path))
    }
}

impl Default for Secrets {
    /// The environment.
    fn default() -> Self {
        Self::new(|name| env::var(name).ok())
    }
}

impl fmt::Debug for Secrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secrets")
    }
}

impl Secret {
    pub(crate) fn new(text: impl Into<String>) -> Self {
        Self(Zeroizing::new(text.into()))
    }

    /// The value of the header by which a user with a password signs in (`Basic`, RFC 7617).
    pub(crate) fn basic(user: &str, password: &Self) -> Self {
        let pair = Zeroizing::new(format!("{user}:{}", password.expose()));
        Self::new(format!("Basic {}", data_encoding::BASE64.encode(pair.as_bytes())))
    }

    /// The secret itself.
    pub(crate) fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret")
    }
}

/// There are no credentials for a service; `how` says where they are looked for.
pub(crate) fn no_credentials(how: &str) -> CloudError {
    CloudError::Unauthorized { source: boxed(format!("no credentials: {how}")) }
}

fn missing(path: &Path) -> CloudError {
    no_credentials(&format!("there is no file {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn from(variables: &'static [(&'static str, &'static str)]) -> Secrets {
        Secrets::new(move |name| {
            variables.iter().find(|(n, _)| *n == name).map(|(_, value)| (*value).to_owned())
        })
    }

    #[test]
    fn a_secret_comes_from_a_variable_or_a_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("secret");
        fs::write(&path, "from the file\n").unwrap();
        let file = path.display().to_string();
        let secrets = Secrets::new(move |name| (name == "A_FILE").then(|| file.clone()));
        assert_eq!(secrets.secret("A").unwrap().unwrap().expose(), "from the file");
        assert!(secrets.secret("B").unwrap().is_none());
        let both = from(&[("A", "from the variable"), ("A_FILE", "nowhere")]);
        assert_eq!(both.secret("A").unwrap().unwrap().expose(), "from the variable");
        let gone = from(&[("A_FILE", "nowhere/at/all")]);
        assert!(gone.secret("A").unwrap_err().to_string().contains("refused access"));
    }

    #[test]
    fn secrets_are_shown_to_nobody() {
        let secrets = from(&[("A", "hunter2hunter2")]);
        let secret = secrets.secret("A").unwrap();
        assert_eq!(format!("{secrets:?} {secret:?}"), "Secrets Some(Secret)");
    }
}
