//! A fake server behind a line, as the conformance suite wants it.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use async_trait::async_trait;
use cloud::{
    Access, CloudBackend, CloudUrl, Secrets, open_cloud_with,
    testing::{FakeAnswer, FakeRequest, FakeServer, Line, Testbed, conformance::RemoteBed},
};

/// Opens clouds over a line to a fake.
pub(crate) struct FakeBed {
    _server: FakeServer,
    line: Line,
    /// With `{line}` where the address of the line goes.
    url: &'static str,
    missing: Option<&'static str>,
    variables: BTreeMap<&'static str, String>,
    wrong: BTreeMap<&'static str, String>,
}

impl FakeBed {
    pub(crate) fn new(
        url: &'static str,
        missing: impl Into<Option<&'static str>>,
        handler: impl Fn(FakeRequest) -> FakeAnswer + Send + Sync + 'static,
    ) -> Self {
        let server = FakeServer::start(handler).unwrap();
        let line = Line::to(server.address()).unwrap();
        let (variables, wrong) = Default::default();
        Self { _server: server, line, url, missing: missing.into(), variables, wrong }
    }

    /// A variable with its value, and with a wrong one.
    pub(crate) fn secret(mut self, name: &'static str, value: &str, wrong: &str) -> Self {
        self.variables.insert(name, value.to_owned());
        self.wrong.insert(name, wrong.to_owned());
        self
    }

    fn open_at(
        &self,
        url: &str,
        variables: &BTreeMap<&'static str, String>,
    ) -> Arc<dyn CloudBackend> {
        let url = url.replace("{line}", &self.line.address().to_string());
        open(&url, variables.clone())
    }
}

impl Testbed for FakeBed {
    fn open(&self) -> Arc<dyn CloudBackend> {
        self.open_at(self.url, &self.variables)
    }
}

#[async_trait]
impl RemoteBed for FakeBed {
    fn line(&self) -> &Line {
        &self.line
    }

    fn open_with_wrong_credentials(&self) -> Option<Arc<dyn CloudBackend>> {
        Some(self.open_at(self.url, &self.wrong))
    }

    fn open_missing(&self) -> Option<Arc<dyn CloudBackend>> {
        Some(self.open_at(self.missing?, &self.variables))
    }
}

/// Opens a cloud that gives up soon. Opening does not ask the service, so it need not be waited for.
pub(crate) fn open(url: &str, variables: BTreeMap<&'static str, String>) -> Arc<dyn CloudBackend> {
    let mut access = Access::default();
    access.secrets = Secrets::new(move |name| variables.get(name).cloned());
    access.http.idle_timeout = Duration::from_millis(500);
    let url = CloudUrl::parse(url).unwrap();
    let opening = std::pin::pin!(open_cloud_with(&url, &access));
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    match opening.poll(&mut context) {
        std::task::Poll::Ready(cloud) => cloud.unwrap(),
        std::task::Poll::Pending => panic!("opening waits for something"),
    }
}
