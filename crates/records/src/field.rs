//! Fields: single named values.

use std::sync::Arc;

use kv_core::{Commit, Key, KvStore, KvStoreExt, Namespace, Value};
use serde::{Serialize, de::DeserializeOwned};

use crate::{Error, Result, Transaction, codec};

/// The version of every field value. Fields that need versions of their own will write greater ones.
const VERSION: u32 = 1;

/// Single named values, such as a given name or a birthday, each of a type of its own. Names are
/// made of letters, digits, `_` and `-`, at most 120. Cloning is cheap.
///
/// A value is read as it is durable now. Nothing is kept in memory.
#[derive(Debug, Clone)]
pub struct Fields {
    kv: Arc<dyn KvStore>,
    ns: Namespace,
}

impl Fields {
    /// What errors call the fields, and the namespace they lie in.
    pub(crate) const STORE: &'static str = "~fields";

    /// The fields of this store.
    pub fn open(kv: Arc<dyn KvStore>) -> Result<Self> {
        let ns = Namespace::reserved(Self::STORE, "").map_err(|source| failed(source.into()))?;
        Ok(Self { kv, ns })
    }

    /// The value, or `None` if it was never set or is cleared.
    pub fn get<T: DeserializeOwned>(&self, name: &str) -> Result<Option<T>> {
        let key = Self::key(name)?;
        let Some(bytes) = self.kv.read(&self.ns, &key).map_err(failed)? else {
            return Ok(None);
        };
        Self::parse(name, &bytes).map(Some)
    }

    /// Stores a value.
    pub fn set<T: Serialize + ?Sized>(&self, name: &str, value: &T) -> Result<Commit> {
        let mut transaction = Transaction::new(Arc::clone(&self.kv));
        transaction.set_field(self, name, value)?;
        transaction.submit()
    }

    /// Removes a value; an absent one is no error.
    pub fn clear(&self, name: &str) -> Result<Commit> {
        let mut transaction = Transaction::new(Arc::clone(&self.kv));
        transaction.clear_field(self, name)?;
        transaction.submit()
    }

    /// The names of the fields that are set, ascending.
    pub fn list(&self) -> Result<Vec<String>> {
        let keys = self.kv.list_all(&self.ns).map_err(failed)?;
        Ok(keys.iter().map(|key| key.as_str().to_owned()).collect())
    }

    /// Where the store keeps a field: for those that look for it in backups.
    pub fn place(&self, name: &str) -> Result<(Namespace, Key)> {
        Ok((self.ns.clone(), Self::key(name)?))
    }

    /// The value in bytes that a store, or a backup of it, holds under this name.
    pub fn parse<T: DeserializeOwned>(name: &str, bytes: &[u8]) -> Result<T> {
        let key = Self::key(name)?;
        codec::Stored::parse(Self::STORE, &key, bytes, VERSION)?.content(Self::STORE, &key)
    }

    pub(crate) fn encode<T: Serialize + ?Sized>(value: &T) -> Result<Value> {
        codec::to_value(Self::STORE, VERSION, &value)
    }

    pub(crate) fn key(name: &str) -> Result<Key> {
        Key::new(name).map_err(|source| failed(source.into()))
    }

    pub(crate) fn store(&self) -> &Arc<dyn KvStore> {
        &self.kv
    }

    pub(crate) fn namespace(&self) -> &Namespace {
        &self.ns
    }
}

fn failed(source: kv_core::Error) -> Error {
    Error::Store { store: Fields::STORE, source }
}
