//! Opening a recorder: the log that survived becomes the memory.

use std::sync::{Arc, Mutex};

use kv_core::{Batch, Clock, Error, Key, KvStore, Result};

use super::{
    Order, Recorder, STORE,
    fence::FenceKeeper,
    memory::{Held, Memory},
};
use crate::{
    BackupState, Rules, Stamp, WriterId,
    log::{self, LogEntry, Places},
    others::Others,
    stamp::StampClock,
    state::STATE_VERSION,
    tombstones::Tombstones,
};

/// Settings of a [`Recorder`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct RecorderSettings {
    /// How many bytes of values to hold until they are backed up; beyond it they are read again
    /// from the store. Default 64 MiB.
    pub memory_budget: u64,
}

impl Default for RecorderSettings {
    fn default() -> Self {
        Self { memory_budget: 64 << 20 }
    }
}

/// How many log entries to read at once.
const PAGE: usize = 1000;

impl Recorder {
    /// Opens the log in `inner`, or begins one for a new installation.
    ///
    /// [`Error::Corrupt`] also if a restore into `inner` did not finish: restore again, into an
    /// empty store.
    pub fn open(
        inner: Arc<dyn KvStore>,
        rules: Rules,
        clock: Arc<dyn Clock>,
        settings: RecorderSettings,
    ) -> Result<Arc<Self>> {
        let places = Places::new()?;
        let state = match inner.read(&places.state, &log::state())? {
            Some(bytes) => read_state(&bytes)?,
            None => begin(&*inner, &places)?,
        };
        let fence = FenceKeeper::open(&*inner, &places)?;
        let mut stamps = StampClock::new(state.writer);
        let (time, counter) = state.last_stamp;
        stamps.saw(&Stamp { time, counter, writer: state.writer });
        let others = Others::load(&*inner, &places)?;
        stamps.saw_time(others.latest());
        let tombstones = Tombstones::load(&*inner, &places)?;
        let mut memory = Memory::new(settings.memory_budget);
        let mut next = after(state.backed_up)?;
        let mut listed = Some(Key::number(state.backed_up));
        loop {
            let page = inner.list(&places.log, listed.as_ref(), PAGE)?;
            for key in &page {
                // Every number is taken by a batch that happened, so the log has no holes.
                let sequence = next;
                let entry: LogEntry = match inner.read(&places.log, key)? {
                    Some(bytes) if *key == Key::number(sequence) => log::read("log entry", &bytes)?,
                    _ => return Err(Error::corrupt(STORE, "a log entry is missing")),
                };
                stamps.saw(&entry.stamp);
                next = after(sequence)?;
                let held = entry.changes.iter().map(|change| match change.len {
                    Some(_) => Held::Dropped,
                    // What was merged has the stamps of others.
                    None => Held::Removed(tombstones.stamp(&change.name).or(Some(entry.stamp))),
                });
                let held = held.collect();
                memory.push(sequence, entry, held);
            }
            listed = page.last().cloned();
            if page.len() < PAGE {
                break;
            }
        }
        let order = Order { next, stamps, memory, state, others, tombstones, touched: None };
        let order = Mutex::new(order);
        let (cutting, merging) = (Mutex::new(()), Mutex::new(()));
        Ok(Arc::new(Self { inner, rules, clock, places, order, cutting, merging, fence }))
    }
}

/// Writes the state of a new installation, so that its writer id is the same after a crash.
fn begin(inner: &dyn KvStore, places: &Places) -> Result<BackupState> {
    if inner.read(&places.state, &log::restoring())?.is_some() {
        return Err(Error::corrupt(STORE, "a restore did not finish"));
    }
    for ns in [&places.log, &places.tombstones] {
        if !inner.list(ns, None, 1)?.is_empty() {
            return Err(Error::corrupt(STORE, "there is a log, but no state"));
        }
    }
    let state = BackupState::new(WriterId::random().map_err(no_randomness)?);
    inner.submit(Batch::new().put(&places.state, &log::state(), log::write(&state))).wait()?;
    Ok(state)
}

fn after(sequence: u64) -> Result<u64> {
    sequence.checked_add(1).ok_or_else(|| Error::corrupt(STORE, "no sequence number is left"))
}

fn read_state(bytes: &[u8]) -> Result<BackupState> {
    let found = bytes.first_chunk().map_or(0, |version| u32::from_le_bytes(*version));
    if found == 0 {
        return Err(Error::corrupt(STORE, "a state without a version"));
    }
    if found > STATE_VERSION {
        return Err(Error::TooNew { store: STORE, found, newest: STATE_VERSION });
    }
    log::read("backup state", bytes)
}

pub(crate) fn no_randomness(source: getrandom::Error) -> Error {
    let source = std::io::Error::other(source);
    Error::Io { store: STORE, during: kv_core::Operation::Open, source: Arc::new(source) }
}
