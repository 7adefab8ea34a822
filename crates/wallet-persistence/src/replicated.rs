//! Commits that wait for the clouds, and what an earlier session has left behind.

use std::sync::Arc;

use backup::NotYetReplicated;
use kv_core::KvStore;

use crate::{Error, Result, Session};

/// A store whose commits wait for the clouds, and what was not there when it was opened: see
/// [`Session::open_replicated`].
#[derive(Debug)]
#[must_use = "what is not yet replicated is to be waited for"]
pub struct OpenedReplicated {
    /// The store, as [`Session::kv_replicated`] has it.
    pub kv: Arc<dyn KvStore>,
    /// What is durable on this device and not yet in the clouds: an earlier session ended before they
    /// had it. `None` if they have everything.
    pub not_yet_replicated: Option<NotYetReplicated>,
}

impl OpenedReplicated {
    /// The store, once the clouds have all that was left: from then on nothing can be read in it that
    /// a restore would not find. Waits for as long as too few clouds are in reach.
    pub async fn when_replicated(self) -> Result<Arc<dyn KvStore>> {
        if let Some(left) = &self.not_yet_replicated {
            left.replicated().await?;
        }
        Ok(self.kv)
    }
}

impl Session {
    /// Opens the store of [`Session::kv_replicated`] and tells what was left by an earlier session:
    /// written here, never acknowledged by a cloud. Who acts on what it reads there, as a Lightning
    /// node does, must wait for that first.
    ///
    /// # Errors
    /// Those of [`Session::kv_replicated`].
    pub fn open_replicated(&self) -> Result<OpenedReplicated> {
        let kv = self.kv_replicated()?;
        Ok(OpenedReplicated { kv, not_yet_replicated: self.not_yet_replicated()? })
    }

    /// The same store, but every commit resolves only when the clouds have the change, too, and all
    /// changes before it: what must survive the loss of this device before anybody relies on it.
    ///
    /// Data that has a single writer is acknowledged by the fencing head: if another device has taken
    /// over, its commits answer [`kv_core::Error::NotReplicated`] (written here, never acknowledged)
    /// and then [`kv_core::Error::Refused`], both with the [`crate::Refusal`]; if too few clouds can
    /// fence, the same with [`Error::CannotFence`].
    ///
    /// While no cloud is in reach such commits wait, and beyond
    /// [`Settings::max_waiting`](crate::Settings::max_waiting) of them the next is refused with
    /// [`kv_core::Error::Backlog`]. [`Error::NoCloud`] if none is set. Without a background task
    /// only [`Session::post_backup`] lets them resolve.
    pub fn kv_replicated(&self) -> Result<Arc<dyn KvStore>> {
        let tower = self.tower()?;
        if self.inner.has_cloud() { Ok(tower.kv_replicated()) } else { Err(Error::NoCloud) }
    }

    /// What is durable on this device and not yet in the clouds, after unlocking for instance;
    /// `None` if they have everything. It can be awaited: see [`NotYetReplicated::replicated`].
    pub fn not_yet_replicated(&self) -> Result<Option<NotYetReplicated>> {
        Ok(self.tower()?.recorder.not_yet_replicated())
    }
}
