//! The high-water marks, beside the log.

use kv_core::{Batch, Error, KvStore, Result};

use super::{Recorder, STORE};
use crate::{History, history::HISTORY_VERSION, log};

impl Recorder {
    /// What was seen in the clouds.
    pub fn history(&self) -> Result<History> {
        let Some(bytes) = self.inner.read(&self.places.state, &log::history())? else {
            return Ok(History::default());
        };
        let found = bytes.first_chunk().map_or(0, |version| u32::from_le_bytes(*version));
        match found {
            0 => Err(Error::corrupt(STORE, "a history without a version")),
            1..=HISTORY_VERSION => log::read("history", &bytes),
            _ => Err(Error::TooNew { store: STORE, found, newest: HISTORY_VERSION }),
        }
    }

    /// Remembers it. Lazy: what a crash takes is seen again, at worst a second's worth is not.
    pub fn set_history(&self, history: &History) -> Result<()> {
        let batch = Batch::new().put(&self.places.state, &log::history(), log::write(history));
        match self.inner.submit(batch.lazy()).receipt().outcome() {
            Some(Err(error)) => Err(error),
            _ => Ok(()),
        }
    }
}
