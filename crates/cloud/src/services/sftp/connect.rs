//! From an address to a session: the connection, who the server is, who we are.

use std::{
    collections::HashMap,
    path::PathBuf,
    pin::pin,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use russh::{
    MethodKind, MethodSet, Preferred,
    client::{self, AuthResult, Handle},
    keys::{HashAlg, PrivateKeyWithHashAlg, PublicKeyOrCertificate},
};
use russh_sftp::client::{Config, RawSftpSession, error::Error as SftpError, rawsession::Limits};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    sync::Semaphore,
    time::{Instant, timeout, timeout_at},
};

use super::{
    SftpSettings,
    client::AT_ONCE,
    credentials::Credentials,
    error::{Failure, Kind},
    known_hosts::Known,
};
use crate::progress;

/// A single request is not waited for longer, whatever else is answered meanwhile.
const LONGEST_REQUEST: Duration = Duration::from_secs(3600);

/// Where to connect, and as whom.
pub(super) struct Place {
    pub(super) host: String,
    pub(super) port: u16,
    pub(super) user: String,
    pub(super) known_hosts: PathBuf,
    pub(super) credentials: Credentials,
    pub(super) settings: SftpSettings,
}

/// A session. It ends when dropped.
pub(super) struct Link {
    pub(super) sftp: RawSftpSession,
    /// What the server can do besides the protocol.
    pub(super) extensions: HashMap<String, String>,
    /// For the packets with data.
    pub(super) turns: Semaphore,
    /// How long the server may be silent while something is asked of it.
    patience: Duration,
    /// When it has answered last.
    answered: Mutex<Instant>,
    _ssh: Option<Handle<Client>>,
}

/// Makes sessions.
#[async_trait]
pub(super) trait Connect: Send + Sync {
    async fn connect(&self) -> Result<Link, Failure>;
}

/// Checks who the server is.
struct Client {
    known: Known,
}

/// Why there is no connection.
#[derive(Debug)]
enum Refusal {
    Ours(Failure),
    Ssh(russh::Error),
}

#[async_trait]
impl Connect for Place {
    /// Connects and signs in.
    async fn connect(&self) -> Result<Link, Failure> {
        let limit = self.settings.connect_timeout;
        match timeout(limit, self.try_to_connect()).await {
            Ok(link) => link,
            Err(_) => Err(Failure::new(Kind::Broken, format_args!("no session after {limit:?}"))),
        }
    }
}

impl Link {
    /// A session over a stream on which the server speaks SFTP. A request has failed once the server
    /// was silent for so many seconds.
    pub(super) async fn over(
        stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
        seconds: u64,
    ) -> Result<Self, Failure> {
        let longest = LONGEST_REQUEST.as_secs();
        let config = Config { request_timeout_secs: longest, ..Config::default() };
        let mut sftp = RawSftpSession::new_with_config(stream, config);
        let version = sftp.init().await?;
        if version.extensions.contains_key("limits@openssh.com") {
            sftp.set_limits(Limits::from(sftp.limits().await?));
        }
        let (turns, answered) = (Semaphore::new(AT_ONCE), Mutex::new(Instant::now()));
        let (extensions, patience) =
            (version.extensions, Duration::from_secs(seconds.min(longest)));
        Ok(Self { sftp, extensions, turns, patience, answered, _ssh: None })
    }

    /// Waits for the answer to a request. On a slow line it may have many others before it: as long as
    /// those are answered, the line is not dead.
    pub(super) async fn answer<T>(
        &self,
        request: impl Future<Output = Result<T, SftpError>>,
    ) -> Result<T, SftpError> {
        let answered = || *self.answered.lock().unwrap_or_else(PoisonError::into_inner);
        let (mut request, began) = (pin!(request), Instant::now());
        loop {
            let due = began.max(answered()) + self.patience;
            match timeout_at(due, &mut request).await {
                Ok(answer) => {
                    *self.answered.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
                    progress::note();
                    return answer;
                }
                Err(_) if answered() + self.patience > due => {}
                Err(_) => return Err(SftpError::Timeout),
            }
        }
    }
}

impl Place {
    async fn try_to_connect(&self) -> Result<Link, Failure> {
        let known = Known::read(&self.known_hosts, &self.host, self.port)?;
        let preferred = Preferred { key: known.algorithms().into(), ..Preferred::DEFAULT };
        let config = client::Config { preferred, nodelay: true, ..client::Config::default() };
        let to = (self.host.as_str(), self.port);
        let mut ssh = client::connect(Arc::new(config), to, Client { known }).await?;
        self.sign_in(&mut ssh).await?;
        let channel = ssh.channel_open_session().await.map_err(broken)?;
        channel.request_subsystem(true, "sftp").await.map_err(broken)?;
        let seconds = self.settings.idle_timeout.as_secs().max(1);
        let link = Link::over(channel.into_stream(), seconds).await?;
        Ok(Link { _ssh: Some(ssh), ..link })
    }

