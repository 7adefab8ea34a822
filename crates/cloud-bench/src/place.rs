//! The service in this process, and the line to it.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use bench_report::Result;
use cloud::{
    Access, CloudBackend, CloudUrl, Secrets, open_cloud_with,
    testing::{FakeBucket, FakeServer, Line, Trouble},
};

/// What the service gives in a page of a listing.
const PAGE: usize = 1000;

/// A bucket in memory behind HTTP, a line to it, and how many requests have come.
#[derive(Debug)]
pub(crate) struct Place {
    _server: FakeServer,
    line: Line,
    requests: Arc<AtomicU64>,
}

impl Place {
    pub(crate) fn new() -> Result<Self> {
        let requests: Arc<AtomicU64> = Arc::default();
        let (bucket, count) = (FakeBucket::new(PAGE), requests.clone());
        let server = FakeServer::start(move |request| {
            count.fetch_add(1, Relaxed);
            bucket.answer(&request)
        })?;
        let line = Line::to(server.address())?;
        Ok(Self { _server: server, line, requests })
    }

    /// The bucket as a cloud, with connections of its own.
    pub(crate) async fn cloud(&self) -> Result<Arc<dyn CloudBackend>> {
        let (bucket, at) = (FakeBucket::NAME, self.line.address());
        let url = CloudUrl::parse(&format!("gs://{bucket}/wallet?endpoint=http://{at}"))?;
        let mut access = Access::default();
        access.secrets = Secrets::new(|name| {
            (name == "GOOGLE_BEARER_TOKEN").then(|| FakeBucket::TOKEN.to_owned())
        });
        Ok(open_cloud_with(&url, &access).await?)
    }

    /// From now on each request takes so much longer.
    pub(crate) fn is_far(&self, latency: Duration) {
        self.line.set(Trouble::Far(latency));
    }

    /// From now on none does.
    pub(crate) fn is_near(&self) {
        self.line.mend();
    }

    /// How many requests have come since this was asked last.
    pub(crate) fn take_requests(&self) -> u64 {
        self.requests.swap(0, Relaxed)
    }
}
