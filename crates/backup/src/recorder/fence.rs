//! The recorder keeps single-writer data back while this installation may not write it.

use std::sync::{Mutex, MutexGuard, PoisonError};

use kv_core::{Batch, Error, KvStore, Result};

use super::{Recorder, STORE};
use crate::{
    FenceState, Gate, Position, Refusal,
    fence_state::FENCE_STATE_VERSION,
    log::{self, Places},
};

/// The fence state in memory, as it is in the store.
#[derive(Debug)]
pub(super) struct FenceKeeper(Mutex<FenceState>);

impl FenceKeeper {
    pub(super) fn open(inner: &dyn KvStore, places: &Places) -> Result<Self> {
        let state = match inner.read(&places.state, &log::fence())? {
            Some(bytes) => read_state(&bytes)?,
            None => FenceState::default(),
        };
        Ok(Self(Mutex::new(state)))
    }

    fn state(&self) -> MutexGuard<'_, FenceState> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Recorder {
    /// Whether, and how, this installation may write single-writer data.
    pub fn fence_state(&self) -> FenceState {
        self.fence.state().clone()
    }

    /// Remembers it, durably. A gate that closes holds at once; one that opens does so only when
    /// that is durable.
    pub fn set_fence_state(&self, state: FenceState) -> Result<()> {
        if state.gate != Gate::Open {
            self.close_gate(state.gate);
        }
        let batch = Batch::new().put(&self.places.state, &log::fence(), log::write(&state));
        self.inner.submit(batch).wait()?;
        let is_open = state.gate == Gate::Open;
        let before = std::mem::replace(&mut *self.fence.state(), state);
        if is_open && before.gate != Gate::Open {
            self.waiting.go_on();
        }
        Ok(())
    }

    /// Closes the gate at once and for this opening only: nothing is written. What is submitted from
    /// now on finds it closed.
    pub fn close_gate(&self, gate: Gate) {
        // A batch that found it open has its place by then.
        let _order = self.order();
        self.fence.state().gate = gate;
    }

    /// Notes what the clouds have acknowledged. Lazy: after a crash an older note stands, and the
    /// fencing head itself says the rest.
    pub fn note_acknowledged(&self, epoch: u32, at: Position) -> Result<()> {
        let mut state = self.fence.state();
        let mut noted = FenceState { epoch, acknowledged: Some(at), ..state.clone() };
        noted.set_owed(None);
        self.note(&mut state, noted)
    }

    /// Notes that the cloud has single-writer data up to here that the fence has not passed, before
    /// the log forgets it. Lazy, in the order of the log.
    pub fn note_owed(&self, to: u64) -> Result<()> {
        let mut state = self.fence.state();
        let mut noted = state.clone();
        if noted.set_owed(Some(to)) { self.note(&mut state, noted) } else { Ok(()) }
    }

    fn note(&self, state: &mut FenceState, noted: FenceState) -> Result<()> {
        let batch = Batch::new().put(&self.places.state, &log::fence(), log::write(&noted));
        if let Some(Err(error)) = self.inner.submit(batch.lazy()).receipt().outcome() {
            return Err(error);
        }
        *state = noted;
        Ok(())
    }

    /// Why a batch is not taken, if it is not: one with single-writer data, or any.
    pub(super) fn refusal(&self, single_writer: bool) -> Option<Refusal> {
        let refusal = self.fence.state().gate.refusal()?;
        (single_writer || refusal == Refusal::HandedOver).then_some(refusal)
    }
}

fn read_state(bytes: &[u8]) -> Result<FenceState> {
    let found = bytes.first_chunk().map_or(0, |version| u32::from_le_bytes(*version));
    match found {
        0 => Err(Error::corrupt(STORE, "a fence state without a version")),
        1..=FENCE_STATE_VERSION => log::read("fence state", bytes),
        _ => Err(Error::TooNew { store: STORE, found, newest: FENCE_STATE_VERSION }),
    }
}
