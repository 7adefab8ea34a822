//! What a record type tells about itself: its store, its version, its key and its indexes.

use std::fmt;

use kv_core::BoxError;
use serde::{Serialize, de::DeserializeOwned};

use crate::{Error, RecordKey, Result};

/// A type whose values are kept in an object store of their own.
///
/// Its JSON text is what is stored and read back, so nothing may hang on what JSON leaves out.
pub trait Record: Serialize + DeserializeOwned + 'static {
    /// The name of the object store: letters, digits, `_` and `-`, at most 120. Never change it.
    const STORE: &'static str;

    /// The version of the JSON that [`Serialize`] writes. Start with 1; add one with each change
    /// that older code could not read, and teach [`Record::migrate`] the step.
    const VERSION: u32;

    /// The ways to find a record besides its key. They may change at any time: indexes are rebuilt
    /// at each open.
    const INDEXES: &'static [Index<Self>] = &[];

    /// The primary key. It must be the same in every version of a record.
    fn key(&self) -> RecordKey;

    /// Turns the JSON of version `from` into that of version `from + 1`; called once per step.
    /// Errors travel up as they are, so they must not quote the record.
    fn migrate(
        from: u32,
        json: serde_json::Value,
    ) -> std::result::Result<serde_json::Value, BoxError> {
        let _ = json;
        Err(BoxError::from(Box::<dyn std::error::Error + Send + Sync>::from(format!(
            "no migration from version {from}"
        ))))
    }
}

/// A named way to find records.
pub struct Index<R> {
    name: &'static str,
    unique: bool,
    key: fn(&R) -> Option<RecordKey>,
}

impl<R> Index<R> {
    /// An index of the records for which `key` gives a key; those without one are left out of it.
    pub const fn new(name: &'static str, key: fn(&R) -> Option<RecordKey>) -> Self {
        Self { name, unique: false, key }
    }

    /// As [`Index::new`], and no two records may have the same key in it.
    pub const fn unique(name: &'static str, key: fn(&R) -> Option<RecordKey>) -> Self {
        Self { name, unique: true, key }
    }

    /// The key of a record in this index.
    pub fn key(&self, record: &R) -> Option<RecordKey> {
        (self.key)(record)
    }

    /// What queries call this index.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// Whether a key may occur once only.
    pub fn is_unique(&self) -> bool {
        self.unique
    }
}

impl<R> fmt::Debug for Index<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Index")
            .field("name", &self.name)
            .field("unique", &self.unique)
            .finish_non_exhaustive()
    }
}

/// Refuses a record type that cannot work.
pub(crate) fn check<R: Record>() -> Result<()> {
    let names = || R::INDEXES.iter().map(Index::name);
    for (position, name) in names().enumerate() {
        if names().take(position).any(|earlier| earlier == name) {
            return Err(Error::Schema { store: R::STORE, what: "two indexes have the same name" });
        }
    }
    Ok(())
}
