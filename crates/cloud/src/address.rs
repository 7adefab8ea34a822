//! The address of a service in its parts: host, path, options.

#![cfg_attr(
    not(feature = "all"),
    allow(dead_code, reason = "each service uses a part of it, and none without one")
)]

use std::fmt;

use url::Url;

use crate::{BadCloudUrl, CloudError, Result, error::boxed};

/// Options that every service with HTTP takes.
#[cfg(feature = "http")]
const HTTP_OPTIONS: [&str; 2] = ["ca", "proxy"];

/// An address such as `s3://bucket/prefix?region=eu-central-1`, understood and without secrets.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(crate) struct Address(Url);

impl Address {
    /// Splits an address. `options` are those that the service knows.
    pub(crate) fn parse(text: &str, options: &[&str]) -> Result<Self, BadCloudUrl> {
        let url =
            Url::parse(text).map_err(|e| BadCloudUrl::NotUnderstood { why: e.to_string() })?;
        if url.password().is_some() {
            return Err(BadCloudUrl::HoldsSecret { what: "a password" });
        }
        for (name, value) in url.query_pairs() {
            if !options.contains(&&*name) {
                return Err(BadCloudUrl::UnknownOption {
                    name: name.into_owned(),
                    known: options.join(", "),
                });
            }
            // The address of a proxy or an endpoint.
            if Url::parse(&value).is_ok_and(|inner| inner.password().is_some()) {
                return Err(BadCloudUrl::HoldsSecret { what: "a password" });
            }
        }
        if url.fragment().is_some() {
            return Err(BadCloudUrl::NotUnderstood { why: "it has a part behind #".to_owned() });
        }
        Ok(Self(url))
    }

    /// The same, where it must have a bucket or a machine as this example does.
    pub(crate) fn parse_with_host(
        text: &str,
        options: &[&str],
        example: &str,
    ) -> Result<Self, BadCloudUrl> {
        let address = Self::parse(text, options)?;
        match address.host() {
            Some(_) => Ok(address),
            None => {
                let why = format!("it should look like {example}");
                Err(BadCloudUrl::NotUnderstood { why })
            }
        }
    }

    /// The kind of cloud.
    pub(crate) fn scheme(&self) -> &str {
        self.0.scheme()
    }

    /// The bucket, or the machine.
    pub(crate) fn host(&self) -> Option<&str> {
        self.0.host_str().filter(|host| !host.is_empty())
    }

    /// The port, if one is given.
    pub(crate) fn port(&self) -> Option<u16> {
        self.0.port()
    }

    /// The user, without percent signs.
    pub(crate) fn user(&self) -> Option<String> {
        let user = self.0.username();
        let decoded = percent_encoding::percent_decode_str(user).decode_utf8_lossy();
        (!user.is_empty()).then(|| decoded.into_owned())
    }

    /// The parts of the path, without percent signs and empty ones.
    pub(crate) fn path(&self) -> Vec<String> {
        let parts = self.0.path().split('/').filter(|part| !part.is_empty());
        let decode = |part| percent_encoding::percent_decode_str(part).decode_utf8_lossy();
        parts.map(|part| decode(part).into_owned()).collect()
    }

    /// An option behind the question mark.
    pub(crate) fn option(&self, name: &str) -> Option<String> {
        let mut pairs = self.0.query_pairs();
        pairs.find(|(n, _)| n == name).map(|(_, value)| value.into_owned())
    }

    /// As an address of HTTP, without user and options: what follows the plus sign of the scheme.
    #[cfg(feature = "http")]
    pub(crate) fn as_http(&self) -> Result<Url> {
        let scheme = self.scheme().split_once('+').map_or("https", |(_, scheme)| scheme);
        let host = self.0.host_str().unwrap_or_default();
        let port = self.0.port().map(|port| format!(":{port}")).unwrap_or_default();
        let text = format!("{scheme}://{host}{port}{}", self.0.path());
        Url::parse(&text).map_err(|e| bad(&e.to_string()))
    }

    /// Where the service is: what the option `endpoint` says, else the usual place.
    #[cfg(feature = "http")]
    pub(crate) fn endpoint(&self, usual: &str) -> Result<Url> {
        let given = self.option("endpoint");
        let text = given.as_deref().unwrap_or(usual);
        Url::parse(text).map_err(|_| bad("the endpoint is not an address of HTTP"))
    }

    /// The settings for HTTP: those given, and what the address says of a proxy and certificates.
    #[cfg(feature = "http")]
    pub(crate) fn http(&self, access: &crate::Access) -> Result<crate::HttpSettings> {
        let mut settings = access.http.clone();
        if let Some(proxy) = self.option("proxy") {
            settings.proxy = Some(proxy);
        }
        if let Some(path) = self.option("ca") {
            let pem = access.secrets.file(path.as_ref())?;
            let pem = pem.ok_or_else(|| bad(&format!("there is no file {path}")))?;
            settings.roots = Some(pem.expose().as_bytes().to_vec());
        }
        Ok(settings)
    }
}

/// The options of a service that speaks HTTP: its own, and those they all have.
#[cfg(feature = "http")]
pub(crate) fn with_http_options(own: &[&'static str]) -> Vec<&'static str> {
    own.iter().copied().chain(HTTP_OPTIONS).collect()
}

/// An address that looked right and leads nowhere.
pub(crate) fn bad(why: &str) -> CloudError {
    CloudError::BadAddress { source: boxed(why) }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}
