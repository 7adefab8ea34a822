//! What is suspicious, and since when.

use serde::{Deserialize, Serialize};

use crate::{FenceProgress, WriterId, codec};

/// Something a cloud or another device did that an honest one does not do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// In which cloud.
    #[serde(with = "codec::text")]
    pub cloud: String,
    /// What.
    pub what: Suspicion,
    /// When it was first noticed, by this device's clock, in milliseconds since the Unix epoch.
    pub since: u64,
    /// When it was last seen to be so.
    pub last: u64,
    /// Whether the user has taken note.
    pub acknowledged: bool,
}

/// What is suspicious.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Suspicion {
    /// The cloud had a head of this writer and now serves only older ones, or none. Use another
    /// cloud; do not restore from this one.
    RolledBack {
        /// Whose.
        writer: WriterId,
        /// The sequence number it had.
        had: u64,
        /// The one it serves now; `None`: no head at all.
        has: Option<u64>,
    },
    /// The writer's newest head does not build on the one seen before: two histories of one writer.
    /// Another copy of its folder writes, or the cloud shows different things to different devices.
    Forked {
        /// Whose.
        writer: WriterId,
        /// The sequence number up to which the other history was seen.
        at: u64,
    },
    /// Another cloud has had a newer head of this writer for a while. This one withholds it, or did
    /// not get it.
    WithheldTail {
        /// Whose.
        writer: WriterId,
        /// What another cloud has.
        elsewhere: u64,
        /// What this one serves; `None`: no head at all.
        has: Option<u64>,
    },
    /// No new head of a writer for longer than the setting says. It is switched off, or the cloud
    /// serves an old state.
    Frozen {
        /// Whose.
        writer: WriterId,
        /// When its newest head was put, by its own clock, in milliseconds since the Unix epoch.
        newest: u64,
    },
    /// An object that a head needs is not there.
    Gap {
        /// Whose.
        writer: WriterId,
        /// The head that needs it, by its sequence number.
        head: u64,
    },
    /// There are heads or a fencing head of this installation that it did not put: its folder was
    /// copied, or is the copy.
    Copied {
        /// The sequence number found.
        found: u64,
    },
    /// A writer that was fenced off goes on writing single-writer data, which nobody takes.
    StaleWriter {
        /// Who.
        writer: WriterId,
        /// What counts of it.
        counts: u64,
        /// How far it has gone.
        has: u64,
    },
    /// The fencing head went back, or has gone.
    FenceRolledBack {
        /// What was seen.
        had: FenceProgress,
        /// What is there.
        has: Option<FenceProgress>,
    },
    /// The cloud has no true compare-and-swap, and two devices write single-writer data.
    ConcurrentWriters {
        /// The other one.
        writer: WriterId,
    },
}

impl Suspicion {
    /// Whether it is the same thing, seen again.
    pub(super) fn is_same(&self, other: &Self) -> bool {
        use Suspicion::{Forked, Frozen, Gap, RolledBack, StaleWriter, WithheldTail};
        match (self, other) {
            (RolledBack { writer: a, .. }, RolledBack { writer: b, .. })
            | (WithheldTail { writer: a, .. }, WithheldTail { writer: b, .. })
            | (Frozen { writer: a, .. }, Frozen { writer: b, .. })
            | (Gap { writer: a, .. }, Gap { writer: b, .. })
            | (StaleWriter { writer: a, .. }, StaleWriter { writer: b, .. }) => a == b,
            (Forked { .. }, Forked { .. }) => self == other,
            _ => std::mem::discriminant(self) == std::mem::discriminant(other),
        }
    }

    /// Whether it goes on being so after the user took note.
    pub(super) fn lasts(&self) -> bool {
        matches!(
            self,
            Self::Frozen { .. }
                | Self::WithheldTail { .. }
                | Self::Gap { .. }
                | Self::StaleWriter { .. }
                | Self::Copied { .. }
                | Self::ConcurrentWriters { .. }
        )
    }
}
