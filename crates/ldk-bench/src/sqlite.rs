//! SQLite as ldk-node sets it up: one connection behind a mutex, its journal and `synchronous` as
//! they come, and ldk-node's table.

use std::{
    path::Path,
    sync::{Mutex, MutexGuard, PoisonError},
};

use bench_report::Result;
use lightning::{io, util::persist::KVStoreSync};
use rusqlite::{Connection, OptionalExtension, params};

#[derive(Debug)]
pub(crate) struct Sqlite(Mutex<Connection>);

const TABLE: &str = "CREATE TABLE IF NOT EXISTS ldk_node_data (
    primary_namespace TEXT NOT NULL,
    secondary_namespace TEXT DEFAULT '' NOT NULL,
    key TEXT NOT NULL CHECK (key <> ''),
    value BLOB,
    PRIMARY KEY (primary_namespace, secondary_namespace, key))";
const WRITE: &str = "INSERT OR REPLACE INTO ldk_node_data
    (primary_namespace, secondary_namespace, key, value) VALUES (?1, ?2, ?3, ?4)";
const READ: &str = "SELECT value FROM ldk_node_data
    WHERE primary_namespace = ?1 AND secondary_namespace = ?2 AND key = ?3";
const REMOVE: &str = "DELETE FROM ldk_node_data
    WHERE primary_namespace = ?1 AND secondary_namespace = ?2 AND key = ?3";
const LIST: &str = "SELECT key FROM ldk_node_data
    WHERE primary_namespace = ?1 AND secondary_namespace = ?2";

impl Sqlite {
    pub(crate) fn open(dir: &Path) -> Result<Self> {
        let connection = Connection::open(dir.join("ldk_node_data.sqlite"))?;
        connection.execute_batch(TABLE)?;
        Ok(Self(Mutex::new(connection)))
    }

    fn lock(&self) -> MutexGuard<'_, Connection> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn failed(error: rusqlite::Error) -> io::Error {
    io::Error::new(io::ErrorKind::Other, error.to_string())
}

impl KVStoreSync for Sqlite {
    fn read(&self, primary: &str, secondary: &str, key: &str) -> io::Result<Vec<u8>> {
        let connection = self.lock();
        let mut query = connection.prepare_cached(READ).map_err(failed)?;
        let value = query.query_row(params![primary, secondary, key], |row| row.get(0)).optional();
        value.map_err(failed)?.ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn write(&self, primary: &str, secondary: &str, key: &str, value: Vec<u8>) -> io::Result<()> {
        let connection = self.lock();
        let mut write = connection.prepare_cached(WRITE).map_err(failed)?;
        write.execute(params![primary, secondary, key, value]).map(|_| ()).map_err(failed)
    }

    fn remove(&self, primary: &str, secondary: &str, key: &str, _: bool) -> io::Result<()> {
        let connection = self.lock();
        let mut remove = connection.prepare_cached(REMOVE).map_err(failed)?;
        remove.execute(params![primary, secondary, key]).map(|_| ()).map_err(failed)
    }

    fn list(&self, primary: &str, secondary: &str) -> io::Result<Vec<String>> {
        let connection = self.lock();
        let mut query = connection.prepare_cached(LIST).map_err(failed)?;
        let rows =
            query.query_map(params![primary, secondary], |row| row.get(0)).map_err(failed)?;
        rows.collect::<Result<_, _>>().map_err(failed)
    }
}
