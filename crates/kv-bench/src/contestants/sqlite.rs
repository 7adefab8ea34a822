//! SQLite, bundled, one connection behind a mutex as in ldk-node.

use std::{
    path::Path,
    sync::{Mutex, MutexGuard, PoisonError},
};

use rusqlite::{Connection, params};

use super::{FILL, Reader, Writer};
use crate::{
    Result,
    names::{Name, PRIMARY},
};

/// How SQLite makes a transaction atomic; `synchronous` is FULL with both.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Journal {
    /// SQLite's default, and so what ldk-node gets.
    Delete,
    /// The write-ahead log.
    Wal,
}

pub(crate) struct Sqlite(Mutex<Connection>);

/// ldk-node's table.
const TABLE: &str = "CREATE TABLE IF NOT EXISTS ldk_node_data (
    primary_namespace TEXT NOT NULL,
    secondary_namespace TEXT DEFAULT '' NOT NULL,
    key TEXT NOT NULL CHECK (key <> ''),
    value BLOB,
    PRIMARY KEY (primary_namespace, secondary_namespace, key))";
const WRITE: &str = "INSERT OR REPLACE INTO ldk_node_data
    (primary_namespace, secondary_namespace, key, value) VALUES (?1, '', ?2, ?3)";
const READ: &str = "SELECT value FROM ldk_node_data
    WHERE primary_namespace = ?1 AND secondary_namespace = '' AND key = ?2";

const PAGE: &str = "SELECT key FROM ldk_node_data
    WHERE primary_namespace = ?1 AND secondary_namespace = '' AND key > ?2 ORDER BY key LIMIT ?3";

impl Sqlite {
    pub(crate) fn open(dir: &Path, journal: Journal) -> Result<Self> {
        let connection = Connection::open(dir.join("sqlite"))?;
        let wanted = match journal {
            Journal::Delete => "delete",
            Journal::Wal => "wal",
        };
        let set = "PRAGMA journal_mode";
        let mode: String =
            connection.pragma_update_and_check(None, "journal_mode", wanted, |row| row.get(0))?;
        if mode != wanted {
            return Err(format!("{set} is {mode}").into());
        }
        connection.pragma_update(None, "synchronous", "FULL")?;
        connection.execute_batch(TABLE)?;
        Ok(Self(Mutex::new(connection)))
    }

    /// The names behind this one, by name.
    pub(crate) fn page(&self, after: &Name, limit: usize) -> Result<Vec<String>> {
        let connection = self.lock();
        let mut statement = connection.prepare_cached(PAGE)?;
        let rows =
            statement.query_map(params![PRIMARY, after.text, limit as i64], |row| row.get(0))?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    fn lock(&self) -> MutexGuard<'_, Connection> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Writer for Sqlite {
    fn write(&self, name: &Name, value: Vec<u8>) -> Result<()> {
        let connection = self.lock();
        connection.prepare_cached(WRITE)?.execute(params![PRIMARY, name.text, value])?;
        Ok(())
    }
}

impl Reader for Sqlite {
    fn fill(&self, entries: Vec<(Name, Vec<u8>)>) -> Result<()> {
        let mut connection = self.lock();
        for chunk in entries.chunks(FILL) {
            let transaction = connection.transaction()?;
            for (name, value) in chunk {
                transaction.prepare_cached(WRITE)?.execute(params![PRIMARY, name.text, value])?;
            }
            transaction.commit()?;
        }
        Ok(())
    }

    fn read(&self, name: &Name, see: &mut dyn FnMut(&[u8])) -> Result<()> {
        let connection = self.lock();
        let mut statement = connection.prepare_cached(READ)?;
        let mut rows = statement.query(params![PRIMARY, name.text])?;
        let row = rows.next()?.ok_or("the value is missing")?;
        see(row.get_ref(0)?.as_blob()?);
        Ok(())
    }
}
