//! What goes wrong, as errors of the contract.

use std::{io, sync::Arc};

use kv_core::{Error, Operation};
use rusqlite::ErrorCode;

/// How this store is called in errors and reports.
pub(crate) const STORE: &str = "sqlite";

/// For `map_err`: what SQLite says.
pub(crate) fn sql(during: Operation) -> impl Fn(rusqlite::Error) -> Error {
    move |source| match source.sqlite_error_code() {
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => corrupt(source),
        Some(ErrorCode::DiskFull) => Error::Full { store: STORE },
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => Error::InUse { store: STORE },
        Some(ErrorCode::ReadOnly | ErrorCode::PermissionDenied) => {
            let source = io::Error::new(io::ErrorKind::PermissionDenied, source);
            Error::io(STORE, during, source)
        }
        Some(_) => Error::io(STORE, during, io::Error::other(source)),
        // A column is not of the type the table asks for.
        None => corrupt(source),
    }
}

/// A failure after which the fate of a batch is unknown. Never typed as a full disk, which would
/// read as a refusal.
pub(crate) fn unknown(during: Operation) -> impl Fn(rusqlite::Error) -> Error {
    move |source| match sql(during)(source) {
        Error::Full { .. } => {
            let source = io::Error::new(io::ErrorKind::StorageFull, "the disk is full");
            Error::Io { store: STORE, during, source: Arc::new(source) }
        }
        other => other,
    }
}

/// For `map_err`: a failure of the operating system.
pub(crate) fn io(during: Operation) -> impl Fn(io::Error) -> Error {
    move |source| Error::io(STORE, during, source)
}

pub(crate) fn corrupt(what: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Error {
    Error::corrupt(STORE, what)
}

pub(crate) fn full() -> Error {
    Error::Full { store: STORE }
}

pub(crate) fn closed() -> Error {
    Error::Closed { store: STORE }
}

pub(crate) fn poisoned() -> Error {
    Error::Poisoned { store: STORE }
}
