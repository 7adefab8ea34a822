//! What can be set about HTTP.

use std::{fmt, time::Duration};

/// How a cloud is reached over HTTP.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct HttpSettings {
    /// A connection that is not there after this time has failed. 10 s.
    pub connect_timeout: Duration,
    /// A request has failed when not a byte has moved for this long, up to twice this long. 30 s.
    /// What the system took from us and sends by itself is waited for in addition, as long as it
    /// takes on a line of 8 KiB a second.
    pub idle_timeout: Duration,
    /// A request has failed when it has not ended after this time and a second for each kilobyte
    /// that it has moved: as long as bytes move there is no other end. 10 minutes.
    pub total_timeout: Duration,
    /// The proxy, such as `http://user:password@host:3128`. Without one the environment says:
    /// `HTTPS_PROXY`, `HTTP_PROXY`, `ALL_PROXY`, `NO_PROXY`.
    pub proxy: Option<String>,
    /// Certificates of authorities to trust, as PEM.
    pub roots: Option<Vec<u8>>,
    /// Whether only [`roots`](Self::roots) are trusted, and not those of the system.
    pub only_these_roots: bool,
}

impl Default for HttpSettings {
    fn default() -> Self {
        Self {
            connect_timeout: Duration::from_secs(10),
            idle_timeout: Duration::from_secs(30),
            total_timeout: Duration::from_secs(600),
            proxy: None,
            roots: None,
            only_these_roots: false,
        }
    }
}

/// Without the proxy's address, which may hold a password.
impl fmt::Debug for HttpSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpSettings")
            .field("connect_timeout", &self.connect_timeout)
            .field("idle_timeout", &self.idle_timeout)
            .field("total_timeout", &self.total_timeout)
            .field("has_proxy", &self.proxy.is_some())
            .field("has_roots", &self.roots.is_some())
            .field("only_these_roots", &self.only_these_roots)
            .finish()
    }
}
