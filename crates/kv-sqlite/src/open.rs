//! Opening: take the lock, look at what is there before SQLite does, and load the names.

use std::{collections::BTreeMap, path::PathBuf};

use kv_core::{Error, Key, Namespace, Operation, Report, Result, Severity};
use rusqlite::{Connection, OpenFlags, config::DbConfig};

use crate::{
    Settings,
    damage::sum_mismatch,
    fault::{self, STORE},
    files::{self, Files, Lock, Owner},
    gate::Gate,
    queue::{Shared, State},
    reader::{self, Readers},
    row::StateRow,
    schema::{self, Header},
    table::Table,
    wal::{self, Content},
    writer::Writer,
};

/// Opens the store, and creates it where there is none.
pub(crate) fn open(files: Files, settings: Settings, gate: Gate) -> Result<(Shared, Owner)> {
    let io = fault::io(Operation::Open);
    let owner = own(&files)?;
    let mut notices = Report::default();
    let log = files.read_log().map_err(&io)?;
    if let Some(bytes) = &log {
        take_over_log(&files, bytes, &settings, &mut notices)?;
    }
    let connection = connect(files.database().to_owned(), &settings)?;
    let writer = Writer::new(connection, gate);
    let format = schema::check(writer.connection())?;
    let found = schema::read_state(writer.connection())?;
    if log.is_none() {
        if !found.clean {
            return Err(fault::corrupt(
                "the write-ahead log (the file with -wal behind its name) is missing, and with it the \
                 newest changes; unless another program has moved it into the file after a crash, or \
                 the file is a copy that SQLite has made: then it can be accepted",
            ));
        }
        files.extend_log(settings.wal_len()).map_err(&io)?;
    }
    let table = load(writer.connection(), format, &found)?;
    if format < schema::FORMAT {
        writer.upgrade(&table)?;
    }
    // What the log held is written anew, to the database, and synced there before anything is
    // served. From here on the log must not go missing.
    if !writer.note_clean(false, "FULL")? {
        return Err(Error::InUse { store: STORE });
    }
    let free = files.free().map(|free| free + writer.free_inside());
    let state = State {
        table,
        queue: Default::default(),
        pending: Default::default(),
        queued_bytes: 0,
        queued_room: 0,
        free,
        submitted: found.sequence,
        durable: found.sequence,
        next_created: found.next_created,
        poison: None,
        closing: false,
        closed: false,
        stop_flusher: false,
        wakers: Default::default(),
        flush_due: None,
        flusher_wakes: None,
        writer: Some(writer),
        log_is_due: false,
        move_due: None,
        flushing: false,
        reading: 0,
    };
    let readers = Readers::new(files.database().to_owned(), &settings);
    Ok((Shared::new(settings, files, readers, state, notices), owner))
}

/// Takes the lock of the store, and makes the database where there is none.
fn own(files: &Files) -> Result<Owner> {
    let io = fault::io(Operation::Open);
    let _alone = files::alone();
    let lock = files.own_if_there().map_err(&io)?;
    if matches!(lock, Lock::Held) {
        return Err(Error::InUse { store: STORE });
    }
    // Before anything is touched: what is newer or not ours stays as it is.
    schema::refuse(schema::parse_header(&files.header().map_err(&io)?))?;
    let (owner, locked) = match lock {
        Lock::Free(owner) => (owner, true),
        _ => {
            files.create_folder().map_err(&io)?;
            (files.own().map_err(&io)?.ok_or(Error::InUse { store: STORE })?, false)
        }
    };
    // Another process may have been here in between.
    let header = schema::parse_header(&files.header().map_err(&io)?);
    schema::refuse(header)?;
    if header == Header::None {
        if let Some(loss) = files.loss(locked).map_err(&io)? {
            return Err(fault::corrupt(loss));
        }
        create(files)?;
    }
    Ok(owner)
}

/// Whether there is a store, damaged or not. Changes nothing.
pub(crate) fn exists(files: &Files) -> Result<bool> {
    let io = fault::io(Operation::Open);
    let _alone = files::alone();
    let locked = match files.own_if_there().map_err(&io)? {
        Lock::Held => return Ok(true),
        // Not kept: no other thread opens it now, and other processes have locks of their own.
        Lock::Free(_) => true,
        Lock::Absent => false,
    };
    match schema::parse_header(&files.header().map_err(&io)?) {
        Header::None => Ok(files.loss(locked).map_err(&io)?.is_some()),
        Header::Foreign => Ok(false),
        _ => Ok(true),
    }
}

