//! The record log on the device: entries, dirty pages, and where they lie.
//!
//! Specified to the byte in `record-log-v1`.

use kv_core::{Error, Key, Namespace, Result, Value};
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use crate::codec;

pub(crate) const STORE: &str = "backup";

/// What one batch adds to the set of changed keys; written in the same batch as the data.
///
/// A batch whose keys are all noted already, since the last cut, needs none.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct LogEntry {
    /// The number of this entry; they follow each other without holes.
    pub(crate) index: u64,
    /// Entries up to this number are in dirty pages or in the cloud: their slots may be used again.
    pub(crate) folded: u64,
    /// The number of the batch. Every number up to it is taken.
    pub(crate) sequence: u64,
    /// Milliseconds since the Unix epoch.
    pub(crate) time: u64,
    /// The latest stamp this installation has made or seen.
    pub(crate) stamp: (u64, u32),
    pub(crate) notes: Vec<Note>,
}

/// Changed keys that older entries noted, sorted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct DirtyPage {
    /// Time of the first and the last change, in milliseconds since the Unix epoch.
    pub(crate) time: (u64, u64),
    /// Ascending by namespace.
    pub(crate) spaces: Vec<DirtySpace>,
}

/// The changed keys of one namespace.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct DirtySpace {
    #[serde(with = "codec::text")]
    pub(crate) primary: String,
    #[serde(with = "codec::text")]
    pub(crate) secondary: String,
    /// Ascending by key.
    pub(crate) keys: Vec<DirtyKey>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct DirtyKey {
    #[serde(with = "codec::text")]
    pub(crate) key: String,
    pub(crate) noted: Noted,
}

/// One changed key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Note {
    pub(crate) name: EntryName,
    pub(crate) noted: Noted,
}

/// As what a key was noted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Noted {
    /// As holding a value, which then had this length.
    Value(u64),
    /// As removed; when is in the tombstones if it is mergeable.
    Removed,
}

impl Noted {
    /// Whether a key noted as `self` need not be noted again as `later`.
    pub(crate) fn covers(&self, later: &Self) -> bool {
        matches!((self, later), (Self::Value(_), Self::Value(_)) | (Self::Removed, Self::Removed))
    }

    pub(crate) fn len(&self) -> u64 {
        match self {
            Self::Value(len) => *len,
            Self::Removed => 0,
        }
    }
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
        let namespace = namespace.map_err(|e| Error::corrupt(STORE, e))?;
        Ok((namespace, self.checked_key()?))
    }

    /// The key of that place.
    pub(crate) fn checked_key(&self) -> Result<Key> {
        Key::new(&self.key).map_err(|e| Error::corrupt(STORE, e))
    }
}

/// Where the bookkeeping lies: `~backup`, numbers as keys.
pub(crate) struct Places {
    pub(crate) state: Namespace,
    /// Log entries, in slots that are used again and again.
    pub(crate) log: Namespace,
    pub(crate) dirty: Namespace,
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

/// The key of the [`crate::History`].
pub(crate) fn history() -> Key {
    Key::number(4)
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
            dirty: Namespace::reserved(PRIMARY, "dirty")?,
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

/// As [`write`], with short numbers: for what is written with every change.
pub(crate) fn write_small(value: &impl Serialize) -> Value {
    codec::encode_small(value).into()
}

pub(crate) fn read_small<T: DeserializeOwned>(what: &'static str, bytes: &[u8]) -> Result<T> {
    codec::decode_small(what, bytes).map_err(|e| Error::corrupt(STORE, e))
}