    async fn sign_in(&self, ssh: &mut Handle<Client>) -> Result<(), Failure> {
        let user = self.user.as_str();
        let mut asked = None;
        for key in &self.credentials.keys {
            let hash = rsa_hash(ssh, key.algorithm().is_rsa()).await?;
            let key = PrivateKeyWithHashAlg::new(key.clone(), hash);
            match ssh.authenticate_publickey(user, key).await.map_err(broken)? {
                AuthResult::Success => return Ok(()),
                AuthResult::Failure { remaining_methods, .. } => asked = Some(remaining_methods),
            }
        }
        if let Some(password) = &self.credentials.password {
            match ssh.authenticate_password(user, password.expose()).await.map_err(broken)? {
                AuthResult::Success => return Ok(()),
                AuthResult::Failure { remaining_methods, .. } => asked = Some(remaining_methods),
            }
        }
        if self.ask_agent(ssh, &mut asked).await? {
            return Ok(());
        }
        Err(self.not_let_in(asked.as_ref()))
    }

    /// What was tried, and what the server would take instead.
    fn not_let_in(&self, takes: Option<&MethodSet>) -> Failure {
        let takes: Vec<&str> =
            takes.into_iter().flat_map(|methods| methods.iter()).map(name).collect();
        let mut why = format!("{} does not let {} in with what there is", self.host, self.user);
        if !takes.is_empty() {
            why.push_str("; it takes: ");
            why.push_str(&takes.join(", "));
        }
        if self.credentials.password.is_some() && !takes.contains(&"password") {
            why.push_str("; it takes no password but what is typed at a prompt: use a key");
        }
        for unused in &self.credentials.unused {
            why.push_str("; ");
            why.push_str(unused);
        }
        Failure::new(Kind::NotAllowed, why)
    }

    /// Tries the keys of the agent. One that does not answer has none.
    #[cfg(unix)]
    async fn ask_agent(
        &self,
        ssh: &mut Handle<Client>,
        asked: &mut Option<MethodSet>,
    ) -> Result<bool, Failure> {
        use russh::keys::agent::{AgentIdentity, client::AgentClient};

        let Some(path) = &self.credentials.agent else { return Ok(false) };
        let Ok(mut agent) = AgentClient::connect_uds(path).await else { return Ok(false) };
        let identities = agent.request_identities().await.unwrap_or_default();
        for identity in identities {
            let AgentIdentity::PublicKey { key, .. } = identity else { continue };
            let hash = rsa_hash(ssh, key.algorithm().is_rsa()).await?;
            let user = self.user.as_str();
            match ssh.authenticate_publickey_with(user, key, hash, &mut agent).await {
                Ok(AuthResult::Success) => return Ok(true),
                Ok(AuthResult::Failure { remaining_methods, .. }) => {
                    *asked = Some(remaining_methods);
                }
                // An agent may also refuse to sign with one of its keys.
                Err(_) => {}
            }
        }
        Ok(false)
    }

    #[cfg(not(unix))]
    async fn ask_agent(
        &self,
        _: &mut Handle<Client>,
        _: &mut Option<MethodSet>,
    ) -> Result<bool, Failure> {
        let _ = &self.credentials.agent;
        Ok(false)
    }
}

/// How an RSA key signs: SHA-1 is refused by most servers, and by us.
async fn rsa_hash(ssh: &Handle<Client>, is_rsa: bool) -> Result<Option<HashAlg>, Failure> {
    if !is_rsa {
        return Ok(None);
    }
    let best = ssh.best_supported_rsa_hash().await.map_err(broken)?;
    Ok(best.flatten().or(Some(HashAlg::Sha256)))
}

fn name(method: &MethodKind) -> &'static str {
    method.into()
}

impl client::Handler for Client {
    type Error = Refusal;

    async fn check_server_key(&mut self, shown: &PublicKeyOrCertificate) -> Result<bool, Refusal> {
        match shown {
            PublicKeyOrCertificate::PublicKey { key, .. } => {
                self.known.check(key).map_err(Refusal::Ours)?;
                Ok(true)
            }
            // None was asked for.
            PublicKeyOrCertificate::Certificate(_) => Ok(false),
        }
    }
}

impl From<russh::Error> for Refusal {
    fn from(error: russh::Error) -> Self {
        Self::Ssh(error)
    }
}

impl From<Refusal> for Failure {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Ours(failure) => failure,
            Refusal::Ssh(
                error @ (russh::Error::NoCommonAlgo { .. } | russh::Error::UnknownKey),
            ) => Self::new(Kind::NotTrusted, error),
            Refusal::Ssh(error) => broken(error),
        }
    }
}

fn broken(error: russh::Error) -> Failure {
    Failure::new(Kind::Broken, error)
}
