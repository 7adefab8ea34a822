//! Remembering this session before anything that carries it leaves the device.

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use backup::{History, Put, Recorder};

use crate::{Result, session::Inner, wallet::blocking};

/// What is remembered of this session, durably: into which clouds it puts what, by their names.
/// `None`: not even that it was.
pub(crate) type Noted = Mutex<Option<BTreeSet<(String, Put)>>>;

/// Remembers this session before anything that carries it leaves the device. Only before a put: few
/// are remembered, and one that put nothing must not push out one whose put may still be in a cloud.
#[derive(Debug, Clone)]
pub(crate) struct SessionNote {
    recorder: Arc<Recorder>,
    history: Arc<Mutex<History>>,
    session: [u8; 16],
    /// The names of the clouds, in their order.
    clouds: Arc<[String]>,
    noted: Arc<Noted>,
}

impl SessionNote {
    /// Also that it puts something into the clouds at these places: what lands there though nobody
    /// hears of it is still known as ours when many sessions have come after this one.
    pub(super) async fn before_put(&self, what: Put, clouds: &[usize]) -> Result<()> {
        let names = clouds.iter().filter_map(|i| self.clouds.get(*i));
        let puts: BTreeSet<(String, Put)> = names.map(|name| (name.clone(), what)).collect();
        if self.noted().as_ref().is_some_and(|noted| noted.is_superset(&puts)) {
            return Ok(());
        }
        let note = self.clone();
        blocking(move || note.write(puts)).await
    }

    fn write(&self, mut puts: BTreeSet<(String, Put)>) -> Result<()> {
        if !puts.is_empty() {
            let mut history = self.history.lock().unwrap_or_else(PoisonError::into_inner);
            for (cloud, what) in &puts {
                history.note_put(cloud, *what, self.session);
            }
            self.recorder.set_history(&history)?;
        }
        // Makes durable what comes before it, too.
        self.recorder.note_session(self.session)?;
        self.noted().get_or_insert_default().append(&mut puts);
        Ok(())
    }

    fn noted(&self) -> MutexGuard<'_, Option<BTreeSet<(String, Put)>>> {
        self.noted.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    /// For so many clouds.
    pub(super) fn session_note(&self, clouds: usize) -> SessionNote {
        SessionNote {
            recorder: self.tower.recorder.clone(),
            history: self.tower.history.clone(),
            session: self.fence_session(),
            clouds: (0..clouds).map(|i| self.cloud_name(i)).collect(),
            noted: self.tower.noted.clone(),
        }
    }

    /// The fence state with all sessions that are known as those of this folder: beside the newest
    /// ones those that were the last to put something into a cloud.
    pub(super) fn fence_state_with_sessions(&self) -> backup::FenceState {
        let mut state = self.tower.recorder.fence_state();
        let put = self.with_history(History::sessions_that_put);
        for session in put {
            if !state.sessions.contains(&session) {
                state.sessions.push(session);
            }
        }
        state
    }
}
