//! The contract every Strongroom store keeps: names, batches, commits, errors and nine laws.
#![doc = include_str!("../README.md")]

mod batch;
mod capability;
mod clock;
mod commit;
#[cfg(feature = "copy")]
mod copy;
mod error;
mod name;
mod store;
#[cfg(feature = "testing")]
pub mod testing;
mod unsettled;
mod value;

pub use batch::{Batch, Change, Durability, Prepared};
pub use capability::{
    Capabilities, CreationOrder, CreationPage, Cursor, Finding, Footprint, Lag, Prepare, Progress,
    ReadMany, Replication, Report, Severity, Show, Size, Verify,
};
pub use clock::{Clock, Timestamp};
pub use commit::{Commit, Pending, Receipt};
#[cfg(feature = "copy")]
pub use copy::{Copied, CopyError, CopyProgress, Side, copy, copy_one_by_one, digest};
pub use error::{BoxError, Error, Operation, Result};
pub use name::{InvalidName, Key, MAX_NAME_LEN, Namespace, SortKey};
pub use store::{KvStore, KvStoreExt};
pub use unsettled::Unsettled;
pub use value::Value;
