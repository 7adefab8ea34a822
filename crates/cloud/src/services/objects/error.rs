//! From what `object_store` says to what the caller should do.

use std::error::Error as _;

use backup::ObjectName;
use object_store::Error;

use crate::{CloudError, error::boxed, http::Failure};

/// What it means for a call about this object, or this prefix.
pub(super) fn about(error: Error, name: &ObjectName) -> CloudError {
    if let Some(failure) = failure(&error) {
        return failure.about(name);
    }
    let what = root(&error);
    match error {
        Error::PermissionDenied { .. } | Error::Unauthenticated { .. } => {
            CloudError::Unauthorized { source: boxed(what) }
        }
        Error::NotFound { .. } => CloudError::BadAddress { source: boxed(what) },
        Error::NotSupported { .. } | Error::NotImplemented { .. } => {
            CloudError::TooOld { source: boxed(what) }
        }
        Error::InvalidPath { .. } => {
            CloudError::Refused { name: name.clone(), source: boxed(what) }
        }
        _ => CloudError::unavailable(what),
    }
}

/// What it means before there is any object: wrong settings.
pub(in crate::services) fn of_settings(error: &Error) -> CloudError {
    CloudError::BadAddress { source: boxed(root(error)) }
}

/// Our own failure, below what the library put around it.
fn failure(error: &Error) -> Option<Failure> {
    let mut next = error.source();
    while let Some(error) = next {
        if let Some(failure) = error.downcast_ref::<Failure>() {
            return Some(failure.clone());
        }
        next = error.source();
    }
    None
}

/// The innermost cause. The texts around it repeat it, and the address of the request with it.
fn root(error: &Error) -> String {
    let mut innermost: &dyn std::error::Error = error;
    while let Some(next) = innermost.source() {
        innermost = next;
    }
    innermost.to_string()
}
