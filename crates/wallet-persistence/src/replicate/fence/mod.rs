//! The fence: acknowledging single-writer data in the clouds, and who may.

mod advance;
mod drive;
mod point;
mod quorum;
mod takeover;

use std::sync::{Arc, Mutex, PoisonError};

use backup::{Conditions, Fence, FenceState, ObjectSealer, fence_name};
use cloud::{CloudBackend, Tag};
use serde::Serialize;

pub use self::takeover::TakeoverReport;
pub(crate) use self::{
    point::fenced_head,
    takeover::{From as TakeOverFrom, take_over},
};
use crate::{Error, Result, session::Inner, wallet::blocking};

/// What became of single-writer data in a backup.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum SingleWriter {
    /// As many clouds as needed have it, by compare-and-swap: nobody else has written meanwhile.
    Acknowledged,
    /// The clouds have it, but too few of them compare and swap: another device that writes at the
    /// same moment is noticed, not kept out.
    Noted,
    /// This device may not write it any more; the gate of [`crate::Status`] says why.
    Stopped,
    /// A cloud serves an older fencing head than before: nothing is acknowledged before the user has
    /// taken note. Or fewer clouds are asked for than before, and too few know of that yet: it is
    /// acknowledged when as many as before have it.
    Suspended,
}

/// What a session knows of the fencing heads.
#[derive(Debug)]
pub(crate) struct Fences {
    /// By cloud, in the order of the clouds.
    clouds: Vec<CloudFence>,
    /// Whether something is to be acknowledged although nothing new went up.
    due: bool,
    /// Whether that should be tried soon, and not only with the next backup.
    soon: bool,
}

/// One cloud's.
#[derive(Debug, Clone, Default)]
struct CloudFence {
    /// What it holds, while that is known.
    last: Option<(Fence, Tag)>,
    /// Puts of this session that may have landed. Shared with who makes them: a backup may be
    /// dropped at any moment, and what it has put must still be known as ours.
    attempts: Arc<Mutex<Vec<[u8; 16]>>>,
    /// Whether this session has tried out what it honours.
    tried: bool,
    /// What it honours, once that was tried out.
    conditions: Option<Conditions>,
}

impl CloudFence {
    fn swaps(&self) -> bool {
        self.conditions.is_some_and(|c| c.creates_once && c.replaces_if_unchanged)
    }

    fn attempts(&self) -> Vec<[u8; 16]> {
        self.attempts.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn set_attempts(&self, attempts: Vec<[u8; 16]>) {
        *self.attempts.lock().unwrap_or_else(PoisonError::into_inner) = attempts;
    }
}

/// What a cloud is known to honour holds for so long, in milliseconds; then it is tried out again.
/// What it does not, too: a service that honours a condition now and then would pass some day, if it
/// were tried often enough.
const CONDITIONS_HOLD: u64 = 30 * 24 * 60 * 60 * 1000;

impl Fences {
    pub(crate) fn new(state: &FenceState) -> Self {
        Self { clouds: Vec::new(), due: true, soon: state.owed().is_some() }
    }
}

impl Inner {
    /// What is known of the clouds' fencing heads. Only who holds the posting lock may ask.
    fn known_fences(&self, clouds: usize) -> Vec<CloudFence> {
        let mut fences = self.fences.lock().unwrap_or_else(PoisonError::into_inner);
        fences.clouds.resize_with(clouds, CloudFence::default);
        let mut known = fences.clouds.clone();
        drop(fences);
        let now = self.tower.clock.now().0;
        for (i, cloud) in known.iter_mut().enumerate() {
            // What is given as a component has no address by which it could be known again.
            if cloud.conditions.is_none() && self.has_address(i) {
                let noted = self.with_history(|history| history.conditions(&self.cloud_name(i)));
                let holds = |c: &Conditions| now.saturating_sub(c.time) < CONDITIONS_HOLD;
                cloud.conditions = noted.filter(holds);
            }
        }
        known
    }

    /// Also remembers what the clouds honour.
    fn note_fences_known(&self, clouds: Vec<CloudFence>) -> Result<()> {
        let tried: Vec<(String, Conditions)> = clouds
            .iter()
            .enumerate()
            .filter(|(_, cloud)| cloud.tried)
            .filter_map(|(i, cloud)| Some((self.cloud_name(i), cloud.conditions?)))
            .collect();
        self.fences.lock().unwrap_or_else(PoisonError::into_inner).clouds = clouds;
        self.change_history(|history, _| {
            tried.iter().for_each(|(name, conditions)| history.saw_conditions(name, *conditions));
            Vec::new()
        })
    }

    /// Of all clouds that were tried out, what those do not honour that cannot fence.
    pub(crate) fn cannot_fence_all(&self) -> Vec<String> {
        let tried = |marks: &backup::CloudMarks| Some((marks.cloud.clone(), marks.conditions?));
        let tried: Vec<_> = self.with_history(|h| h.clouds.iter().filter_map(tried).collect());
        let lacking = tried.into_iter().filter_map(|(cloud, conditions)| lacks(cloud, conditions));
        lacking.map(|error| error.to_string()).collect()
    }

    /// What a cloud does not honour that cannot fence.
    fn cannot_fence(&self, cloud: usize) -> Option<Error> {
        let name = self.cloud_name(cloud);
        let conditions = self.with_history(|history| history.conditions(&name))?;
        lacks(name, conditions)
    }

    pub(crate) fn fence_session(&self) -> [u8; 16] {
        self.tower.session
    }

    fn is_fence_due(&self) -> bool {
        self.fences.lock().unwrap_or_else(PoisonError::into_inner).due
    }

    /// The fence is to follow the next head, though it may hold no single-writer data.
    pub(in crate::replicate) fn fence_is_due(&self) {
        self.fences.lock().unwrap_or_else(PoisonError::into_inner).due = true;
    }

    fn set_fence_due(&self, due: bool) {
        let mut fences = self.fences.lock().unwrap_or_else(PoisonError::into_inner);
        (fences.due, fences.soon) = (due, false);
    }

    /// Whether the fence waits for a backup although nothing has changed.
    pub(crate) fn fence_waits(&self) -> bool {
        self.fences.lock().unwrap_or_else(PoisonError::into_inner).soon
    }

    /// What kept the fence from being moved may be over.
    pub(crate) fn try_fence_again(&self) {
        let mut fences = self.fences.lock().unwrap_or_else(PoisonError::into_inner);
        fences.soon = fences.due;
        drop(fences);
        self.tower.recorder.urge();
    }

    async fn set_fence_state(&self, state: FenceState) -> Result<()> {
        let recorder = self.tower.recorder.clone();
        blocking(move || recorder.set_fence_state(state).map_err(Error::from)).await
    }
}

fn lacks(cloud: String, conditions: Conditions) -> Option<Error> {
    let missing = match (conditions.creates_once, conditions.replaces_if_unchanged) {
        (true, true) => return None,
        (false, _) => "create an object only if there is none",
        (true, false) => "replace an object only if it is unchanged",
    };
    Some(Error::CannotFence { cloud, missing })
}

/// The fencing head in a cloud, with its tag.
pub(crate) async fn read(
    cloud: &dyn CloudBackend,
    sealer: &ObjectSealer,
) -> Result<Option<(Fence, Tag)>> {
    let Some((bytes, tag)) = cloud.get(&fence_name(&sealer.tag())).await? else {
        return Ok(None);
    };
    Ok(Some((sealer.open_fence(&bytes)?, tag)))
}

pub(crate) fn random() -> Result<[u8; 16]> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).map_err(|_| backup::Error::NoRandomness)?;
    Ok(bytes)
}
