//! The limit: what this disk allows to anybody who makes records durable one group at a time. It
//! is no store: it keeps no keys and cannot read.

use std::{
    fs::{File, OpenOptions},
    io::Write,
    os::unix::fs::FileExt,
    path::Path,
    sync::{Condvar, Mutex, MutexGuard, PoisonError},
};

use super::Writer;
use crate::{Result, names::Name};

/// The file is filled with zeros before it is used and then used over and over: a first write to
/// space that is only reserved would cost an entry in the file system's journal at each sync.
const FILE: u64 = 64 << 20;

/// One file and a buffer. Each writer copies its record into the buffer; whoever finds nobody
/// writing takes all that is in it, writes it and syncs once.
pub(crate) struct Limit {
    file: File,
    state: Mutex<State>,
    done: Condvar,
}

#[derive(Default)]
struct State {
    buffer: Vec<u8>,
    /// An empty buffer with room, to swap with.
    spare: Vec<u8>,
    /// Where the next group goes.
    offset: u64,
    /// How many records were put into the buffer, and how many of them are durable.
    added: u64,
    durable: u64,
    led: bool,
    failed: bool,
}

impl Limit {
    pub(crate) fn open(dir: &Path) -> Result<Self> {
        let path = dir.join("limit");
        let mut file =
            OpenOptions::new().create(true).truncate(false).read(true).write(true).open(path)?;
        if file.metadata()?.len() != FILE {
            let zeros = vec![0; 1 << 20];
            for _ in 0..FILE / zeros.len() as u64 {
                file.write_all(&zeros)?;
            }
            file.sync_all()?;
        }
        Ok(Self { file, state: Mutex::default(), done: Condvar::new() })
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Writer for Limit {
    fn write(&self, _: &Name, value: Vec<u8>) -> Result<()> {
        let mut state = self.lock();
        state.added += 1;
        let mine = state.added;
        // The least that a log must add to find its records again.
        state.buffer.extend_from_slice(&(value.len() as u64).to_le_bytes());
        state.buffer.extend_from_slice(&mine.to_le_bytes());
        state.buffer.extend_from_slice(&value);
        loop {
            if state.failed {
                return Err("the limit could not write".into());
            }
            if state.durable >= mine {
                return Ok(());
            }
            if state.led {
                state = self.done.wait(state).unwrap_or_else(PoisonError::into_inner);
                continue;
            }
            state.led = true;
            let last = state.added;
            let spare = std::mem::take(&mut state.spare);
            let mut group = std::mem::replace(&mut state.buffer, spare);
            if state.offset + group.len() as u64 > FILE {
                state.offset = 0;
            }
            let offset = state.offset;
            state.offset += group.len() as u64;
            drop(state);

            let written =
                self.file.write_all_at(&group, offset).and_then(|()| self.file.sync_data());

            group.clear();
            state = self.lock();
            state.led = false;
            state.durable = last;
            state.failed = written.is_err();
            state.spare = group;
            self.done.notify_all();
        }
    }
}
