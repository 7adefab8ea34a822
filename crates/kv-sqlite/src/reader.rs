//! Connections that read, one for each thread that reads at the same time.

use std::{
    path::PathBuf,
    sync::{Mutex, PoisonError},
};

use kv_core::{Key, Namespace, Operation, Result, Value};
use rusqlite::{Connection, OpenFlags, OptionalExtension, Row};

use crate::{Settings, fault, row};

#[derive(Debug)]
pub(crate) struct Readers {
    database: PathBuf,
    page_cache: u64,
    most_idle: usize,
    idle: Mutex<Vec<Connection>>,
}

/// A row that checks.
#[derive(Debug)]
pub(crate) struct Found {
    pub(crate) changed: u64,
    pub(crate) value: Value,
}

const READ: &str = "SELECT primary_namespace, secondary_namespace, key, changed, checksum, value \
     FROM kv WHERE created = ?1";

impl Readers {
    pub(crate) fn new(database: PathBuf, settings: &Settings) -> Self {
        Self {
            database,
            page_cache: settings.page_cache,
            most_idle: settings.idle_readers,
            idle: Mutex::default(),
        }
    }

    /// Runs `work` on a connection of its own.
    pub(crate) fn with<T>(&self, work: impl FnOnce(&Connection) -> Result<T>) -> Result<T> {
        let idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let connection = match idle {
            Some(connection) => connection,
            None => self.open().map_err(fault::sql(Operation::Read))?,
        };
        let outcome = work(&connection);
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        if outcome.is_ok() && idle.len() < self.most_idle {
            idle.push(connection);
        }
        outcome
    }

    fn open(&self) -> rusqlite::Result<Connection> {
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(&self.database, flags)?;
        set_up(&connection, self.page_cache)?;
        Ok(connection)
    }

    /// The row of a key; `None` if there is none with its creation number.
    pub(crate) fn read(&self, ns: &Namespace, key: &Key, created: u64) -> Result<Option<Found>> {
        self.with(|connection| read_row(connection, ns, key, created))
    }

    /// How many connections are kept now.
    pub(crate) fn idle(&self) -> usize {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).len()
    }

    /// Closes what is idle. Nothing else is open once no call is under way.
    pub(crate) fn close(&self) {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }
}

/// What every connection wants.
pub(crate) fn set_up(connection: &Connection, page_cache: u64) -> rusqlite::Result<()> {
    connection.busy_timeout(std::time::Duration::from_secs(5))?;
    connection.pragma_update(None, "cache_size", -((page_cache >> 10).cast_signed()))?;
    // Nobody but us has written the file, but a damaged page must not be believed.
    connection.pragma_update(None, "cell_size_check", true)?;
    connection.pragma_update(None, "trusted_schema", false)
}

/// What a look at a row came to.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Looked {
    /// It is there, and was taken.
    Taken,
    /// There is none with its creation number, or it was not wanted.
    Other,
}

/// Reads and checks one row.
pub(crate) fn read_row(
    connection: &Connection,
    ns: &Namespace,
    key: &Key,
    created: u64,
) -> Result<Option<Found>> {
    let mut found = None;
    look(connection, ns, key, created, |changed, value| {
        found = Some(Found { changed, value: Value::from(value) });
        true
    })?;
    Ok(found)
}

/// Checks one row and shows when it was changed and its value, where it lies, to `take`, which tells
/// whether it wants it.
pub(crate) fn look(
    connection: &Connection,
    ns: &Namespace,
    key: &Key,
    created: u64,
    take: impl FnOnce(u64, &[u8]) -> bool,
) -> Result<Looked> {
    let sql = fault::sql(Operation::Read);
    let mut query = connection.prepare_cached(READ).map_err(&sql)?;
    let taken = query.query_row([created.cast_signed()], |row| check(row, ns, key, created, take));
    match taken.optional().map_err(sql)? {
        Some(Some(true)) => Ok(Looked::Taken),
        None | Some(Some(false)) => Ok(Looked::Other),
        Some(None) => Err(fault::corrupt("a value is not what was written")),
    }
}

/// `None`: it does not check.
fn check(
    row: &Row<'_>,
    ns: &Namespace,
    key: &Key,
    created: u64,
    take: impl FnOnce(u64, &[u8]) -> bool,
) -> rusqlite::Result<Option<bool>> {
    let is = |at: usize, name: &str| Ok::<_, rusqlite::Error>(row.get_ref(at)?.as_str()? == name);
    let names = is(0, ns.primary())? && is(1, ns.secondary())? && is(2, key.as_str())?;
    let changed = row.get::<_, i64>(3)?.cast_unsigned();
    let checksum = row.get::<_, i64>(4)?;
    let value = row.get_ref(5)?.as_blob()?;
    let good = names && i64::from(row::checksum(created, changed, ns, key, value)) == checksum;
    Ok(good.then(|| take(changed, value)))
}
