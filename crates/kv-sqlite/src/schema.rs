//! The tables of each format, and the fields of the file's header that never change.

use kv_core::{Error, Key, Namespace, Operation, Result};
use rusqlite::{Connection, params};

use crate::{
    fault::{self, STORE},
    row::StateRow,
    table::Table,
};

/// `PRAGMA application_id`: the letters `SRKV`.
pub(crate) const APPLICATION: u32 = 0x5352_4B56;
/// `PRAGMA user_version`: the newest format known here.
pub(crate) const FORMAT: u32 = 2;
pub(crate) const PAGE: usize = 4096;
/// Bytes of the header of a SQLite file.
pub(crate) const HEADER: usize = 100;

/// How every SQLite file begins.
pub(crate) const MAGIC: &[u8; 16] = b"SQLite format 3\0";

const KV: (&str, &str) = (
    "kv",
    "CREATE TABLE kv (\
     created INTEGER PRIMARY KEY, \
     primary_namespace TEXT NOT NULL, \
     secondary_namespace TEXT NOT NULL, \
     key TEXT NOT NULL, \
     changed INTEGER NOT NULL, \
     checksum INTEGER NOT NULL, \
     value BLOB NOT NULL) STRICT",
);
/// The names a second time, in the order of their creation: what is new lies together.
const NAMES: (&str, &str) = (
    "names",
    "CREATE TABLE names (\
     created INTEGER PRIMARY KEY, \
     primary_namespace TEXT NOT NULL, \
     secondary_namespace TEXT NOT NULL, \
     key TEXT NOT NULL) STRICT",
);
/// What format 1 had in place of that: each new name changed a page of its own.
const INDEX: (&str, &str) = (
    "kv_names",
    "CREATE UNIQUE INDEX kv_names ON kv (primary_namespace, secondary_namespace, key)",
);
const STATE: (&str, &str) = (
    "state",
    "CREATE TABLE state (\
     one INTEGER PRIMARY KEY CHECK (one = 1), \
     sequence INTEGER NOT NULL, \
     next_created INTEGER NOT NULL, \
     keys INTEGER NOT NULL, \
     names INTEGER NOT NULL, \
     clean INTEGER NOT NULL, \
     checksum INTEGER NOT NULL) STRICT",
);

/// Everything a file has, ascending by name, which is also the order in which it is made; the pages
/// `kv-sqlite-v1` and `kv-sqlite-v2` say it, too.
const VERSION_1: [(&str, &str); 3] = [KV, INDEX, STATE];
const VERSION_2: [(&str, &str); 3] = [KV, NAMES, STATE];

/// Fills a new file: the tables, an empty state, and the marks that say what it is.
pub(crate) fn create(connection: &Connection) -> rusqlite::Result<()> {
    connection.pragma_update(None, "page_size", PAGE as i64)?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update(None, "application_id", APPLICATION)?;
    connection.pragma_update(None, "user_version", FORMAT)?;
    for (_, statement) in VERSION_2 {
        connection.execute_batch(statement)?;
    }
    connection.execute(
        "INSERT INTO state (one, sequence, next_created, keys, names, clean, checksum) \
         VALUES (1, 0, 0, 0, 0, 0, 0)",
        [],
    )?;
    write_state(connection, &StateRow::EMPTY)?;
    let mode: String =
        connection.pragma_update_and_check(None, "journal_mode", "wal", |row| row.get(0))?;
    if mode == "wal" { Ok(()) } else { Err(rusqlite::Error::InvalidQuery) }
}

/// What the header of a file is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Header {
    /// There is no file, or an empty one.
    None,
    Ours,
    /// Of a later format.
    Newer(u32),
    /// Ours, but without a log: SQLite's own tools have made it of one that had.
    Copy,
    /// A SQLite file, but not one of ours.
    Foreign,
    Damaged,
}

/// Looks at a file's first bytes. All fields that never change must be as they were written: some
/// of them, damaged, would let SQLite write where it should not.
pub(crate) fn parse_header(bytes: &[u8]) -> Header {
    if bytes.is_empty() {
        return Header::None;
    }
    let Some(bytes) = bytes.first_chunk::<HEADER>() else { return Header::Damaged };
    let number = |at: usize| {
        let field = bytes.get(at..at + 4).and_then(<[u8]>::first_chunk::<4>);
        field.copied().map_or(0, u32::from_be_bytes)
    };
    if !bytes.starts_with(MAGIC) {
        return Header::Damaged;
    }
    let (application, format) = (number(68), number(60));
    if application != APPLICATION {
        // One flipped bit is no other program.
        let ours = (application ^ APPLICATION).count_ones() <= 1;
        return if ours { Header::Damaged } else { Header::Foreign };
    }
    if format > FORMAT {
        return Header::Newer(format);
    }
    let page = (PAGE as u16).to_be_bytes();
    // Write and read version, 2 for a write-ahead log; then no reserved bytes, and three constants.
    let start = |version| [page.as_slice(), &[version, version, 0, 64, 32, 32]].concat();
    let is_copy = bytes.get(16..24) == Some(&start(1));
    let fixed = (is_copy || bytes.get(16..24) == Some(&start(2)))
        && (1..=FORMAT).contains(&format)
        && number(44) == 4
        // No suggested cache size, no auto-vacuum, UTF-8, no incremental vacuum.
        && (number(48), number(52), number(56), number(64)) == (0, 0, 1, 0)
        && bytes.get(72..92).is_some_and(|unused| unused.iter().all(|byte| *byte == 0));
    match (fixed, is_copy) {
        (false, _) => Header::Damaged,
        (true, true) => Header::Copy,
        (true, false) => Header::Ours,
    }
}

