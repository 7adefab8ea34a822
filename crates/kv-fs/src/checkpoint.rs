//! Moving durable values from the log to their files, so that the log can be used again.

use std::{
    collections::{BTreeSet, HashSet},
    io,
    sync::PoisonError,
};

use kv_core::{Error, Namespace, Operation, Result};

use crate::{
    crew::calmly,
    disk::Disk,
    fault,
    index::{self, Folders, IndexFile, Kept, Mark, Names, Row},
    layout,
    log::Written,
    move_value::Moving,
    mtime::{self, Times},
    queue::Shared,
    table::{Entry, Name},
};

/// What checkpoints remember from one to the next. Whoever holds it runs the only checkpoint.
#[derive(Debug)]
pub(crate) struct Checkpointer {
    /// `None` after an append that failed: the index must be written anew.
    pub(crate) index: Option<IndexFile>,
    /// Folders whose names were made durable since open.
    pub(crate) known_dirs: HashSet<String>,
    pub(crate) times: Times,
    pub(crate) names: Names,
    /// What the index says, or would say, at its end.
    pub(crate) mark: Mark,
    /// The folders as the last clean close has noted them, and whether that note is still the end
    /// of the index.
    pub(crate) noted: Folders,
    pub(crate) noted_last: bool,
}

/// What a checkpoint moves, taken in one step.
struct Cut {
    mark: Mark,
    dirty: Vec<(Name, Option<Entry>)>,
    dead_big: Vec<u64>,
    retired: Vec<Written>,
    log_bytes: u64,
}

impl Shared {
    /// Runs one checkpoint. After a failure the log is kept, nothing is lost, and the next one
    /// does all of it again.
    pub(crate) fn checkpoint(&self) -> Result<()> {
        let outcome = calmly(|| self.checkpoint_once());
        let mut state = self.lock();
        let outcome = outcome.unwrap_or_else(|| {
            // What it has taken from the table may be lost there. The log has it.
            let error = fault::panicked(Operation::Checkpoint);
            self.poison(&mut state, error.clone());
            Err(error)
        });
        state.checkpoint.running = false;
        state.checkpoint.ended += 1;
        state.room.due = true;
        drop(state);
        self.wake();
        self.done.notify_all();
        outcome
    }

    fn checkpoint_once(&self) -> Result<()> {
        let mut checkpointer = self.checkpointer.lock().unwrap_or_else(PoisonError::into_inner);
        let mut cut = self.cut();
        let outcome = self.move_to_files(&mut checkpointer, &mut cut);
        let mut state = self.lock();
        match &outcome {
            Ok(rows) => {
                for ((_, entry), (name, row)) in cut.dirty.iter().zip(rows) {
                    if let (Some(entry), Some(kept)) = (entry, row) {
                        state.table.moved_to_file(name, entry.version, *kept);
                    }
                }
                state.checkpoint.log_bytes -= cut.log_bytes;
                state.checkpoint.due_at = self.settings.checkpoint_after;
                state.checkpoint.last_failed = false;
                let retired = cut.retired.len();
                state.chain.drain(..retired);
            }
            Err(error) => {
                tracing::warn!(%error, "a checkpoint failed, the log is kept");
                state.table.put_back_dirty(cut.dirty.into_iter().map(|(name, _)| name));
                state.table.abandon_big(cut.dead_big.iter().copied());
                state.checkpoint.due_at =
                    state.checkpoint.log_bytes + self.settings.checkpoint_after / 4;
                state.checkpoint.failed += 1;
                state.checkpoint.last_failed = true;
            }
        }
        drop(state);
        match &outcome {
            Ok(_) => self.recycle(&cut.retired),
            Err(_) => self.shrink_pool(0),
        }
        outcome.map(|_| ()).map_err(|source| Error::io(fault::STORE, Operation::Checkpoint, source))
    }

    fn cut(&self) -> Cut {
        let mut state = self.lock();
        let last = state.chain.len().saturating_sub(1);
        Cut {
            mark: Mark {
                applied: state.durable,
                next_creation: state.next_creation,
                // Everything in older segments is durable and so part of this cut.
                log_from: state.chain.back().map_or(1, |written| written.number),
            },
            dirty: state.table.take_dirty(),
            dead_big: state.table.take_dead_big(),
            retired: state.chain.iter().take(last).copied().collect(),
            log_bytes: state.checkpoint.log_bytes,
        }
    }

