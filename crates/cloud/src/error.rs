//! Errors, one variant per different reaction of the caller.

use std::time::Duration;

use backup::ObjectName;
use kv_core::BoxError;

/// A result with this crate's [`CloudError`].
pub type Result<T, E = CloudError> = std::result::Result<T, E>;

/// Why a cloud did not do what was asked. No variant carries a credential or an object's bytes.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum CloudError {
    /// The cloud could not be reached or is busy; whether the call had an effect is unknown.
    /// Try again later, as [`Retrying`](crate::Retrying) does.
    #[error("cloud is unreachable")]
    Unavailable {
        /// What went wrong.
        source: BoxError,
        /// How long the service asks to wait.
        retry_after: Option<Duration>,
    },
    /// The cloud does not let us do this. Ask the user to sign in again, or to allow reading and
    /// writing (for a folder: its permissions, or a medium that is mounted read-only).
    #[error("cloud refused access")]
    Unauthorized {
        /// What the service said.
        source: BoxError,
    },
    /// The cloud has no room left. Ask the user to free or buy space; nothing is lost meanwhile.
    #[error("cloud is full")]
    Full {
        /// What the service said.
        source: BoxError,
    },
    /// The condition of the put does not hold, and nothing was changed. Read the object and decide.
    #[error("{name}: another version is there")]
    Conflict {
        /// The object.
        name: ObjectName,
    },
    /// There is no such object. List again; if a head named it, restore from another cloud.
    #[error("{name}: not found")]
    NotFound {
        /// The object.
        name: ObjectName,
    },
    /// The object is not what its name stands for. Skip it and report it.
    #[error("{name}: content does not match its name")]
    Damaged {
        /// The object.
        name: ObjectName,
    },
    /// The cloud cannot keep this object, by its size or name; nothing was changed. Trying again
    /// does not help: use smaller objects or another cloud.
    #[error("{name}: cloud cannot keep this object")]
    Refused {
        /// The object.
        name: ObjectName,
        /// What is wrong with it.
        source: BoxError,
    },
    /// The service lacks or breaks something that backups need. Upgrade the service, or ask the
    /// user for another cloud.
    #[error("cloud does not do what backups need")]
    TooOld {
        /// What it does not do.
        source: BoxError,
    },
    /// The address does not lead to a cloud. Ask the user for another address.
    #[error("not the address of a cloud")]
    BadAddress {
        /// What is wrong with it.
        source: BoxError,
    },
}

impl CloudError {
    /// Whether trying again later may help, without anybody doing anything.
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::Unavailable { .. })
    }

    /// Unreachable, without a wish how long to wait.
    pub fn unavailable(source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self::Unavailable { source: boxed(source), retry_after: None }
    }
}

/// An error of any kind, as the variants carry it.
pub(crate) fn boxed(source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> BoxError {
    BoxError::from(source.into())
}
