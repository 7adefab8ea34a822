//! The recorder keeps single-writer data back while this installation may not write it.

use std::sync::{Mutex, MutexGuard, PoisonError};

use kv_core::{Batch, Error, KvStore, Result};

use super::{Recorder, STORE};
use crate::{
    FenceState, Gate, Refusal, Rule,
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
            self.fence.state().gate = state.gate;
        }
        let batch = Batch::new().put(&self.places.state, &log::fence(), log::write(&state));
        self.inner.submit(batch).wait()?;
        *self.fence.state() = state;
        Ok(())
    }

    /// Why this batch is not taken, if it is not.
    pub(super) fn refusal(&self, batch: &Batch) -> Option<Refusal> {
        let refusal = self.fence.state().gate.refusal()?;
        let is_hit = |rule: Rule| rule == Rule::SingleWriter || refusal == Refusal::HandedOver;
        batch.changes().any(|(ns, ..)| is_hit(self.rules.of(ns))).then_some(refusal)
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
