//! What a record type tells about itself: its store, its version, its key and its indexes.

use std::fmt;

use kv_core::BoxError;
use serde::{Serialize, de::DeserializeOwned};

use crate::{Error, RecordKey, Result, encoding::encode_into};

/// A type whose values are kept in an object store of their own.
///
/// Its JSON text is what is stored and read back, so nothing may hang on what JSON leaves out.
pub trait Record: Serialize + DeserializeOwned + Send + Sync + 'static {
    /// The name of the object store: letters, digits, `_` and `-`, at most 120. Never change it.
    const STORE: &'static str;

    /// The version of the JSON that [`Serialize`] writes. Start with 1; add one with each change
    /// that older code could not read, and teach [`Record::migrate`] the step.
    const VERSION: u32;

    /// The ways to find a record besides its key. They may change at any time: indexes are rebuilt
    /// at each open.
    const INDEXES: &'static [Index<Self>] = &[];

    /// Writes a number into a record, for stores that number their records themselves
    /// ([`crate::ObjectStore::add`]); [`Record::key`] must then be that number.
    ///
    /// Each device counts on its own. Where the records of several devices are merged, two that got
    /// the same number are one record, and only the later one stays: there, give records a key
    /// that no other device can give.
    const NUMBERED: Option<fn(&mut Self, u64)> = None;

    /// The primary key. It must be the same in every version of a record, and hang on nothing but
    /// the record.
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
///
/// The keys of a record must hang on nothing but the record: they are asked for again and again
/// instead of being stored.
pub struct Index<R> {
    name: &'static str,
    unique: bool,
    keys: Keys<R>,
}

enum Keys<R> {
    One(fn(&R) -> Option<RecordKey>),
    Each(fn(&R) -> Vec<RecordKey>),
}

impl<R> Index<R> {
    /// An index of the records for which `key` gives a key; those without one are left out of it.
    pub const fn new(name: &'static str, key: fn(&R) -> Option<RecordKey>) -> Self {
        Self { name, unique: false, keys: Keys::One(key) }
    }

    /// As [`Index::new`], and no two records may have the same key in it.
    pub const fn unique(name: &'static str, key: fn(&R) -> Option<RecordKey>) -> Self {
        Self { name, unique: true, keys: Keys::One(key) }
    }

    /// An index in which a record stands once under each of the keys (IndexedDB's `multiEntry`);
    /// a key that is given twice counts once.
    pub const fn each(name: &'static str, keys: fn(&R) -> Vec<RecordKey>) -> Self {
        Self { name, unique: false, keys: Keys::Each(keys) }
    }

    /// As [`Index::each`], and no two records may share a key in it.
    pub const fn each_unique(name: &'static str, keys: fn(&R) -> Vec<RecordKey>) -> Self {
        Self { name, unique: true, keys: Keys::Each(keys) }
    }

    /// The keys of a record in this index, ascending, each once.
    pub fn keys(&self, record: &R) -> Vec<RecordKey> {
        match self.keys {
            Keys::One(key) => key(record).into_iter().collect(),
            Keys::Each(keys) => {
                let mut keys = keys(record);
                keys.sort_unstable();
                keys.dedup();
                keys
            }
        }
    }

    /// What queries call this index.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// Whether a key may occur once only.
    pub fn is_unique(&self) -> bool {
        self.unique
    }

    /// Whether a record may stand in it several times.
    pub fn is_multi_entry(&self) -> bool {
        matches!(self.keys, Keys::Each(_))
    }

    /// The keys of a record in this index as bytes, ascending, with their places among them.
    pub(crate) fn encoded(&self, record: &R) -> impl Iterator<Item = (u32, Vec<u8>)> + use<R> {
        let (one, each) = match self.keys {
            Keys::One(key) => (key(record), Vec::new()),
            Keys::Each(_) => (None, self.keys(record)),
        };
        (0..).zip(one.into_iter().chain(each).map(|key| key.encode()))
    }

    /// Writes all of [`Index::encoded`] behind what is there, and tells where each ends.
    pub(crate) fn encode_all(
        &self,
        record: &R,
        out: &mut Vec<u8>,
        mut each: impl FnMut(u32, usize),
    ) {
        let (one, many) = match self.keys {
            Keys::One(key) => (key(record), Vec::new()),
            Keys::Each(_) => (None, self.keys(record)),
        };
        for (nth, key) in (0..).zip(one.into_iter().chain(many)) {
            encode_into(&key, out);
            each(nth, out.len());
        }
    }

    /// Writes one of [`Index::encoded`] behind what is there, without the others where possible.
    pub(crate) fn encode_nth(&self, record: &R, nth: u32, out: &mut Vec<u8>) {
        let key = match self.keys {
            Keys::One(key) => key(record),
            Keys::Each(_) => self.keys(record).into_iter().nth(nth as usize),
        };
        if let Some(key) = key {
            encode_into(&key, out);
        }
    }
}

impl<R> fmt::Debug for Index<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Index")
            .field("name", &self.name)
            .field("unique", &self.unique)
            .field("multi_entry", &self.is_multi_entry())
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
