//! The one HTTP stack below all services that speak HTTP.
//!
//! It knows time limits, proxies, certificates and how an answer becomes an error by reaction. It
//! does not retry: [`Retrying`](crate::Retrying) does, with jitter and a budget, and learns from
//! the errors made here how long a service asks to wait. No error and no `Debug` output of it holds
//! a credential.

#![cfg_attr(
    not(feature = "all"),
    allow(dead_code, reason = "each service uses a part of it, and none without one")
)]

mod body;
mod failure;
mod redact;
mod request;
mod settings;

use std::{fmt, sync::Arc};

pub(crate) use failure::Failure;
pub(crate) use request::{Answer, Request};
use reqwest::redirect;
pub(crate) use reqwest::{Method, Url};
pub use settings::HttpSettings;

use crate::{CloudError, Result, error::boxed};

/// What we call ourselves towards a service.
const USER_AGENT: &str = concat!("strongroom/", env!("CARGO_PKG_VERSION"));

/// A client with its connections. Clones share them; one per cloud, made once.
#[derive(Clone)]
pub(crate) struct Http {
    client: reqwest::Client,
    settings: Arc<HttpSettings>,
}

impl Http {
    /// A client for the services at `base`; an error says what is wrong with the settings.
    pub(crate) fn new(base: &Url, settings: &HttpSettings) -> Result<Self> {
        // Another one may be installed already, by the program we are in: then that one is used.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let bad = |e: reqwest::Error| CloudError::BadAddress { source: boxed(redact::chain(&e)) };
        let mut builder = reqwest::Client::builder()
            .user_agent(USER_AGENT)
            .connect_timeout(settings.connect_timeout)
            // A redirected request would carry what it holds to somebody we do not know, and a
            // signed one would not be valid there.
            .redirect(redirect::Policy::none())
            .tcp_nodelay(true);
        if let Some(proxy) = &settings.proxy {
            builder = builder.proxy(reqwest::Proxy::all(proxy).map_err(bad)?);
        }
        let needs_roots = base.scheme() == "https" || may_speak_tls(settings.proxy.as_deref());
        let roots = match &settings.roots {
            Some(pem) => reqwest::Certificate::from_pem_bundle(pem).map_err(bad)?,
            None => Vec::new(),
        };
        builder = if settings.only_these_roots || !needs_roots {
            // Without TLS nobody needs the system's certificates, which take time to read.
            builder.tls_certs_only(roots)
        } else {
            builder.tls_certs_merge(roots)
        };
        let client = builder.build().map_err(bad)?;
        Ok(Self { client, settings: Arc::new(settings.clone()) })
    }

    /// Begins a request.
    pub(crate) fn request(&self, method: Method, url: Url) -> Request<'_> {
        Request::new(self, method, url)
    }
}

/// Whether the proxy before a service without TLS is reached over TLS: the one that is set, or else
/// one of those that the environment names for such services.
fn may_speak_tls(proxy: Option<&str>) -> bool {
    let over_tls = |proxy: &str| {
        proxy.trim_start().get(..6).is_some_and(|scheme| scheme.eq_ignore_ascii_case("https:"))
    };
    match proxy {
        Some(proxy) => over_tls(proxy),
        None => ["http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"]
            .iter()
            .any(|name| std::env::var(name).is_ok_and(|proxy| over_tls(&proxy))),
    }
}

impl fmt::Debug for Http {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Http({:?})", self.settings)
    }
}
