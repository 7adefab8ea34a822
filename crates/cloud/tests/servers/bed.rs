//! A real server behind a line, as the conformance suite wants it.

use std::{
    collections::BTreeMap,
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
    /// The variables that make wrong credentials of them.
    wrong: BTreeMap<String, String>,
}

/// Opens clouds on one server, below a prefix of their own: so each finds an empty cloud.
pub(crate) struct Bed {
    server: Arc<Server>,
    line: Line,
    fresh: String,
}

impl Bed {
    pub(crate) fn new(server: &Arc<Server>) -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let fresh = format!("bed-{}-{number}", std::process::id());
        Self { server: server.clone(), line: Line::to(server.address).unwrap(), fresh }
    }

    fn open(&self, url: &str, variables: BTreeMap<String, String>) -> Arc<dyn CloudBackend> {
        let line = self.line.address().to_string();
        let url = url.replace("{line}", &line).replace("{fresh}", &self.fresh);
        let mut access = Access::default();
        access.secrets = Secrets::new(move |name| variables.get(name).cloned());
        // Enough for a server on a busy machine, and short enough to wait for on a dead line.
        access.http.idle_timeout = Duration::from_secs(6);
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
        variables.extend(self.server.wrong.clone());
        Some(self.open(&self.server.url, variables))
    }

    fn open_missing(&self) -> Option<Arc<dyn CloudBackend>> {
        let url = self.server.missing.as_ref()?;
        Some(self.open(url, self.server.variables.clone()))
    }
}
