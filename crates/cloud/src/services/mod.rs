//! The services, one module and one cargo feature each, and the table of those in this build.

#![cfg_attr(
    not(feature = "all"),
    allow(dead_code, reason = "each service uses a part of it, and none without one")
)]

#[cfg(feature = "azure")]
mod azure;
#[cfg(feature = "ceramic")]
mod ceramic;
#[cfg(feature = "gcs")]
mod gcs;
#[cfg(feature = "object-store")]
mod objects;
#[cfg(feature = "s3")]
mod s3;
#[cfg(feature = "webdav")]
mod webdav;

use std::{pin::Pin, sync::Arc};

#[cfg(feature = "ceramic")]
pub use ceramic::CeramicCloud;

use crate::{Access, BadCloudUrl, CloudBackend, Result, address::Address};

/// A kind of cloud that has addresses.
pub(crate) struct Service {
    /// How its addresses begin, before `:`.
    pub(crate) schemes: &'static [&'static str],
    /// An address as a user might write it, for messages.
    pub(crate) example: &'static str,
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
    #[cfg(feature = "ceramic")]
    ceramic::SERVICE,
];
