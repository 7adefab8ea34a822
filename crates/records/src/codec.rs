//! Records and field values as stored bytes, and the names they are stored under (format page
//! `records-v1`).

use std::sync::Arc;

use data_encoding::BASE32_NOPAD;
use kv_core::{BoxError, Key, Namespace, Value};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::value::RawValue;
use sha2::{Digest, Sha256};

use crate::{Error, MalformedJson, Record, Result};

/// What a value is framed in; `v` comes first so that a reader can stop there.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Frame<T> {
    v: u32,
    r: T,
}

/// Where the records of an object store lie.
pub(crate) fn namespace(store: &'static str) -> Result<Namespace> {
    if store.is_empty() {
        return Err(Error::Schema { store, what: "the name of an object store is empty" });
    }
    Namespace::reserved("~records", store)
        .map_err(|source| Error::Store { store, source: source.into() })
}

/// The name of the record with this encoded key.
pub(crate) fn name(store: &'static str, key: &[u8]) -> Result<Key> {
    let name = BASE32_NOPAD.encode(&Sha256::digest(key)).to_ascii_lowercase();
    Key::new(&name).map_err(|source| Error::Store { store, source: source.into() })
}

/// The stored bytes of `content`, written by version `v`.
pub(crate) fn to_value<T: Serialize>(store: &'static str, v: u32, content: &T) -> Result<Value> {
    match serde_json::to_vec(&Frame { v, r: content }) {
        Ok(bytes) => Ok(bytes.into()),
        Err(error) => Err(Error::NotJson { store, source: error.into() }),
    }
}

/// A stored value, read so far that its version is known and not too new.
pub(crate) struct Stored<'a> {
    pub(crate) version: u32,
    json: &'a RawValue,
}

impl<'a> Stored<'a> {
    pub(crate) fn parse(
        store: &'static str,
        name: &Key,
        bytes: &'a [u8],
        newest: u32,
    ) -> Result<Self> {
        let frame: Frame<&RawValue> = serde_json::from_slice(bytes)
            .map_err(|error| damaged(store, name, malformed(error)))?;
        if frame.v > newest {
            return Err(Error::TooNew { store, name: name.clone(), found: frame.v, newest });
        }
        Ok(Self { version: frame.v, json: frame.r })
    }

    /// The content, if it was written by the version that `T` is.
    pub(crate) fn content<T: DeserializeOwned>(
        &self,
        store: &'static str,
        name: &Key,
    ) -> Result<T> {
        serde_json::from_str(self.json.get())
            .map_err(|error| damaged(store, name, malformed(error)))
    }
}

/// The record in stored bytes, upgraded step by step if it is old, and the version they have.
pub(crate) fn record<R: Record>(name: &Key, bytes: &[u8]) -> Result<(R, u32)> {
    if let Some(record) = at_once(bytes) {
        return Ok((record, R::VERSION));
    }
    let stored = Stored::parse(R::STORE, name, bytes, R::VERSION)?;
    if stored.version == R::VERSION {
        return Ok((stored.content(R::STORE, name)?, R::VERSION));
    }
    let mut json: serde_json::Value = stored.content(R::STORE, name)?;
    for from in stored.version..R::VERSION {
        json = R::migrate(from, json).map_err(|source| damaged(R::STORE, name, source))?;
    }
    let record = serde_json::from_value(json);
    let record = record.map_err(|error| damaged(R::STORE, name, malformed(error)))?;
    Ok((record, stored.version))
}

/// The record in a frame as a writer of this very version makes it, read in one pass; `None`: look
/// closely. What lies between the beginning and the end of such a frame is one JSON text exactly
/// if the whole is a frame.
fn at_once<R: Record>(bytes: &[u8]) -> Option<R> {
    let rest = bytes.strip_prefix(br#"{"v":"#)?;
    let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let (version, rest) = rest.split_at_checked(digits)?;
    if version.first() == Some(&b'0') || str::from_utf8(version).ok()?.parse() != Ok(R::VERSION) {
        return None;
    }
    serde_json::from_slice(rest.strip_prefix(br#","r":"#)?.strip_suffix(b"}")?).ok()
}

pub(crate) fn damaged(store: &'static str, name: &Key, source: BoxError) -> Error {
    Error::Damaged { store, name: name.clone(), source }
}

fn malformed(error: serde_json::Error) -> BoxError {
    Arc::new(MalformedJson::from(error))
}
