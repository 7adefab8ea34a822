//! What a hostile cloud can do: lies that last, faults of one call, and how often by itself.

use std::time::Duration;

use backup::ObjectName;

use crate::CloudError;

/// A lie that lasts until it is taken back. What lies underneath stays true meanwhile: when the
/// cloud turns honest again everything is there (except where a variant says otherwise).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Lie {
    /// No call is answered, and none reaches the cloud.
    Down,
    /// One object is served as it was at a moment: an older version, or absent.
    RollBackObject {
        /// Which object.
        name: ObjectName,
        /// See [`Malice::now`](super::Malice::now).
        to: u64,
    },
    /// Everything is served as it was at a moment; what was deleted since is back.
    RollBackAll {
        /// See [`Malice::now`](super::Malice::now).
        to: u64,
    },
    /// From a moment on each device sees only what it did itself. Conditions of puts are judged by
    /// what the device sees; when the fork ends, what was put last stays.
    Fork {
        /// See [`Malice::now`](super::Malice::now).
        from: u64,
    },
    /// Objects created after a moment are hidden: the tail is withheld.
    Withhold {
        /// See [`Malice::now`](super::Malice::now).
        after: u64,
    },
    /// Everything is served as it was so many changes ago: always late, never at rest.
    Stale {
        /// How many changes.
        by: u64,
    },
    /// One object has the bytes of another one.
    Exchange {
        /// Which object.
        name: ObjectName,
        /// Whose bytes it has.
        with: ObjectName,
    },
    /// An object that was never put is listed and served, with the bytes of another one.
    Plant {
        /// The name that was never put.
        name: ObjectName,
        /// Whose bytes it has.
        like: ObjectName,
    },
    /// One object lacks its end.
    Cut {
        /// Which object.
        name: ObjectName,
        /// How many bytes are served.
        to: usize,
    },
    /// One object has a bit flipped in its middle.
    FlipBit {
        /// Which object.
        name: ObjectName,
    },
    /// Listings come in descending order.
    ReverseListings,
    /// Each entry of a listing comes twice.
    DoubleListings,
    /// Listings are empty, though every object is served.
    EmptyListings,
    /// Every put is answered as done, and none is stored: those objects are lost.
    StoreNothing,
    /// Every put overwrites, whatever its condition: what it replaced is lost.
    IgnoreConditions,
}

/// What becomes of one call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// It did not reach the cloud.
    Lost,
    /// It took effect, and the answer was lost.
    AnswerLost,
    /// An error is answered, and the put or deletion takes effect so many calls later.
    LandsLater {
        /// How many calls of any device.
        calls: u64,
    },
    /// It takes effect, and the answer takes so long.
    Late(Duration),
    /// Only the first half of the bytes comes (of a `get`; other calls are lost).
    Truncated,
    /// "409 Conflict" or "412 Precondition Failed", though there is none; without effect.
    Conflict,
    /// "429 Too Many Requests" with `Retry-After`; without effect.
    TooManyRequests(Duration),
    /// "500 Internal Server Error" and its kin; without effect.
    ServerError,
    /// "403 Forbidden"; without effect.
    Forbidden,
}

/// How a cloud misbehaves by itself. Rates are per thousand calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Temper {
    /// How often a call has a [`Fault`].
    pub faults: u64,
    /// How often a [`Lie`] begins ...
    pub lies: u64,
    /// ... and for how many calls it lasts at most.
    pub lie_lasts: u64,
    /// How often an object is deleted for good.
    pub deletions: u64,
    /// Whether lies may be of the kind that loses objects: [`Lie::StoreNothing`],
    /// [`Lie::IgnoreConditions`], [`Lie::Fork`].
    pub destroys: bool,
}

impl Fault {
    /// The error that is answered.
    pub(super) fn error(self, name: &ObjectName) -> CloudError {
        match self {
            Self::Conflict => CloudError::Conflict { name: name.clone() },
            Self::TooManyRequests(wait) => CloudError::Unavailable {
                source: crate::error::boxed("429 too many requests"),
                retry_after: Some(wait),
            },
            Self::ServerError => CloudError::unavailable("503 service unavailable"),
            Self::Forbidden => {
                CloudError::Unauthorized { source: crate::error::boxed("403 forbidden") }
            }
            _ => CloudError::unavailable("the connection was closed"),
        }
    }
}
