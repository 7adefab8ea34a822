//! The record log of a wallet, and the encrypted backups made from it.
#![doc = include_str!("../README.md")]

mod body;
mod chain;
mod class;
mod codec;
mod digest;
mod dump;
mod error;
mod frame;
mod head;
mod log;
mod name;
mod object;
mod pad;
mod recorder;
mod restore;
mod seal_segment;
mod sealed;
mod sealer;
mod segment;
mod split;
mod stamp;
mod state;

pub use body::Body;
pub use chain::ChainWalk;
pub use class::{Rule, Rules};
pub use digest::EntryDigest;
pub use dump::{DumpIndex, DumpPart, DumpWriter};
pub use error::{Error, Result};
pub use head::{Head, newest_head};
pub use log::EntryName;
pub use name::{BadObjectName, MAX_OBJECT_NAME_LEN, ObjectName};
pub use object::{Class, ObjectHash, ObjectId, ObjectRef, WriterId, class_prefix, wallet_prefix};
pub use recorder::{Cut, DumpReader, Lag, Recorder, RecorderSettings};
pub use restore::{Restored, Restorer};
pub use seal_segment::SealedSegment;
pub use sealed::Sealed;
pub use sealer::ObjectSealer;
pub use segment::{Content, Entry, Link, SegmentBody};
pub use stamp::Stamp;
pub use state::BackupState;