    /// Makes the cut durable in files and index; answers its rows.
    fn move_to_files(
        &self,
        checkpointer: &mut Checkpointer,
        cut: &mut Cut,
    ) -> io::Result<Vec<(Name, Row)>> {
        let disk = &*self.disk;
        let now = mtime::of_log(disk, cut.mark.log_from)?;
        // Only what an earlier checkpoint has put into its file has a time already.
        let had_file =
            |(_, entry): &(Name, Option<Entry>)| entry.as_ref().is_some_and(|e| e.modified > 0);
        let had_file: Vec<bool> = cut.dirty.iter().map(had_file).collect();
        checkpointer.times.give(&mut cut.dirty, now);
        // Until the index is written the log has all of it: it does not matter in which order
        // bytes and names become durable, only that all are before that.
        let at_once = cut.dirty.len() >= self.settings.sync_disk_from && disk.syncs_disk();
        let mut unsynced = BTreeSet::new();
        // Removals first: on a full disk they make room for the rest.
        for ((ns, key), entry) in &cut.dirty {
            if entry.is_none() {
                let path = layout::value(ns, key);
                disk.remove(&path)?;
                unsynced.insert(layout::parent(&path).to_owned());
            }
        }
        for id in &cut.dead_big {
            disk.remove(&layout::big(*id))?;
        }
        let mut rows: Vec<(Name, Row)> = Vec::with_capacity(cut.dirty.len());
        let how = Moving { disk, at_once };
        for ((name, entry), had_file) in cut.dirty.iter().zip(had_file) {
            let row = match entry {
                None => None,
                Some(entry) => {
                    make_dirs(disk, &mut checkpointer.known_dirs, &name.0, &mut unsynced)?;
                    let stamp = how.move_value(name, entry, had_file)?;
                    Some(Kept { created: entry.created, modified: entry.modified, stamp })
                }
            };
            rows.push((name.clone(), row));
        }
        if at_once {
            disk.sync_disk()?;
            unsynced.clear();
        }
        for dir in unsynced {
            match disk.sync_dir(&dir) {
                // A key that came and went between two checkpoints never had a folder.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                other => other?,
            }
        }
        (checkpointer.mark, checkpointer.noted_last) = (cut.mark, false);
        let index = match checkpointer.index.take() {
            Some(mut index) if !index.wants_rewrite() => {
                index.append(disk, cut.mark, &rows)?;
                index
            }
            _ => rewrite_index(disk, cut.mark, checkpointer.names, &rows)?,
        };
        checkpointer.index = Some(index);
        Ok(rows)
    }

    /// Keeps retired segment files to be used again and removes those that are too many. Nothing
    /// depends on it: what a failure or a crash leaves behind is found at the next open.
    fn recycle(&self, retired: &[Written]) {
        for written in retired {
            let (log, spare) = (layout::log(written.number), layout::spare(written.number));
            if self.disk.rename(&log, &spare).is_ok() {
                self.lock().room.pool.put(spare, written.capacity);
            }
        }
        let value_bytes = self.lock().table.value_bytes();
        self.shrink_pool(self.settings.pool_bytes(value_bytes));
    }

    /// Removes retired segments until the rest has no more than this many bytes. On a full disk the
    /// space is worth more than the time to make them again.
    pub(crate) fn shrink_pool(&self, bytes: u64) {
        loop {
            let surplus = self.lock().room.pool.surplus(bytes);
            let Some(path) = surplus else { return };
            self.disk.remove(&path).ok();
        }
    }
}

/// Creates the folders of a namespace. Each is made durable in its parent once per open, even if
/// it was there: an earlier program may have been stopped before it did that.
fn make_dirs(
    disk: &dyn Disk,
    known: &mut HashSet<String>,
    ns: &Namespace,
    unsynced: &mut BTreeSet<String>,
) -> io::Result<()> {
    for dir in layout::dirs(ns) {
        if !known.contains(&dir) {
            disk.create_dir(&dir)?;
            disk.sync_dir(layout::parent(&dir))?;
            known.insert(dir.clone());
        }
        unsynced.insert(dir);
    }
    Ok(())
}

/// Writes the index anew from its present contents and the changes.
fn rewrite_index(
    disk: &dyn Disk,
    mark: Mark,
    names: Names,
    changes: &[(Name, Row)],
) -> io::Result<IndexFile> {
    let loaded = index::load(disk).map_err(io::Error::other)?;
    let mut rows = loaded.ok_or(io::ErrorKind::NotFound)?.rows;
    for ((ns, key), row) in changes {
        rows.set(ns, key.clone(), *row);
    }
    index::write(disk, mark, names, rows.iter())
}
