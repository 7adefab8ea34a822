//! Clouds: where sealed backups are put and polled.
#![doc = include_str!("../README.md")]

mod backend;
mod dir;
mod error;
mod fetch;
mod mem;
mod repository;
mod retry;
#[cfg(feature = "testing")]
pub mod testing;
mod url;

pub use backend::{CloudBackend, Limits, ObjectMeta, PutMode, Tag};
pub use backup::{BadObjectName, ObjectName, Sealed};
pub use dir::DirCloud;
pub use error::{CloudError, Result};
pub use fetch::{FetchMany, fetch, fetch_many};
pub use mem::MemCloud;
pub use repository::{PutOutcome, poll_backups, put_backup};
pub use retry::{RetrySettings, Retrying};
pub use url::{BadCloudUrl, CloudUrl, open_cloud, open_existing_cloud};
