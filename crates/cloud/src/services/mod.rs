//! The services, one module and one cargo feature each, and the table of those in this build.

#![cfg_attr(
    not(feature = "all"),
    allow(dead_code, reason = "each service uses a part of it, and none without one")
)]

#[cfg(feature = "azure")]
mod azure;
#[cfg(feature = "ceramic")]
mod ceramic;
#[cfg(feature = "dropbox")]
mod dropbox;
#[cfg(feature = "gcs")]
mod gcs;
#[cfg(feature = "gdrive")]
mod gdrive;
#[cfg(feature = "ipfs")]
mod ipfs;
#[cfg(any(feature = "ipfs", feature = "sftp", feature = "webdav"))]
mod leftovers;
#[cfg(any(feature = "dropbox", feature = "gdrive"))]
mod oauth;
#[cfg(feature = "object-store")]
mod objects;
#[cfg(any(feature = "dropbox", feature = "gdrive", feature = "vss"))]
mod pages;
#[cfg(feature = "s3")]
mod s3;
#[cfg(feature = "sftp")]
mod sftp;
#[cfg(feature = "vss")]
mod vss;
#[cfg(feature = "webdav")]
mod webdav;

use std::{pin::Pin, sync::Arc};

#[cfg(feature = "ceramic")]
pub use ceramic::CeramicCloud;
#[cfg(feature = "sftp")]
pub use sftp::SftpSettings;

use crate::{Access, BadCloudUrl, CloudBackend, CloudError, Result, address::Address};

/// A kind of cloud that has addresses.
pub(crate) struct Service {
    /// What people call it.
    pub(crate) name: &'static str,
    /// How its addresses begin, before `:`.
    pub(crate) schemes: &'static [&'static str],
    /// An address as a user might write it, for messages.
    pub(crate) example: &'static str,
    /// Whether the wallet's own key takes the place of an account.
    pub(crate) needs_identity: bool,
    /// Splits and checks an address; nothing is opened.
    pub(crate) parse: fn(&str) -> Result<Address, BadCloudUrl>,
    /// Opens the cloud at a checked address.
    pub(crate) open: for<'a> fn(&'a Address, &'a Access) -> Opening<'a>,
}

/// A cloud on its way.
pub(crate) type Opening<'a> =
    Pin<Box<dyn Future<Output = Result<Arc<dyn CloudBackend>>> + Send + 'a>>;

/// The services of this build.
pub(crate) const ALL: &[Service] = &[
    #[cfg(feature = "s3")]
    s3::SERVICE,
    #[cfg(feature = "gcs")]
    gcs::SERVICE,
    #[cfg(feature = "azure")]
    azure::SERVICE,
    #[cfg(feature = "webdav")]
    webdav::SERVICE,
    #[cfg(feature = "sftp")]
    sftp::SERVICE,
    #[cfg(feature = "dropbox")]
    dropbox::SERVICE,
    #[cfg(feature = "gdrive")]
    gdrive::SERVICE,
    #[cfg(feature = "ipfs")]
    ipfs::SERVICE,
    #[cfg(feature = "vss")]
    vss::SERVICE,
    #[cfg(feature = "ceramic")]
    ceramic::SERVICE,
];

/// The largest object of all services that are asked over a line: twice what a sealed object can
/// have. More is not read either, so that no service fills the memory.
pub(crate) const LARGEST_OBJECT: u64 = 128 << 20;

/// The longest answer that lists a whole folder at once.
pub(crate) const LONGEST_LISTING: u64 = 128 << 20;

/// What is said of a folder beyond that.
pub(crate) const TOO_MANY_FILES: &str = "a folder there holds more files than can be listed: remove what is not ours from it, or back up \
     to a new folder";

/// The service that an address belongs to.
pub(crate) fn of(address: &Address) -> Option<&'static Service> {
    ALL.iter().find(|service| service.schemes.contains(&address.scheme()))
}

/// A name that nobody else makes.
pub(crate) fn random_name() -> Result<String> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes)
        .map_err(|_| CloudError::unavailable("the system has no randomness"))?;
    Ok(data_encoding::HEXLOWER.encode(&bytes))
}
