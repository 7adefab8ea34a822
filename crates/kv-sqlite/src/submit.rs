//! Taking a batch: everything that can refuse it is decided here, before `submit` returns.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use kv_core::{Batch, Change, Commit, Durability, Error, Result};

use crate::{
    fault::{self, STORE},
    flush::PATIENCE,
    queue::{Name, Queued, Shared, State, Ticket},
    schema::PAGE,
};

/// The largest value that SQLite takes (`SQLITE_MAX_LENGTH`), less than what a row has beside it.
const LARGEST: usize = 999_000_000;

/// Bytes of values in one batch from which on it is not left lying until somebody waits for it:
/// whoever submits so much makes the next batch meanwhile.
const LARGE: u64 = 128 << 10;

/// A batch as it is about to be queued.
struct Incoming {
    absent: Vec<Name>,
    changes: Vec<(kv_core::Namespace, kv_core::Key, Change)>,
    bytes: u64,
    /// What it may take of the disk, in the log and in the database.
    room: u64,
    /// Removes something, and writes at most bookkeeping of our own layers: may use the reserve.
    frees_space: bool,
    too_large: bool,
    durability: Durability,
}

pub(crate) fn submit(shared: &Arc<Shared>, batch: Batch) -> Commit {
    let incoming = Incoming::new(batch);
    let durability = incoming.durability;
    match shared.take(incoming) {
        Err(refusal) => Commit::done(Err(refusal)),
        Ok(sequence) => {
            let ticket = Arc::new(Ticket { shared: Arc::clone(shared), sequence });
            match durability {
                Durability::Synced => Commit::pending(ticket),
                Durability::Lazy => Commit::lazy(ticket),
            }
        }
    }
}

impl Incoming {
    fn new(batch: Batch) -> Self {
        let absent = batch.absent_keys().map(|(ns, key)| (ns.clone(), key.clone())).collect();
        let durability = batch.durability();
        let changes: Vec<_> = batch.into_changes().collect();
        let (mut bytes, mut pages, mut too_large) = (0, 0, false);
        let (mut removes, mut only_bookkeeping) = (false, true);
        for (ns, _, change) in &changes {
            match change {
                Change::Remove => removes = true,
                Change::Put(value) => {
                    only_bookkeeping &= ns.is_reserved();
                    too_large |= value.len() > LARGEST;
                    bytes += value.len() as u64;
                    pages += (value.len() / PAGE) as u64;
                }
            }
            // A row, its name in the index, and a page that is split for either.
            pages += 4;
        }
        let room = 2 * pages * PAGE as u64;
        let frees_space = removes && only_bookkeeping;
        Self { absent, changes, bytes, room, frees_space, too_large, durability }
    }
}

impl Shared {
    /// Gives the batch its place in the order, or refuses it. Waits for room in memory only.
    fn take(&self, incoming: Incoming) -> Result<u64> {
        let mut state = self.lock();
        loop {
            state.refuse(&incoming)?;
            if incoming.changes.is_empty() {
                if state.outcome(state.submitted).is_none() {
                    self.flush_by(&mut state, Instant::now() + self.delay(incoming.durability));
                }
                return Ok(state.submitted);
            }
            let over = state.queued_bytes + incoming.bytes > self.settings.queue_bytes;
            if !over || state.queued_bytes == 0 {
                break;
            }
            self.flush_by(&mut state, Instant::now());
            state = self.wait(state);
        }
        if !incoming.frees_space && state.lacks_room(incoming.room, self.settings.reserve) {
            // Somebody else may have made room since the last flush.
            drop(state);
            let free = self.files.free();
            state = self.lock();
            state.free = state.free.max(free);
            state.refuse(&incoming)?;
            if state.lacks_room(incoming.room, self.settings.reserve) {
                return Err(fault::full());
            }
        }
        Ok(self.queue(&mut state, incoming))
    }

    fn queue(&self, state: &mut State, incoming: Incoming) -> u64 {
        let Incoming { changes, bytes, room, durability, .. } = incoming;
        state.submitted += 1;
        let sequence = state.submitted;
        for (ns, key, change) in &changes {
            let exists = matches!(change, Change::Put(_));
            state.pending.insert((ns.clone(), key.clone()), (sequence, exists));
        }
        state.queued_bytes += bytes;
        state.queued_room += room;
        state.queue.push_back(Queued { sequence, changes, bytes, room });
        let is_urgent = bytes >= LARGE && durability == Durability::Synced;
        let delay = if is_urgent { Duration::ZERO } else { self.delay(durability) };
        self.flush_by(state, Instant::now() + delay);
        sequence
    }

    fn delay(&self, durability: Durability) -> Duration {
        match durability {
            Durability::Synced => PATIENCE,
            Durability::Lazy => self.settings.lazy_delay,
        }
    }
}

impl State {
    fn refuse(&self, incoming: &Incoming) -> Result<()> {
        if self.closing {
            return Err(fault::closed());
        }
        if self.poison.is_some() {
            return Err(fault::poisoned());
        }
        if incoming.absent.iter().any(|name| self.will_exist(name)) {
            return Err(Error::Precondition { store: STORE });
        }
        if incoming.too_large {
            let why = "a value has more bytes than SQLite can hold (999,000,000)";
            let why: Box<dyn std::error::Error + Send + Sync> = why.into();
            return Err(Error::Refused { store: STORE, source: Arc::from(why) });
        }
        Ok(())
    }

    fn lacks_room(&self, room: u64, reserve: u64) -> bool {
        self.free.is_some_and(|free| free < reserve + self.queued_room + room)
    }
}
