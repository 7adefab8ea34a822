//! The recorder keeps single-writer data back while this installation may not write it.

use std::sync::{
    Arc, Mutex, MutexGuard, PoisonError,
    atomic::{AtomicU32, Ordering},
};

use kv_core::{Batch, Error, KvStore, KvStoreExt, Result};

use super::{Recorder, STORE};
use crate::{
    FenceState, Gate, Position, Quorum, Refusal,
    fence_state::FENCE_STATE_VERSION,
    log::{self, Places},
};

/// The fence state in memory, and who holds everything back beside it.
#[derive(Debug)]
pub(super) struct FenceKeeper {
    /// As it is in the store, but for a gate that is about to be closed there.
    state: Mutex<FenceState>,
    /// See [`Recorder::hold_back`]: in memory alone.
    held_back: AtomicU32,
}

/// While it lives the recorder refuses every change: [`Recorder::hold_back`].
#[derive(Debug)]
pub struct HeldBack(Arc<Recorder>);

impl Drop for HeldBack {
    fn drop(&mut self) {
        self.0.fence.held_back.fetch_sub(1, Ordering::SeqCst);
    }
}

impl FenceKeeper {
    pub(super) fn open(inner: &dyn KvStore, places: &Places) -> Result<Self> {
        let state = match inner.read(&places.state, &log::fence())? {
            Some(bytes) => read_state(&bytes)?,
            None => FenceState::default(),
        };
        Ok(Self { state: Mutex::new(state), held_back: AtomicU32::new(0) })
    }

    fn is_held_back(&self) -> bool {
        self.held_back.load(Ordering::SeqCst) > 0
    }

    fn state(&self) -> MutexGuard<'_, FenceState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
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
        // Where everything is held back nothing could pass, and the state stays as it is in the store.
        if state.gate != Gate::Open && !self.fence.is_held_back() {
            // A batch that found it open has its place by then.
            let _order = self.order();
            self.fence.state().gate = state.gate;
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

    /// Refuses every change from now on, as if the wallet were handed over, until what it returns is
    /// dropped. Nothing of that is written.
    pub fn hold_back(self: &Arc<Self>) -> HeldBack {
        // A batch that was not refused has its place by then.
        let _order = self.order();
        self.fence.held_back.fetch_add(1, Ordering::SeqCst);
        HeldBack(self.clone())
    }

    /// Remembers a session, durably, before it puts anything that carries it.
    pub fn note_session(&self, session: [u8; 16]) -> Result<()> {
        let mut state = self.fence.state();
        let mut noted = state.clone();
        if noted.note_session(session) {
            self.note(&mut state, noted)?;
        }
        drop(state);
        self.inner.flush()
    }

    /// Notes what the clouds have acknowledged, and by which of them. Lazy: after a crash an older note stands, and the
    /// fencing head itself says the rest.
    pub fn note_acknowledged(&self, epoch: u32, at: Position, by: &Quorum) -> Result<()> {
        let mut state = self.fence.state();
        let mut noted = FenceState { epoch, acknowledged: Some(at), ..state.clone() };
        noted.set_owed(None);
        noted.set_quorum(by);
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
        if self.fence.is_held_back() {
            return Some(Refusal::HandedOver);
        }
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
