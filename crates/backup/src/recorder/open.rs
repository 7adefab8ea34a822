//! Opening a recorder: the log that survived becomes the memory.

use std::sync::{Arc, Mutex};

use kv_core::{Clock, Error, Key, KvStore, Result};

use super::{
    Order, Recorder, STORE,
    memory::{Held, Memory},
};
use crate::{
    BackupState, Rules, Stamp, WriterId,
    log::{self, LogEntry, Places},
    stamp::StampClock,
    state::STATE_VERSION,
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
    pub fn open(
        inner: Arc<dyn KvStore>,
        rules: Rules,
        clock: Arc<dyn Clock>,
        settings: RecorderSettings,
    ) -> Result<Arc<Self>> {
        let places = Places::new()?;
        let state = match inner.read(&places.state, &Key::number(0))? {
            Some(bytes) => read_state(&bytes)?,
            None => BackupState::new(WriterId::random().map_err(no_randomness)?),
        };
        let mut stamps = StampClock::new(state.writer);
        let (time, counter) = state.last_stamp;
        stamps.saw(&Stamp { time, counter, writer: state.writer });
        let mut memory = Memory::new(settings.memory_budget);
        let mut last = state.backed_up;
        let mut after = None;
        loop {
            let page = inner.list(&places.log, after.as_ref(), PAGE)?;
            for key in &page {
                let sequence = key
                    .as_number()
                    .ok_or_else(|| Error::corrupt(STORE, "a log entry has no number"))?;
                let entry: LogEntry = match inner.read(&places.log, key)? {
                    Some(bytes) => log::read("log entry", &bytes)?,
                    None => return Err(Error::corrupt(STORE, "a log entry is missing")),
                };
                stamps.saw(&entry.stamp);
                last = last.max(sequence);
                let held = entry.changes.iter().map(|change| match change.len {
                    Some(_) => Held::Dropped,
                    None => Held::Removed(Some(entry.stamp)),
                });
                let held = held.collect();
                memory.push(sequence, entry, held);
            }
            after = page.last().cloned();
            if page.len() < PAGE {
                break;
            }
        }
        // Trimming is lazy: entries that were acknowledged may still be there.
        memory.forget_to(state.backed_up);
        let order = Order { next: last + 1, stamps, memory, state };
        let order = Mutex::new(order);
        Ok(Arc::new(Self { inner, rules, clock, places, order, cutting: Mutex::new(()) }))
    }
}

/// The store key under which a restore leaves the state of a new installation.
pub(crate) fn read_state(bytes: &[u8]) -> Result<BackupState> {
    let found = bytes.first_chunk().map_or(0, |version| u32::from_le_bytes(*version));
    if found > STATE_VERSION {
        return Err(Error::TooNew { store: STORE, found, newest: STATE_VERSION });
    }
    log::read("backup state", bytes)
}

pub(crate) fn no_randomness(source: getrandom::Error) -> Error {
    let source = std::io::Error::other(source);
    Error::Io { store: STORE, during: kv_core::Operation::Open, source: Arc::new(source) }
}
