//! Reading several values: on one connection, in one look at the database, as they lie in its pages.

use kv_core::{Error, Key, Namespace, Operation, ReadMany, Result, Show};
use rusqlite::Connection;

use crate::{
    SqliteStore, fault,
    queue::Shared,
    reader::{Looked, look},
};

impl ReadMany for SqliteStore {
    fn read_many(
        &self,
        ns: &Namespace,
        keys: &[Key],
        enough: usize,
        show: &mut Show<'_>,
    ) -> Result<usize> {
        self.shared.reading(|| self.shared.read_many(ns, keys, enough, show))
    }

    /// Rows lie in the order of their creation.
    fn places(&self, ns: &Namespace, keys: &[Key]) -> Result<Vec<u64>> {
        let state = self.shared.open_state()?;
        let created = state.table.get_each(ns, keys);
        Ok(created.into_iter().map(Option::unwrap_or_default).collect())
    }
}

/// What becomes of a key whose row cannot be shown at once.
struct Later {
    at: usize,
    created: u64,
}

impl Shared {
    fn read_many(
        &self,
        ns: &Namespace,
        keys: &[Key],
        enough: usize,
        show: &mut Show<'_>,
    ) -> Result<usize> {
        let state = self.open_state()?;
        let durable = state.durable;
        let created = state.table.get_each(ns, keys);
        drop(state);
        let mut order: Vec<usize> = (0..keys.len()).collect();
        if enough == usize::MAX {
            // All are wanted: as they lie in the file.
            order.sort_by_key(|at| created.get(*at).copied());
        }
        let (mut read, mut bytes, mut later) = (0, 0, Vec::new());
        self.readers.with(|connection| {
            let snapshot = Snapshot::of(connection)?;
            for at in order {
                let (Some(key), Some(created)) = (keys.get(at), created.get(at)) else { continue };
                read += 1;
                match *created {
                    None => show(at, None)?,
                    Some(created) => {
                        let mut shown = Ok(());
                        let looked = look(connection, ns, key, created, |changed, value| {
                            // What is not durable yet is not shown, nor is it what was there before.
                            if changed > durable {
                                return false;
                            }
                            bytes += value.len();
                            shown = show(at, Some(value));
                            true
                        })?;
                        shown?;
                        if looked == Looked::Other {
                            later.push(Later { at, created });
                            // Its length is not known yet: no further one, unless all are wanted.
                            if enough != usize::MAX {
                                break;
                            }
                        }
                    }
                }
                if bytes >= enough {
                    break;
                }
            }
            snapshot.end()
        })?;
        for Later { at, created } in later {
            let Some(key) = keys.get(at) else { continue };
            show(at, self.read_created(ns, key, created)?.as_deref())?;
        }
        Ok(read)
    }
}

/// One moment of the database, so that its log is not asked anew for each row.
struct Snapshot<'a>(&'a Connection);

impl<'a> Snapshot<'a> {
    fn of(connection: &'a Connection) -> Result<Self> {
        execute(connection, "BEGIN")?;
        Ok(Self(connection))
    }

    fn end(self) -> Result<()> {
        execute(self.0, "COMMIT")
    }
}

fn execute(connection: &Connection, sql: &str) -> Result<(), Error> {
    let done = connection.prepare_cached(sql).and_then(|mut statement| statement.execute([]));
    done.map(|_| ()).map_err(fault::sql(Operation::Read))
}
