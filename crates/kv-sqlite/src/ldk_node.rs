//! Reading the SQLite files of ldk-node, to move what they hold into a store.

use std::{
    collections::HashMap,
    path::{Path, PathBuf},
    sync::{Mutex, MutexGuard, PoisonError},
};

use kv_core::{
    Batch, Capabilities, Commit, CreationOrder, CreationPage, Cursor, Error, Key, KvStore,
    Namespace, Operation, Result, Value,
};
use rusqlite::{Connection, OpenFlags, OptionalExtension, params};

use crate::{fault, files::Files, table::Table};

/// How this store is called in errors.
const STORE: &str = "ldk-node";
/// The newest `user_version` that is known here, and what each means:
///
/// 1. the columns `namespace`, `key`, `value`;
/// 2. `primary_namespace`, `secondary_namespace`, `key`, `value`;
/// 3. and `sort_order`, which grows with each new key.
const NEWEST: u32 = 3;
/// The table of ldk-node itself, and the one its `SqliteStore` has unless told otherwise.
const TABLES: [&str; 2] = ["ldk_node_data", "ldk_data"];

/// A file of ldk-node's `SqliteStore`, read-only: a store that can be copied from. Its order of
/// creation is what ldk-node lists by (`sort_order`, before that the number of the row).
///
/// Close ldk-node before: the file is held as it is at the opening until this is closed.
#[derive(Debug)]
pub struct LdkNodeFile {
    /// Where ldk-node looks for it; it may be sealed already.
    files: Files,
    open: Mutex<Option<Open>>,
}

#[derive(Debug)]
struct Open {
    connection: Connection,
    table: Table,
    read: String,
    /// What ldk-node keeps beside the file.
    added: HashMap<(Namespace, Key), Value>,
}

impl LdkNodeFile {
    /// Opens the file, such as `ldk_node_data.sqlite`; [`Error::NotFound`] if there is none,
    /// [`Error::TooNew`] if a later ldk-node has written it, and [`Error::Corrupt`] if it is not
    /// one of ldk-node's or is damaged. [`Error::Refused`] if it was sealed; the source says what was
    /// noted then. Changes nothing.
    pub fn open(file: &Path) -> Result<Self> {
        let files = Files::new(&std::path::absolute(file).map_err(io(Operation::Open))?);
        if let Some(note) = files.note().map_err(io(Operation::Open))? {
            return Err(refused(format!("the file was sealed: {note}")));
        }
        let file = if files.is_empty().map_err(io(Operation::Open))? {
            // Sealing it was interrupted.
            files.sealed()
        } else {
            files.clone()
        };
        if file.is_empty().map_err(io(Operation::Open))? {
            return Err(Error::NotFound { store: STORE });
        }
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(file.database(), flags).map_err(sql)?;
        // One state for as long as the file is open.
        connection.execute_batch("BEGIN").map_err(sql)?;
        let version: u32 =
            connection.pragma_query_value(None, "user_version", |row| row.get(0)).map_err(sql)?;
        let name = table_name(&connection)?;
        if version > NEWEST {
            return Err(Error::TooNew { store: STORE, found: version, newest: NEWEST });
        }
        let (primary, secondary) = match version {
            0 => return Err(corrupt("this is not a file of ldk-node")),
            1 => ("namespace", "''"),
            _ => ("primary_namespace", "secondary_namespace"),
        };
        let order = if version < 3 { "rowid" } else { "sort_order" };
        // Oldest first; ldk-node lists equal ones ascending by key when the newest come first.
        let names =
            format!("SELECT {primary}, {secondary}, key FROM {name} ORDER BY {order}, key DESC");
        let read = format!(
            "SELECT value FROM {name} WHERE {primary} = ?1 AND {secondary} = ?2 AND key = ?3"
        );
        let table = load(&connection, &names)?;
        let open = Open { connection, table, read, added: HashMap::new() };
        Ok(Self { files, open: Mutex::new(Some(open)) })
    }

    /// Adds a value that shall go where the others go, as the newest: what a node keeps beside its
    /// file, such as its seed. [`Error::Precondition`] if another value has this name.
    pub fn add(&self, ns: &Namespace, key: &Key, value: impl Into<Value>) -> Result<()> {
        let value = value.into();
        match self.read(ns, key)? {
            Some(there) if *there == *value => return Ok(()),
            Some(_) => return Err(Error::Precondition { store: STORE }),
            None => {}
        }
        let mut open = self.lock();
        let open = open.as_mut().ok_or(Error::Closed { store: STORE })?;
        let created = open.table.keys() + 1;
        open.table.insert(ns, key, created);
        open.added.insert((ns.clone(), key.clone()), value);
        Ok(())
    }

