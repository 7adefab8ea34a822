//! Errors, one variant per different reaction of the caller.

use std::fmt;

use kv_core::{BoxError, Key};
use serde_json::error::Category;

/// A result with this crate's [`enum@Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why an object store could not do what was asked. `store` is [`crate::Record::STORE`]; records
/// are named by the hash they are stored under, never by their key or content.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The store below refused or failed. Do what its error says.
    #[error("{store}: the store below failed")]
    Store {
        /// Which object store.
        store: &'static str,
        /// What the store below says.
        source: kv_core::Error,
    },
    /// What is stored is no record of this type. Put the record again, or restore.
    #[error("{store}: record {name:?} is damaged")]
    Damaged {
        /// Which object store.
        store: &'static str,
        /// The name the record is stored under.
        name: Key,
        /// What does not fit.
        source: BoxError,
    },
    /// Written by a newer version. Upgrade this program; until then the record is left as it is.
    #[error("{store}: record {name:?} has version {found}, this program knows up to {newest}")]
    TooNew {
        /// Which object store.
        store: &'static str,
        /// The name the record is stored under.
        name: Key,
        /// The version found.
        found: u32,
        /// The newest version known here.
        newest: u32,
    },
    /// Another record has the same key in a unique index; nothing was changed. Change one of the
    /// two, or ask the user which one counts.
    #[error("{store}: another record has the same key in the unique index {index}")]
    NotUnique {
        /// Which object store.
        store: &'static str,
        /// Which index.
        index: &'static str,
    },
    /// A record that had to be absent is there; nothing was changed. Read it and decide.
    #[error("{store}: a record that must be absent exists")]
    Exists {
        /// Which object store.
        store: &'static str,
    },
    /// A record is not as it was required to be; nothing was changed. Read it and decide.
    #[error("{store}: a record is not as it was required to be")]
    Changed {
        /// Which object store.
        store: &'static str,
    },
    /// The record cannot be written as JSON; nothing was changed. Correct the type.
    #[error("{store}: the record cannot be written as JSON")]
    NotJson {
        /// Which object store.
        store: &'static str,
        /// What serde said, without the content.
        source: MalformedJson,
    },
    /// The record would not come back from its own JSON, or with another key (NaN and skipped fields
    /// do that); nothing was changed. Correct the type or the value.
    #[error("{store}: the record does not come back from its own JSON")]
    NotReadable {
        /// Which object store.
        store: &'static str,
    },
    /// There is no index of this name. Correct the query.
    #[error("{store}: there is no index {index:?}")]
    NoIndex {
        /// Which object store.
        store: &'static str,
        /// The name asked for.
        index: String,
    },
    /// A cursor cannot go there, and stays where it is. Correct the call.
    #[error("{store}: {what}")]
    Cursor {
        /// Which object store.
        store: &'static str,
        /// Why not.
        what: &'static str,
    },
    /// All numbers up to 2^53 have been given. Give records keys of their own.
    #[error("{store}: there are no more numbers for new records")]
    NoNumbers {
        /// Which object store.
        store: &'static str,
    },
    /// The record type contradicts itself. Correct the type.
    #[error("{store}: {what}")]
    Schema {
        /// Which object store.
        store: &'static str,
        /// What is wrong.
        what: &'static str,
    },
    /// A transaction met an object store over another key-value store. Use one transaction for each.
    #[error("{store}: the transaction belongs to another key-value store")]
    OtherStore {
        /// Which object store.
        store: &'static str,
    },
}

/// What was wrong with a JSON text and where. It says less than serde does: serde quotes the
/// content, which is private.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MalformedJson {
    category: Category,
    line: usize,
    column: usize,
}

impl From<serde_json::Error> for MalformedJson {
    fn from(error: serde_json::Error) -> Self {
        Self { category: error.classify(), line: error.line(), column: error.column() }
    }
}

impl fmt::Display for MalformedJson {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = match self.category {
            Category::Syntax => "not json",
            Category::Eof => "the json ends too early",
            Category::Data => "the json does not fit the type",
            Category::Io => "the json could not be written or read",
        };
        write!(f, "{what} (line {}, column {})", self.line, self.column)
    }
}

impl std::error::Error for MalformedJson {}
