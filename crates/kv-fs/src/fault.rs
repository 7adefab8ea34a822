//! What goes wrong, as errors of the contract.

use std::{io, sync::Arc};

use kv_core::{Error, Operation};

/// How this store is called in errors and reports.
pub(crate) const STORE: &str = "fs";

/// For `map_err`: a failure of the operating system.
pub(crate) fn io(during: Operation) -> impl Fn(io::Error) -> Error {
    move |source| Error::io(STORE, during, source)
}

/// A failure after which the fate of a batch is unknown. Never typed as a full disk, which would
/// read as a refusal.
pub(crate) fn unknown(during: Operation, source: io::Error) -> Error {
    Error::Io { store: STORE, during, source: Arc::new(source) }
}

/// A part of the store has panicked, which is a bug of it: nothing is known of what it was about.
pub(crate) fn panicked(during: Operation) -> Error {
    unknown(during, panic())
}

/// As [`panicked`], for the part that talks to the disk.
pub(crate) fn panic() -> io::Error {
    io::Error::other("a part of the store has panicked")
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
