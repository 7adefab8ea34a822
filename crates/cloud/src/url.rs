//! Addresses of clouds, as a user writes them.

use std::{
    fmt,
    path::{Path, PathBuf},
    sync::Arc,
};

use crate::{Access, CloudBackend, DirCloud, Result, dir::Expected};
#[cfg(feature = "address")]
use crate::{address::Address, services};

/// The address of a cloud: `dir:PATH`, a folder, or that of a service, such as
/// `s3://BUCKET/PREFIX?region=..`, if the feature of that service is on.
///
/// A relative path is resolved when the address is parsed, so that a stored address leads to the
/// same place from everywhere. An address holds no secret: one with a password is refused.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct CloudUrl(Place);

#[derive(Clone, PartialEq, Eq, Hash)]
enum Place {
    Dir(PathBuf),
    #[cfg(feature = "address")]
    Service(Address),
}

/// An address cannot be understood. Show the message to the user and ask for another address.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BadCloudUrl {
    /// It does not begin with the kind of cloud.
    #[error("the address must begin with the kind of cloud, as in dir:PATH")]
    NoScheme,
    /// This kind of cloud is not known. (The rest of the address may hold a password and is not
    /// repeated.)
    #[error("unknown kind of cloud \"{scheme}:\", this version supports {}", supported())]
    UnknownScheme {
        /// The kind.
        scheme: String,
    },
    /// The path of a folder is missing or cannot be resolved.
    #[error("the address needs the path of a folder, as in dir:PATH")]
    NoPath,
    /// The address does not have the parts it needs.
    #[error("the address is not understood: {why}")]
    NotUnderstood {
        /// What is wrong with it.
        why: String,
    },
    /// The service has no such option.
    #[error("the address has the option \"{name}\", but this kind of cloud knows only {known}")]
    UnknownOption {
        /// The option.
        name: String,
        /// All there are.
        known: String,
    },
    /// Addresses are stored and shown; secrets do not belong there.
    #[error(
        "the address holds {what}: put it into the environment or a file instead, \
         the book tells for each kind of cloud where"
    )]
    HoldsSecret {
        /// What it holds.
        what: &'static str,
    },
}

impl CloudUrl {
    /// Understands an address; nothing is opened.
    pub fn parse(url: &str) -> Result<Self, BadCloudUrl> {
        let (scheme, rest) = url.split_once(':').ok_or(BadCloudUrl::NoScheme)?;
        // A scheme of one letter is a drive of Windows.
        if scheme.len() < 2
            || scheme.len() > 16
            || !scheme.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'+')
        {
            return Err(BadCloudUrl::NoScheme);
        }
        if scheme == "dir" {
            let path = std::path::absolute(rest).map_err(|_| BadCloudUrl::NoPath)?;
            return Ok(Self(Place::Dir(path)));
        }
        #[cfg(feature = "address")]
        if let Some(service) = services::ALL.iter().find(|s| s.schemes.contains(&scheme)) {
            return Ok(Self(Place::Service((service.parse)(url)?)));
        }
        Err(BadCloudUrl::UnknownScheme { scheme: scheme.to_owned() })
    }

    /// The kinds of clouds of this build: what each is, and an address as a user might write it.
    pub fn kinds() -> Vec<(&'static str, &'static str)> {
        #[cfg(feature = "address")]
        let services = services::ALL.iter().map(|service| (service.name, service.example));
        #[cfg(not(feature = "address"))]
        let services = std::iter::empty();
        [("a folder", "dir:PATH")].into_iter().chain(services).collect()
    }

    /// The folder, if it is the address of one.
    pub fn folder(&self) -> Option<&Path> {
        match &self.0 {
            Place::Dir(path) => Some(path),
            #[cfg(feature = "address")]
            Place::Service(_) => None,
        }
    }

    /// Whether the wallet's own key takes the place of an account there: then
    /// [`Access::identity`] is needed to open it.
    pub fn needs_identity(&self) -> bool {
        match &self.0 {
            Place::Dir(_) => false,
            #[cfg(feature = "address")]
            Place::Service(address) => {
                services::of(address).is_some_and(|service| service.needs_identity)
            }
        }
    }
}

/// The kinds of clouds of this build, as examples of addresses.
fn supported() -> String {
    let kinds = CloudUrl::kinds();
    kinds.iter().map(|(_, example)| *example).collect::<Vec<_>>().join(", ")
}

/// The address in the form that [`CloudUrl::parse`] takes.
impl fmt::Display for CloudUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Place::Dir(path) => write!(f, "dir:{}", path.display()),
            #[cfg(feature = "address")]
            Place::Service(address) => write!(f, "{address}"),
        }
    }
}

impl fmt::Debug for CloudUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Opens the cloud at an address with the secrets of the environment, without retries (see
/// [`Retrying`](crate::Retrying)). A folder is made if it is not there, and what it lies in is not.
pub async fn open_cloud(url: &CloudUrl) -> Result<Arc<dyn CloudBackend>> {
    open_cloud_with(url, &Access::default()).await
}

/// As [`open_cloud`], with secrets and settings of the caller's.
pub async fn open_cloud_with(url: &CloudUrl, access: &Access) -> Result<Arc<dyn CloudBackend>> {
    open(url, access, Expected::Nothing).await
}

/// As [`open_cloud`], for reading what is there: a folder that does not exist is
/// [`CloudError::BadAddress`](crate::CloudError::BadAddress) and is not made, so a typing error is not taken for an empty cloud.
/// Nothing is made in one that does exist before something is put.
pub async fn open_existing_cloud(url: &CloudUrl) -> Result<Arc<dyn CloudBackend>> {
    open_existing_cloud_with(url, &Access::default()).await
}

/// As [`open_existing_cloud`], with secrets and settings of the caller's.
pub async fn open_existing_cloud_with(
    url: &CloudUrl,
    access: &Access,
) -> Result<Arc<dyn CloudBackend>> {
    open(url, access, Expected::Folder).await
}

/// As [`open_cloud_with`], where backups were put before: a folder in which there are none is that of
/// a medium which is not there now, [`CloudError::Unavailable`](crate::CloudError::Unavailable). It
/// is not made anew, because that would be on this device's own disk.
pub async fn open_known_cloud_with(
    url: &CloudUrl,
    access: &Access,
) -> Result<Arc<dyn CloudBackend>> {
    open(url, access, Expected::Ours).await
}

async fn open(
    url: &CloudUrl,
    access: &Access,
    expected: Expected,
) -> Result<Arc<dyn CloudBackend>> {
    // A folder needs none of it.
    let _ = access;
    match &url.0 {
        Place::Dir(path) => Ok(Arc::new(DirCloud::open_blocking(path.clone(), expected).await?)),
        // Services make no bucket, and a folder on a server only with the first object in it.
        #[cfg(feature = "address")]
        Place::Service(address) => open_service(address, access).await,
    }
}

#[cfg(feature = "address")]
async fn open_service(address: &Address, access: &Access) -> Result<Arc<dyn CloudBackend>> {
    match services::of(address) {
        Some(service) => (service.open)(address, access).await,
        None => Err(crate::address::bad("no service of this build has addresses of this kind")),
    }
}

#[cfg(test)]
mod tests;
