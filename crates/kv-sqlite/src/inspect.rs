//! What the store can do beyond the contract: order of creation, scrub, size.

use kv_core::{
    CreationOrder, CreationPage, Cursor, Error, Footprint, Namespace, Operation, Progress, Report,
    Result, Severity, Size, Verify,
};
use rusqlite::Connection;

use crate::{
    SqliteStore,
    fault::{self, STORE},
    open,
    queue::Shared,
    row::StateRow,
    schema,
};

impl CreationOrder for SqliteStore {
    fn list_newest_first(
        &self,
        ns: &Namespace,
        cursor: Option<&Cursor>,
        limit: usize,
    ) -> Result<CreationPage> {
        Ok(self.shared.open_state()?.table.newest_first(ns, cursor, limit))
    }
}

impl Verify for SqliteStore {
    fn verify(&self, progress: &mut dyn FnMut(Progress)) -> Result<Report> {
        let mut report = self.shared.notices.clone();
        self.shared.verify_pages(&mut report)?;
        let names: Vec<_> = {
            let state = self.shared.open_state()?;
            state.table.all().map(|(ns, key, _)| (ns.clone(), key.clone())).collect()
        };
        let total = names.len() as u64;
        for (done, (ns, key)) in (0..).zip(names) {
            if done % 256 == 0 {
                progress(Progress { done, total });
            }
            self.shared.verify_row(&ns, &key, &mut report)?;
        }
        progress(Progress { done: total, total });
        Ok(report)
    }
}

impl Shared {
    /// SQLite's own check, then the tables and the sum over all names.
    fn verify_pages(&self, report: &mut Report) -> Result<()> {
        let checked = self.reading(|| {
            self.readers.with(|connection| {
                let mut found = integrity_check(connection)?;
                connection.execute_batch("BEGIN").map_err(fault::sql(Operation::Read))?;
                let sums = schema::check(connection).and_then(|format| {
                    let state = schema::read_state(connection)?;
                    open::load(connection, format, &state)?;
                    count_rows(connection, &state)
                });
                connection.execute_batch("ROLLBACK").map_err(fault::sql(Operation::Read))?;
                match sums {
                    Ok(()) => {}
                    Err(Error::Corrupt { source, .. }) => found.push(source.to_string()),
                    Err(error) => return Err(error),
                }
                Ok(found)
            })
        });
        match checked {
            Ok(found) => {
                for what in found {
                    report.push(Severity::Damage, STORE, what);
                }
                Ok(())
            }
            Err(error) => note_damage(report, "the database", error),
        }
    }

    fn verify_row(&self, ns: &Namespace, key: &kv_core::Key, report: &mut Report) -> Result<()> {
        let Some(created) = self.open_state()?.table.get(ns, key) else { return Ok(()) };
        match self.reading(|| self.read_created(ns, key, created)) {
            Ok(None) => Ok(()),
            Ok(Some(value)) => {
                report.entries += 1;
                report.bytes += value.len() as u64;
                Ok(())
            }
            Err(error) => {
                note_damage(report, &format!("the value created as number {created}"), error)
            }
        }
    }
}

/// Damage and what cannot be read are findings; anything else ends the scrub.
fn note_damage(report: &mut Report, what: &str, error: Error) -> Result<()> {
    match error {
        Error::Corrupt { .. } => {
            report.push(Severity::Damage, STORE, format!("{what} is missing or damaged"));
        }
        Error::Io { .. } | Error::ReadOnly { .. } => {
            report.push(Severity::Damage, STORE, format!("{what} cannot be read"));
        }
        other => return Err(other),
    }
    Ok(())
}

/// What `PRAGMA integrity_check` finds: pages that are not of the tree they are in, used twice or
/// never, and an index that differs from its table. It shows no values and no names.
fn integrity_check(connection: &Connection) -> Result<Vec<String>> {
    let sql = fault::sql(Operation::Read);
    let mut query = connection.prepare("PRAGMA integrity_check(20)").map_err(&sql)?;
    let lines = query.query_map([], |row| row.get::<_, String>(0)).map_err(&sql)?;
    let mut found: Vec<String> = lines.collect::<Result<_, _>>().map_err(sql)?;
    found.retain(|line| line != "ok");
    Ok(found)
}

/// Each name has its row, which is looked at by itself; this finds a row without a name.
fn count_rows(connection: &Connection, state: &StateRow) -> Result<()> {
    let rows = connection.query_row("SELECT count(*) FROM kv", [], |row| row.get::<_, i64>(0));
    match rows.map_err(fault::sql(Operation::Read))?.cast_unsigned() == state.keys {
        true => Ok(()),
        false => Err(fault::corrupt("there are not as many values as names")),
    }
}

impl Footprint for SqliteStore {
    fn footprint(&self) -> Result<Size> {
        let shared = &self.shared;
        let mut size = Size::default();
        {
            let state = shared.open_state()?;
            size.keys = state.table.keys();
            size.memory_bytes = state.table.memory()
                + state.queued_bytes
                + shared.settings.page_cache * (1 + shared.readers.idle() as u64);
        }
        size.value_bytes = shared.reading(|| {
            shared.readers.with(|connection| {
                let sql = "SELECT coalesce(sum(length(value)), 0) FROM kv";
                let sum = connection.query_row(sql, [], |row| row.get::<_, i64>(0));
                Ok(sum.map_err(fault::sql(Operation::Read))?.cast_unsigned())
            })
        })?;
        size.disk_bytes = shared.files.size().map_err(fault::io(Operation::Read))?;
        Ok(size)
    }
}
