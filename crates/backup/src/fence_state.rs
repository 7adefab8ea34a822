//! What an installation remembers of the fence, in the store it backs up; and what it refuses.

use kv_core::BoxError;
use serde::{Deserialize, Serialize};

use crate::{Deposed, Position, WriterId};

/// The newest version of [`FenceState`] this program reads.
pub(crate) const FENCE_STATE_VERSION: u32 = 1;

/// How many earlier sessions are remembered. Each put of a head or a fencing head needs its session
/// on disk first, so one is added per opening that puts something. Where a cloud was away for longer
/// than that, see [`has_forgotten`].
const SESSIONS: usize = 64;

/// The extension of [`FenceState`] with [`FenceState::owed`]: 8 bytes, little-endian.
const OWED: u32 = 1;

/// The extension of [`FenceState`] with [`FenceState::quorum`]: the number, 4 bytes, little-endian, and
/// 8 bytes for each cloud.
const QUORUM: u32 = 2;

/// By which clouds something was acknowledged last: what their fencing heads say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Quorum {
    /// How many of them had to have it.
    pub acknowledged_by: u32,
    /// The first bytes of the hash of each one's name.
    pub clouds: Vec<[u8; 8]>,
}

/// Whether, and how, this installation may write single-writer data.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FenceState {
    pub(crate) version: u32,
    /// What is refused.
    pub gate: Gate,
    /// The epoch this installation holds, or held last; 0: none yet.
    pub epoch: u32,
    /// What a restore was made of; taken over with it.
    pub base: Option<Position>,
    /// The newest restore point acknowledged in the clouds.
    pub acknowledged: Option<Position>,
    /// Who wrote before, oldest first.
    pub deposed: Vec<Deposed>,
    /// Random ids of the openings of this folder that may have put something, oldest first.
    pub sessions: Vec<[u8; 16]>,
    /// Reserved for what later versions add; readers of version 1 skip it.
    pub extensions: Vec<(u32, Vec<u8>)>,
}

/// What an installation may still write.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Gate {
    /// Everything.
    #[default]
    Open,
    /// It was restored: no single-writer data before it has taken over.
    TakeOverFirst,
    /// Another writer has taken over: no single-writer data.
    Fenced {
        /// In which epoch.
        epoch: u32,
        /// Who.
        writer: WriterId,
    },
    /// The folder is an old copy of one that went on: no single-writer data.
    Copied,
    /// It was handed over: nothing at all.
    HandedOver,
}

/// Why a change is refused. Nothing was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Refusal {
    /// This device was restored. Stop the other device for good, then take over.
    #[error(
        "this device was restored from a backup and must take over before it writes data that has a single writer"
    )]
    TakeOverFirst,
    /// Another device has taken over. Go on there; or restore here into another folder, and take over.
    #[error(
        "another device ({writer}) has taken over in epoch {epoch}; this one may no longer write data that has a single writer"
    )]
    Fenced {
        /// In which epoch.
        epoch: u32,
        /// Who.
        writer: WriterId,
    },
    /// The folder is an old copy. Go on where the newest one is; or restore into another folder, and
    /// take over.
    #[error(
        "this folder is an old copy of one that has gone on; it may not write data that has a single writer"
    )]
    Copied,
    /// The wallet was handed over. Go on where it was handed to; or take it back.
    #[error("this wallet was handed over to another device and no longer runs here")]
    HandedOver,
}

impl Gate {
    /// Why single-writer data is refused, if it is.
    pub fn refusal(&self) -> Option<Refusal> {
        match *self {
            Self::Open => None,
            Self::TakeOverFirst => Some(Refusal::TakeOverFirst),
            Self::Fenced { epoch, writer } => Some(Refusal::Fenced { epoch, writer }),
            Self::Copied => Some(Refusal::Copied),
            Self::HandedOver => Some(Refusal::HandedOver),
        }
    }
}

impl Refusal {
    /// The refusal behind an error of a store, if there is one.
    pub fn behind(error: &kv_core::Error) -> Option<Self> {
        match error {
            kv_core::Error::Refused { source, .. }
            | kv_core::Error::NotReplicated { source, .. } => source.downcast_ref().copied(),
            _ => None,
        }
    }
}

impl From<Refusal> for kv_core::Error {
    fn from(refusal: Refusal) -> Self {
        let source: BoxError = std::sync::Arc::new(refusal);
        Self::Refused { store: "backup", source }
    }
}

impl Default for FenceState {
    /// That of a new wallet.
    fn default() -> Self {
        Self {
            version: FENCE_STATE_VERSION,
            gate: Gate::Open,
            epoch: 0,
            base: None,
            acknowledged: None,
            deposed: Vec::new(),
            sessions: Vec::new(),
            extensions: Vec::new(),
        }
    }
}

impl FenceState {
    /// The same with another gate.
    #[must_use]
    pub fn with_gate(self, gate: Gate) -> Self {
        Self { gate, ..self }
    }

    /// That of a new installation restored from `base`.
    pub(crate) fn restored(base: Position) -> Self {
        Self { gate: Gate::TakeOverFirst, base: Some(base), ..Self::default() }
    }

    /// The sequence number up to which the cloud has single-writer data that the fence has not passed.
    pub fn owed(&self) -> Option<u64> {
        let (_, bytes) = self.extensions.iter().find(|(id, _)| *id == OWED)?;
        bytes.first_chunk().map(|bytes| u64::from_le_bytes(*bytes))
    }

    /// Notes it, or that there is none; `false` if it is noted already.
    pub fn set_owed(&mut self, to: Option<u64>) -> bool {
        if self.owed() == to {
            return false;
        }
        self.extensions.retain(|(id, _)| *id != OWED);
        self.extensions.extend(to.map(|to| (OWED, to.to_le_bytes().to_vec())));
        true
    }

    /// By which clouds something was acknowledged last. A takeover asks by what their fencing heads
    /// say, so as many of them must know of other numbers before those count.
    pub fn quorum(&self) -> Option<Quorum> {
        let (_, bytes) = self.extensions.iter().find(|(id, _)| *id == QUORUM)?;
        let (acknowledged_by, clouds) = bytes.split_first_chunk()?;
        let clouds = clouds.as_chunks().0.to_vec();
        Some(Quorum { acknowledged_by: u32::from_le_bytes(*acknowledged_by), clouds })
    }

    /// Notes it.
    pub fn set_quorum(&mut self, quorum: &Quorum) {
        let mut bytes = quorum.acknowledged_by.to_le_bytes().to_vec();
        bytes.extend(quorum.clouds.iter().flatten());
        self.extensions.retain(|(id, _)| *id != QUORUM);
        self.extensions.push((QUORUM, bytes));
    }

    /// Whether there may have been sessions that are no longer among [`FenceState::sessions`].
    pub fn has_forgotten_sessions(&self) -> bool {
        has_forgotten(&self.sessions)
    }

    /// Notes a session that is about to put something; `false` if it is noted already.
    pub fn note_session(&mut self, session: [u8; 16]) -> bool {
        if self.sessions.contains(&session) {
            return false;
        }
        self.sessions.push(session);
        let surplus = self.sessions.len().saturating_sub(SESSIONS);
        self.sessions.drain(..surplus);
        true
    }
}

/// Whether there may have been earlier sessions than these. Then what a cloud holds of a session that
/// is not among them may still be this folder's: if it is no newer than what was seen there before.
pub(crate) fn has_forgotten(sessions: &[[u8; 16]]) -> bool {
    sessions.len() >= SESSIONS
}
