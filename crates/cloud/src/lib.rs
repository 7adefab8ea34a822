//! Clouds: where sealed backups are put and polled.
#![doc = include_str!("../README.md")]

mod access;
#[cfg(feature = "address")]
mod address;
mod backend;
mod check;
mod dir;
mod error;
mod fetch;
#[cfg(feature = "http")]
mod http;
mod layout;
mod mem;
mod page;
mod probe;
mod progress;
mod repository;
mod retry;
#[cfg(feature = "address")]
mod services;
#[cfg(feature = "testing")]
pub mod testing;
mod url;

pub use access::{Access, CloudIdentity, Secrets};
pub use backend::{CloudBackend, Limits, ObjectMeta, PutMode, Tag};
pub use backup::{BadObjectName, ObjectName, Sealed};
pub use check::{Check, CheckStep, check};
pub use dir::DirCloud;
pub use error::{CloudError, Result};
pub use fetch::{FetchMany, fetch, fetch_many};
#[cfg(feature = "http")]
pub use http::HttpSettings;
pub use mem::MemCloud;
pub use probe::{Probe, probe};
pub use progress::Progress;
pub use repository::{PutOutcome, poll_backups, put_backup};
pub use retry::{RetrySettings, Retrying};
#[cfg(feature = "ceramic")]
pub use services::CeramicCloud;
#[cfg(feature = "sftp")]
pub use services::SftpSettings;
pub use url::{
    BadCloudUrl, CloudUrl, open_cloud, open_cloud_with, open_existing_cloud,
    open_existing_cloud_with, open_known_cloud_with,
};
