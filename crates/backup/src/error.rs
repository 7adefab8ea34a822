//! Errors, one variant per different reaction of the caller.

use crate::ObjectName;

/// A result with this crate's [`enum@Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why a backup could not be made or read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The store below failed; its error says what to do.
    #[error("the store failed")]
    Store(#[from] kv_core::Error),
    /// An object is not what was put under its name. Fetch it again or from another cloud; `verify
    /// --cloud` tells how much is hit.
    #[error("the object {name} is damaged")]
    Damaged {
        /// Which object.
        name: ObjectName,
    },
    /// An object that others refer to is not in the cloud. Look in another cloud.
    #[error("the object {name} is missing")]
    Missing {
        /// Which object.
        name: ObjectName,
    },
    /// The object was made with another key. Ask the user for the right one.
    #[error("the object {name} belongs to another key")]
    WrongKey {
        /// Which object.
        name: ObjectName,
    },
    /// The object was made by a newer version. Upgrade this program.
    #[error("the object {name} was made by a newer version")]
    TooNew {
        /// Which object.
        name: ObjectName,
    },
    /// The cloud holds no backup of this wallet. Check the key and the cloud.
    #[error("there is no backup of this wallet")]
    NoBackup,
    /// The chain in the cloud does not hang together. Do not trust it; try another cloud.
    #[error("the backup's chain is broken: {what}")]
    BrokenChain {
        /// What does not fit.
        what: &'static str,
    },
    /// No restore point is old enough. Ask for a later one.
    #[error("there is no restore point at or before {what}")]
    NoRestorePoint {
        /// What was asked for.
        what: String,
    },
    /// The store does not hold what was backed up, though nobody changed it through us: somebody put
    /// old files back, or the disk lies. `verify --cloud` shows what differs; restore into another
    /// folder.
    #[error("{keys} keys differ from what was backed up")]
    Differs {
        /// How many keys.
        keys: u64,
    },
    /// The store to restore into is not empty. Take an empty one.
    #[error("there is already something in this store")]
    NotEmpty,
    /// This writer was unseen for too long, and the others have forgotten what they removed
    /// meanwhile. If it is another one: pass it over. If it is this device: take the state of the
    /// others, see [`crate::Recorder::rejoin`].
    #[error("the device {} was unseen for too long; it must take the state of the others before it counts again", .0.writer)]
    Retired(crate::Retired),
    /// An entry is too large for this version. Nothing was backed up; remove or split it.
    #[error("an object would be larger than this version can read back")]
    TooLarge,
    /// The operating system gave no randomness. Try again later.
    #[error("no randomness")]
    NoRandomness,
}