    /// Seals what was copied elsewhere, and tells where it lies: the file gets another name, with
    /// `.moved-to-strongroom` behind it, and a note takes its place. So no node can start from a state
    /// that the copy has left behind: SQLite finds no database there. One that still runs cannot
    /// write any more, since SQLite notices that its file was moved.
    ///
    /// A call that was interrupted is made again after opening again.
    pub fn seal(self, note: &str) -> Result<PathBuf> {
        // While it is still open nobody writes.
        self.files.seal(note).map_err(io(Operation::Write))?;
        self.close()?;
        Ok(self.files.sealed().database().to_owned())
    }

    fn lock(&self) -> MutexGuard<'_, Option<Open>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn with<T>(&self, work: impl FnOnce(&Open) -> Result<T>) -> Result<T> {
        work(self.lock().as_ref().ok_or(Error::Closed { store: STORE })?)
    }
}

fn table_name(connection: &Connection) -> Result<&'static str> {
    let query = "SELECT count(*) FROM sqlite_schema WHERE type = 'table' AND name = ?1";
    for name in TABLES {
        let count: i64 = connection.query_row(query, [name], |row| row.get(0)).map_err(sql)?;
        if count == 1 {
            return Ok(name);
        }
    }
    Err(corrupt("this is not a file of ldk-node"))
}

/// Numbers the names in the order of their creation.
fn load(connection: &Connection, names: &str) -> Result<Table> {
    let mut query = connection.prepare(names).map_err(sql)?;
    let mut rows = query.query([]).map_err(sql)?;
    let mut table = Table::default();
    let mut created = 0;
    while let Some(row) = rows.next().map_err(sql)? {
        let text = |at| row.get::<_, String>(at).map_err(sql);
        let ns = Namespace::new(&text(0)?, &text(1)?)?;
        created += 1;
        table.insert(&ns, &Key::new(&text(2)?)?, created);
    }
    Ok(table)
}

impl KvStore for LdkNodeFile {
    fn read(&self, ns: &Namespace, key: &Key) -> Result<Option<Value>> {
        self.with(|open| {
            if open.table.get(ns, key).is_none() {
                return Ok(None);
            }
            if let Some(value) = open.added.get(&(ns.clone(), key.clone())) {
                return Ok(Some(value.clone()));
            }
            let mut query = open.connection.prepare_cached(&open.read).map_err(sql)?;
            let names = params![ns.primary(), ns.secondary(), key.as_str()];
            let value = query.query_row(names, |row| row.get::<_, Vec<u8>>(0));
            let value = value.optional().map_err(sql)?;
            value.map(|value| Some(value.into())).ok_or_else(|| corrupt("a row is missing"))
        })
    }

    fn list(&self, ns: &Namespace, after: Option<&Key>, limit: usize) -> Result<Vec<Key>> {
        self.with(|open| Ok(open.table.list(ns, after, limit)))
    }

    fn namespaces(&self) -> Result<Vec<Namespace>> {
        self.with(|open| Ok(open.table.namespaces()))
    }

    // There is nothing to flush, and nothing else is done here.
    fn submit(&self, batch: Batch) -> Commit {
        Commit::done(self.with(|_| {
            if batch.is_empty() {
                return Ok(());
            }
            Err(refused("a file of ldk-node is only read: copy it into a store".to_owned()))
        }))
    }

    fn capabilities(&self) -> Capabilities<'_> {
        let mut capabilities = Capabilities::default();
        capabilities.creation_order = Some(self);
        capabilities
    }

    fn close(&self) -> Result<()> {
        *self.lock() = None;
        Ok(())
    }
}

impl CreationOrder for LdkNodeFile {
    fn list_newest_first(
        &self,
        ns: &Namespace,
        cursor: Option<&Cursor>,
        limit: usize,
    ) -> Result<CreationPage> {
        self.with(|open| Ok(open.table.newest_first(ns, cursor, limit)))
    }
}

fn sql(source: rusqlite::Error) -> Error {
    match fault::sql(Operation::Read)(source) {
        Error::Corrupt { source, .. } => Error::Corrupt { store: STORE, source },
        Error::Io { during, source, .. } => Error::Io { store: STORE, during, source },
        Error::InUse { .. } => Error::InUse { store: STORE },
        other => other,
    }
}

fn io(during: Operation) -> impl Fn(std::io::Error) -> Error {
    move |source| Error::io(STORE, during, source)
}

fn refused(why: String) -> Error {
    let why: Box<dyn std::error::Error + Send + Sync> = why.into();
    Error::Refused { store: STORE, source: why.into() }
}

fn corrupt(what: &'static str) -> Error {
    Error::corrupt(STORE, what)
}
