//! A real server behind a line, as the conformance suite wants it.

use std::{
    collections::BTreeMap,
    fs,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll, Waker},
    time::Duration,
};

use async_trait::async_trait;
use cloud::{
    Access, CloudBackend, CloudUrl, Secrets, open_cloud_with,
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
        if let Some(key) = &server.host_key {
            let (host, port) = (line.address().ip(), line.address().port());
            fs::write(folder.path().join("known_hosts"), format!("[{host}]:{port} {key}\n"))
                .unwrap();
        }
        Self { server: server.clone(), line, fresh, folder }
    }

    fn open(&self, url: &str, variables: BTreeMap<String, String>) -> Arc<dyn CloudBackend> {
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
            Poll::Ready(cloud) => cloud.unwrap(),
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