/// Makes an empty database. It gets its name when it is complete.
fn create(files: &Files) -> Result<()> {
    let io = fault::io(Operation::Open);
    files.sweep_unfinished().map_err(&io)?;
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE
        | OpenFlags::SQLITE_OPEN_CREATE
        | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let made = Connection::open_with_flags(files.unfinished(), flags).and_then(|connection| {
        schema::create(&connection)?;
        connection.close().map_err(|(_, error)| error)
    });
    made.map_err(fault::sql(Operation::Open))?;
    files.finish().map_err(io)
}

/// Writes the whole transactions of a log anew, or refuses it.
fn take_over_log(
    files: &Files,
    bytes: &[u8],
    settings: &Settings,
    notices: &mut Report,
) -> Result<()> {
    let good = match wal::judge(bytes) {
        Content::Good(good) => good,
        Content::Damaged => {
            return Err(fault::corrupt("the write-ahead log is damaged before its end"));
        }
    };
    let rest = bytes.get(good..).unwrap_or_default();
    if good > 0 && rest.iter().any(|byte| *byte != 0) {
        let what = "the end of the log was cut: what was there had not been acknowledged";
        notices.push(Severity::Notice, STORE, what);
    }
    let keep = bytes.get(..good).unwrap_or_default();
    files.renew_log(keep, settings.wal_len()).map_err(fault::io(Operation::Open))
}

fn connect(database: PathBuf, settings: &Settings) -> Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let open = || {
        let connection = Connection::open_with_flags(database, flags)?;
        // The log is given up at a clean close only.
        connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
        reader::set_up(&connection, settings.page_cache)?;
        let mode: String = connection.pragma_query_value(None, "journal_mode", |row| row.get(0))?;
        connection.pragma_update(None, "synchronous", "FULL")?;
        // Darwin: as kv-fs does there.
        connection.pragma_update(None, "fullfsync", true)?;
        connection.pragma_update(None, "checkpoint_fullfsync", true)?;
        connection.pragma_update(None, "wal_autocheckpoint", 0)?;
        Ok((connection, mode))
    };
    let (connection, mode) = open().map_err(fault::sql(Operation::Open))?;
    if mode == "wal" { Ok(connection) } else { Err(fault::corrupt("the file has no log")) }
}

/// Makes a store of a copy that SQLite's own tools have made of an open one, or whose log another
/// program has moved. Not of one that has its log: SQLite would drop what of that is damaged.
pub(crate) fn accept_copy(files: &Files) -> Result<()> {
    let io = fault::io(Operation::Open);
    let alone = files::alone();
    if files.is_empty().map_err(&io)? {
        return Err(Error::NotFound { store: STORE });
    }
    let _owner = files.own().map_err(&io)?.ok_or(Error::InUse { store: STORE })?;
    drop(alone);
    if files.read_log().map_err(io)?.is_some() {
        return Err(fault::corrupt("its write-ahead log is there: nothing is to be accepted"));
    }
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let sql = fault::sql(Operation::Open);
    let connection = Connection::open_with_flags(files.database(), flags).map_err(&sql)?;
    let pragma = |name| connection.pragma_query_value(None, name, |row| row.get::<_, u32>(0));
    if pragma("application_id").map_err(&sql)? != schema::APPLICATION {
        return schema::refuse(Header::Foreign);
    }
    let format = pragma("user_version").map_err(&sql)?;
    if format > schema::FORMAT {
        return schema::refuse(Header::Newer(format));
    }
    let format = schema::check(&connection)?;
    let mut state = schema::read_state(&connection)?;
    load(&connection, format, &state)?;
    state.clean = true;
    schema::write_state(&connection, &state).map_err(&sql)?;
    let mode = connection
        .pragma_update_and_check(None, "journal_mode", "wal", |row| row.get::<_, String>(0));
    if mode.map_err(&sql)? == "wal" { Ok(()) } else { Err(fault::corrupt("the file has no log")) }
}

const NAMES: &str = "SELECT primary_namespace, secondary_namespace, key, created FROM names";
/// From the index alone: what else is in the table may be damaged.
const NAMES_1: &str = "SELECT primary_namespace, secondary_namespace, key, created \
     FROM kv INDEXED BY kv_names";