/// The answer to a header that is not ours.
pub(crate) fn refuse(header: Header) -> Result<()> {
    match header {
        Header::None | Header::Ours => Ok(()),
        Header::Newer(found) => Err(Error::TooNew { store: STORE, found, newest: FORMAT }),
        Header::Foreign => {
            Err(fault::corrupt("this is a SQLite file of another program, not a store"))
        }
        Header::Copy => Err(fault::corrupt(
            "the write-ahead log is missing: this is a copy that SQLite has made, and it can be accepted",
        )),
        Header::Damaged => Err(fault::corrupt("the header of the file is not what was written")),
    }
}

/// The format of the file; checks that the tables are its.
pub(crate) fn check(connection: &Connection) -> Result<u32> {
    let sql = fault::sql(Operation::Open);
    let format = connection.pragma_query_value(None, "user_version", |row| row.get(0));
    let format: u32 = format.map_err(&sql)?;
    let mut query =
        connection.prepare("SELECT name, sql FROM sqlite_schema ORDER BY name").map_err(&sql)?;
    let rows = query.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).map_err(&sql)?;
    let found: Vec<(String, String)> = rows.collect::<Result<_, _>>().map_err(sql)?;
    let expected = if format == 1 { VERSION_1 } else { VERSION_2 };
    if found == expected.map(|(name, text)| (name.to_owned(), text.to_owned())) {
        Ok(format)
    } else {
        Err(fault::corrupt("the tables are not those of this format"))
    }
}

const NAME: &str = "INSERT INTO names (created, primary_namespace, secondary_namespace, key) \
     VALUES (?1, ?2, ?3, ?4)";

/// Notes a name that is new.
pub(crate) fn add_name(
    connection: &Connection,
    created: u64,
    ns: &Namespace,
    key: &Key,
) -> rusqlite::Result<usize> {
    let name = params![created.cast_signed(), ns.primary(), ns.secondary(), key.as_str()];
    connection.prepare_cached(NAME)?.execute(name)
}

/// Brings a file of format 1 with these names to format 2, in one transaction.
pub(crate) fn upgrade(connection: &Connection, table: &Table) -> rusqlite::Result<()> {
    let mut names: Vec<_> = table.all().collect();
    names.sort_unstable_by_key(|(_, _, created)| *created);
    let change = connection.unchecked_transaction()?;
    let ((index, _), (_, made)) = (INDEX, NAMES);
    change.execute_batch(&format!("DROP INDEX {index}"))?;
    change.execute_batch(made)?;
    for (ns, key, created) in names {
        add_name(&change, created, ns, key)?;
    }
    change.pragma_update(None, "user_version", FORMAT)?;
    change.commit()
}

const READ_STATE: &str =
    "SELECT sequence, next_created, keys, names, clean, checksum FROM state WHERE one = 1";
const WRITE_STATE: &str = "UPDATE state SET sequence = ?1, next_created = ?2, keys = ?3, \
     names = ?4, clean = ?5, checksum = ?6 WHERE one = 1";

pub(crate) fn read_state(connection: &Connection) -> Result<StateRow> {
    let mut query = connection.prepare_cached(READ_STATE).map_err(fault::sql(Operation::Open))?;
    let row = query.query_row([], |row| {
        let number = |at| row.get::<_, i64>(at);
        let state = StateRow {
            sequence: number(0)?.cast_unsigned(),
            next_created: number(1)?.cast_unsigned(),
            keys: number(2)?.cast_unsigned(),
            names: number(3)?.cast_unsigned(),
            clean: number(4)? == 1,
        };
        Ok((state, number(4)?, number(5)?))
    });
    match row {
        Ok((state, clean, checksum))
            if matches!(clean, 0 | 1) && i64::from(state.checksum()) == checksum =>
        {
            Ok(state)
        }
        Ok(_) => Err(fault::corrupt("the state of the store is not what was written")),
        Err(rusqlite::Error::QueryReturnedNoRows) => {
            Err(fault::corrupt("the state of the store is missing"))
        }
        Err(error) => Err(fault::sql(Operation::Open)(error)),
    }
}

pub(crate) fn write_state(connection: &Connection, state: &StateRow) -> rusqlite::Result<()> {
    let numbers = params![
        state.sequence.cast_signed(),
        state.next_created.cast_signed(),
        state.keys.cast_signed(),
        state.names.cast_signed(),
        i64::from(state.clean),
        i64::from(state.checksum()),
    ];
    let changed = connection.prepare_cached(WRITE_STATE)?.execute(numbers)?;
    if changed == 1 { Ok(()) } else { Err(rusqlite::Error::StatementChangedRows(changed)) }
}
