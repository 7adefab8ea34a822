//! The one connection that writes: a group of batches as one transaction, and moving the log into the database.

use kv_core::{Key, Namespace, Operation, Result, Value};
use rusqlite::{Connection, config::DbConfig, params};

use crate::{
    fault,
    gate::Gate,
    row::{self, StateRow},
    schema,
    table::Table,
    wal,
};

/// What a transaction does to one row.
#[derive(Debug)]
pub(crate) enum Effect {
    Insert { ns: Namespace, key: Key, created: u64, value: Value },
    Update { ns: Namespace, key: Key, created: u64, value: Value },
    Delete { created: u64 },
}

/// A group of batches, folded: removals first, so that a name is free before it is used again.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) effects: Vec<Effect>,
    pub(crate) state: StateRow,
}

#[derive(Debug)]
pub(crate) struct Writer {
    connection: Connection,
    gate: Gate,
}

const INSERT: &str = "INSERT INTO kv (created, primary_namespace, secondary_namespace, key, \
     changed, checksum, value) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)";
const UPDATE: &str = "UPDATE kv SET changed = ?2, checksum = ?3, value = ?4 WHERE created = ?1";
const DELETE: &str = "DELETE FROM kv WHERE created = ?1";
const DELETE_NAME: &str = "DELETE FROM names WHERE created = ?1";

impl Writer {
    pub(crate) fn new(connection: Connection, gate: Gate) -> Self {
        Self { connection, gate }
    }

    pub(crate) fn connection(&self) -> &Connection {
        &self.connection
    }

    /// Brings a file of an earlier format to this one. After an error it is one or the other, whole, and
    /// the next opening goes on.
    pub(crate) fn upgrade(&self, table: &Table) -> Result<()> {
        self.gate
            .pass(|| schema::upgrade(&self.connection, table).map_err(fault::sql(Operation::Open)))
    }

    /// Makes all of it durable, or none of it. After an error nobody knows which.
    pub(crate) fn write(&self, plan: &Plan) -> Result<()> {
        self.execute("BEGIN IMMEDIATE", Operation::Write)?;
        let written = self.fill(plan);
        if written.is_err() {
            // Where this fails, too, the end of the connection does it.
            self.execute("ROLLBACK", Operation::Write).ok();
            return written;
        }
        self.execute("COMMIT", Operation::Sync)
    }

    fn fill(&self, plan: &Plan) -> Result<()> {
        let changed = plan.state.sequence;
        for effect in &plan.effects {
            self.gate.pass(|| {
                let rows = self.apply(effect, changed);
                match rows.map_err(fault::unknown(Operation::Write))? {
                    1 => Ok(()),
                    _ => Err(fault::corrupt("a row that is about to change is missing")),
                }
            })?;
        }
        self.gate.pass(|| {
            let written = schema::write_state(&self.connection, &plan.state);
            written.map_err(fault::unknown(Operation::Write))
        })
    }

    fn apply(&self, effect: &Effect, changed: u64) -> rusqlite::Result<usize> {
        match effect {
            Effect::Insert { ns, key, created, value } => {
                let checksum = row::checksum(*created, changed, ns, key, value);
                schema::add_name(&self.connection, *created, ns, key)?;
                self.connection.prepare_cached(INSERT)?.execute(params![
                    created.cast_signed(),
                    ns.primary(),
                    ns.secondary(),
                    key.as_str(),
                    changed.cast_signed(),
                    checksum,
                    &**value,
                ])
            }
            Effect::Update { ns, key, created, value } => {
                let checksum = row::checksum(*created, changed, ns, key, value);
                self.connection.prepare_cached(UPDATE)?.execute(params![
                    created.cast_signed(),
                    changed.cast_signed(),
                    checksum,
                    &**value,
                ])
            }
            Effect::Delete { created } => {
                let of = params![created.cast_signed()];
                // As many as there are of both.
                let names = self.connection.prepare_cached(DELETE_NAME)?.execute(of)?;
                Ok(self.connection.prepare_cached(DELETE)?.execute(of)?.min(names))
            }
        }
    }

    fn execute(&self, sql: &str, during: Operation) -> Result<()> {
        self.gate.pass(|| {
            let done = self.connection.prepare_cached(sql).and_then(|mut s| s.execute([]));
            done.map(|_| ()).map_err(fault::unknown(during))
        })
    }

    /// Bytes of the log that are not in the database yet.
    pub(crate) fn log_bytes(&self) -> Result<u64> {
        let (_, log, moved) = self.ask("NOOP")?;
        Ok((log - moved).max(0).cast_unsigned() * wal::FRAME as u64)
    }

    /// How long the file of the log may stay when it is written from its begin again.
    pub(crate) fn keep_log(&self, bytes: u64) -> Result<()> {
        let kept = self.connection.pragma_update(None, "journal_size_limit", bytes.cast_signed());
        kept.map_err(fault::sql(Operation::Checkpoint))
    }

    /// Moves the log into the database, and makes that durable; tells whether all was moved.
    /// Readers may hold some of it back.
    pub(crate) fn checkpoint(&self, mode: &str) -> Result<bool> {
        self.gate.pass(|| {
            let (busy, log, moved) = self.ask(mode)?;
            Ok(!busy && log == moved)
        })
    }

    /// Whether something stood in the way; pages in the log, and how many of them are in the
    /// database, too.
    fn ask(&self, mode: &str) -> Result<(bool, i64, i64)> {
        let sql = format!("PRAGMA wal_checkpoint({mode})");
        let outcome = self.connection.prepare_cached(&sql).and_then(|mut statement| {
            statement
                .query_row([], |row| Ok((row.get::<_, i64>(0)? != 0, row.get(1)?, row.get(2)?)))
        });
        outcome.map_err(fault::sql(Operation::Checkpoint))
    }

    /// Bytes of pages in the database that hold nothing.
    pub(crate) fn free_inside(&self) -> u64 {
        let count = self
            .connection
            .prepare_cached("PRAGMA freelist_count")
            .and_then(|mut query| query.query_row([], |row| row.get::<_, i64>(0)));
        count.unwrap_or(0).cast_unsigned() * schema::PAGE as u64
    }

    /// Notes whether the database file has everything, and moves that there.
    pub(crate) fn note_clean(&self, clean: bool, mode: &str) -> Result<bool> {
        let mut state = schema::read_state(&self.connection)?;
        state.clean = clean;
        self.gate.pass(|| {
            let written = schema::write_state(&self.connection, &state);
            written.map_err(fault::sql(Operation::Sync))
        })?;
        self.checkpoint(mode)
    }

    /// Lets SQLite remove the log when the connection closes: it is empty.
    pub(crate) fn give_up_log(&self) -> Result<()> {
        let off = self.connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, false);
        off.map(|_| ()).map_err(fault::sql(Operation::Close))
    }
}