/// All names, checked against the sum over them.
pub(crate) fn load(connection: &Connection, format: u32, state: &StateRow) -> Result<Table> {
    let sql = fault::sql(Operation::Open);
    let bad = |_| fault::corrupt("a name breaks the rules");
    let names = if format == 1 { NAMES_1 } else { NAMES };
    let mut query = connection.prepare(names).map_err(&sql)?;
    let mut rows = query.query([]).map_err(&sql)?;
    let mut names: Vec<(Namespace, Vec<(Key, u64)>)> = Vec::new();
    let mut places: BTreeMap<Namespace, usize> = BTreeMap::new();
    let mut last = 0;
    while let Some(row) = rows.next().map_err(&sql)? {
        let text = |at| row.get_ref(at)?.as_str().map_err(rusqlite::Error::from);
        let (primary, secondary) = (text(0).map_err(&sql)?, text(1).map_err(&sql)?);
        let key = Key::new(text(2).map_err(&sql)?).map_err(bad)?;
        let created = row.get::<_, i64>(3).map_err(&sql)?.cast_unsigned();
        if created >= state.next_created {
            return Err(sum_mismatch());
        }
        // Neighbours are mostly of the same namespace.
        let is_of = |ns: &Namespace| ns.primary() == primary && ns.secondary() == secondary;
        if !names.get(last).is_some_and(|(ns, _)| is_of(ns)) {
            let ns = Namespace::any(primary, secondary).map_err(bad)?;
            last = *places.entry(ns.clone()).or_insert(names.len());
            if last == names.len() {
                names.push((ns, Vec::new()));
            }
        }
        if let Some((_, keys)) = names.get_mut(last) {
            keys.push((key, created));
        }
    }
    let table = Table::from_names(names).ok_or_else(sum_mismatch)?;
    if (table.keys(), table.names()) == (state.keys, state.names) {
        Ok(table)
    } else {
        Err(sum_mismatch())
    }
}

#[cfg(test)]
mod tests {
    use std::{sync::mpsc, thread, time::Duration};

    use super::*;

    /// Else one thread could look at the database of a store that another one has just opened.
    #[test]
    fn one_thread_at_a_time_looks_at_a_database_or_opens_it() {
        let dir = tempfile::tempdir().unwrap();
        let asks: [fn(Files) -> bool; 3] = [
            |files| open(files, Settings::default(), Gate::default()).is_ok(),
            |files| exists(&files).is_ok(),
            |files| accept_copy(&files).is_err(),
        ];
        for ask in asks {
            let files = Files::new(&dir.path().join("store.sqlite"));
            let (told, hears) = mpsc::channel();
            let alone = files::alone();
            let asking = thread::spawn(move || told.send(ask(files)).ok());
            let early = hears.recv_timeout(Duration::from_millis(50));
            assert_eq!(early, Err(mpsc::RecvTimeoutError::Timeout));
            drop(alone);
            assert_eq!(hears.recv(), Ok(true));
            asking.join().unwrap();
        }
    }

    #[test]
    fn the_connection_that_writes_survives_power_cuts() {
        let dir = tempfile::tempdir().unwrap();
        let files = || Files::new(&dir.path().join("store.sqlite"));
        // One that is new, and one with a log.
        for _ in 0..2 {
            let (shared, owner) = open(files(), Settings::default(), Gate::default()).unwrap();
            let state = shared.lock();
            let connection = state.writer.as_ref().unwrap().connection();
            let ask = |name| {
                let value = connection
                    .pragma_query_value(None, name, |row| row.get::<_, rusqlite::types::Value>(0));
                value.unwrap()
            };
            // 2 is FULL: the log is synced at each commit.
            assert_eq!(ask("synchronous"), 2.into());
            assert_eq!(ask("journal_mode"), "wal".to_owned().into());
            assert_eq!(ask("wal_autocheckpoint"), 0.into());
            assert_eq!(ask("fullfsync"), 1.into());
            assert_eq!(ask("checkpoint_fullfsync"), 1.into());
            let keeps = DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE;
            assert!(connection.db_config(keeps).unwrap());
            drop(state);
            drop(shared);
            drop(owner);
        }
    }
}
