//! The record log: one small entry per batch, written in the same batch as the data.

use kv_core::{Error, Key, Namespace, Result, Value};
use serde::{Deserialize, Serialize};

use crate::{Stamp, codec};

pub(crate) const STORE: &str = "backup";

/// Which keys one batch changed, and when. Values are not repeated: they are in the store.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct LogEntry {
    /// Milliseconds since the Unix epoch.
    pub(crate) time: u64,
    /// The stamp its mergeable values carry.
    pub(crate) stamp: Stamp,
    pub(crate) changes: Vec<LoggedChange>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct LoggedChange {
    pub(crate) name: EntryName,
    /// The length of the value as stored; `None` for a removal.
    pub(crate) len: Option<u64>,
}

/// A name on the wire.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct EntryName {
    /// Primary namespace.
    #[serde(with = "codec::text")]
    pub primary: String,
    /// Secondary namespace.
    #[serde(with = "codec::text")]
    pub secondary: String,
    /// Key.
    #[serde(with = "codec::text")]
    pub key: String,
}

impl EntryName {
    /// The name of a validated place.
    pub fn new(ns: &Namespace, key: &Key) -> Self {
        Self {
            primary: ns.primary().to_owned(),
            secondary: ns.secondary().to_owned(),
            key: key.as_str().to_owned(),
        }
    }

    /// The validated place; [`Error::Corrupt`] if no version writes such a name.
    pub fn place(&self) -> Result<(Namespace, Key)> {
        let namespace = Namespace::any(&self.primary, &self.secondary);
        let place = namespace.and_then(|ns| Ok((ns, Key::new(&self.key)?)));
        place.map_err(|e| Error::corrupt(STORE, e))
    }
}

/// Where the bookkeeping lies: `~backup`, numbers as keys.
pub(crate) struct Places {
    pub(crate) state: Namespace,
    pub(crate) log: Namespace,
    pub(crate) tombstones: Namespace,
}

/// The key of the [`crate::BackupState`].
pub(crate) fn state() -> Key {
    Key::number(0)
}

/// The key of the mark that a restore has begun and not finished.
pub(crate) fn restoring() -> Key {
    Key::number(1)
}

/// The key of what is known of the other writers.
pub(crate) fn others() -> Key {
    Key::number(3)
}

/// The key of the [`crate::FenceState`].
pub(crate) fn fence() -> Key {
    Key::number(2)
}

pub(crate) const PRIMARY: &str = "~backup";

impl Places {
    pub(crate) fn new() -> Result<Self> {
        Ok(Self {
            state: Namespace::reserved(PRIMARY, "state")?,
            log: Namespace::reserved(PRIMARY, "log")?,
            tombstones: Namespace::reserved(PRIMARY, "tombstones")?,
        })
    }
}

impl std::fmt::Debug for Places {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Places")
    }
}

pub(crate) fn write(value: &impl Serialize) -> Value {
    codec::encode(value).into()
}

pub(crate) fn read<'a, T: Deserialize<'a>>(what: &'static str, bytes: &'a [u8]) -> Result<T> {
    codec::decode(what, bytes).map_err(|e| Error::corrupt(STORE, e))
}

pub(crate) fn damaged(what: &'static str) -> Error {
    Error::corrupt(STORE, what)
}
