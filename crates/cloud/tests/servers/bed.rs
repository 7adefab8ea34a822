//! A real server behind a line, as the conformance suite wants it.

use std::{
    collections::BTreeMap,
    fs,
    net::SocketAddr,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll, Waker},
    time::Duration,
};

use async_trait::async_trait;
use cloud::{
    Access, CloudBackend, CloudUrl, Result, Secrets, open_cloud_with,
    testing::{Line, Testbed, conformance::RemoteBed},
};
use serde::Deserialize;

/// Where a server is. In addresses `{line}` stands for its host and port, `{fresh}` for a name that
/// no other bed has.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Server {
    address: SocketAddr,
    url: String,
    /// A bucket that is not there.
    missing: Option<String>,
    variables: BTreeMap<String, String>,
    /// The variables that make wrong credentials of them; none if the server asks nobody.
    wrong: Option<BTreeMap<String, String>>,
    /// The key that a server shows over SSH, as `known_hosts` has it.
    host_key: Option<String>,
    /// Files of keys, and the passphrase of those that have one.
    #[serde(default)]
    pub(crate) keys: BTreeMap<String, PathBuf>,
    pub(crate) passphrase: Option<String>,
}

impl Server {
    /// Whether there is anything to see: a server that asks nobody cannot refuse anybody.
    pub(crate) fn is_about(&self, law: &str) -> bool {
        match law {
            "wrong_credentials_are_told" => self.wrong.is_some(),
            "a_missing_bucket_is_not_an_empty_one" => self.missing.is_some(),
            _ => true,
        }
    }
}

/// Opens clouds on one server, below a prefix of their own: so each finds an empty cloud.
pub(crate) struct Bed {
    server: Arc<Server>,
    line: Line,
    fresh: String,
    /// Keeps `known_hosts`.
    folder: tempfile::TempDir,
}

impl Bed {
    pub(crate) fn new(server: &Arc<Server>) -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let fresh = format!("bed-{}-{number}", std::process::id());
        let line = Line::to(server.address).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let bed = Self { server: server.clone(), line, fresh, folder };
        if let Some(key) = &server.host_key {
            bed.note_host_key(key);
        }
        bed
    }

    /// Takes this for the key that the server shows; empty: the server is not known.
    pub(crate) fn note_host_key(&self, key: &str) {
        let (host, port) = (self.line.address().ip(), self.line.address().port());
        let line = if key.is_empty() { String::new() } else { format!("[{host}]:{port} {key}\n") };
        fs::write(self.folder.path().join("known_hosts"), line).unwrap();
    }

    /// With other variables than the server's own.
    pub(crate) fn try_open(
        &self,
        variables: BTreeMap<String, String>,
    ) -> Result<Arc<dyn CloudBackend>> {
        self.try_open_at(&self.server.url, variables)
    }

    fn open(&self, url: &str, variables: BTreeMap<String, String>) -> Arc<dyn CloudBackend> {
        self.try_open_at(url, variables).unwrap()
    }

    fn try_open_at(
        &self,
        url: &str,
        variables: BTreeMap<String, String>,
    ) -> Result<Arc<dyn CloudBackend>> {
        let line = self.line.address().to_string();
        let known_hosts = self.folder.path().join("known_hosts").display().to_string();
        let url = url.replace("{line}", &line).replace("{fresh}", &self.fresh);
        let url = url.replace("{known-hosts}", &known_hosts);
        let mut access = Access::default();
        access.secrets = Secrets::new(move |name| variables.get(name).cloned());
        // Enough for a server on a busy machine, and short enough to wait for on a dead line.
        access.http.idle_timeout = Duration::from_secs(6);
        access.sftp.connect_timeout = Duration::from_secs(6);
        access.sftp.idle_timeout = Duration::from_secs(6);
        let url = CloudUrl::parse(&url).unwrap();
        let opening = std::pin::pin!(open_cloud_with(&url, &access));
        match opening.poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(cloud) => cloud,
            Poll::Pending => panic!("opening waits for something"),
        }
    }
}

impl Testbed for Bed {
    fn open(&self) -> Arc<dyn CloudBackend> {
        self.open(&self.server.url, self.server.variables.clone())
    }
}

#[async_trait]
impl RemoteBed for Bed {
    fn line(&self) -> &Line {
        &self.line
    }

    fn open_with_wrong_credentials(&self) -> Option<Arc<dyn CloudBackend>> {
        let mut variables = self.server.variables.clone();
        variables.extend(self.server.wrong.clone()?);
        Some(self.open(&self.server.url, variables))
    }

    fn open_missing(&self) -> Option<Arc<dyn CloudBackend>> {
        let url = self.server.missing.as_ref()?;
        Some(self.open(url, self.server.variables.clone()))
    }
}
