//! The record log of a wallet, and the encrypted backups made from it.
#![doc = include_str!("../README.md")]

mod body;
mod chain;
mod class;
mod codec;
mod digest;
mod dump;
mod error;
mod fence;
mod fence_machine;
mod fence_plan;
mod fence_state;
mod frame;
#[cfg(feature = "testing")]
pub mod fuzz;
mod head;
mod history;
mod log;
mod merge;
mod name;
mod object;
mod one_key;
mod others;
mod pad;
mod pieces;
mod recorder;
mod replicated;
mod restore;
mod run;
mod seal_segment;
mod sealed;
mod sealer;
mod segment;
mod spare;
mod split;
mod stamp;
mod state;
mod tombstones;

pub use body::Body;
pub use chain::{ChainWalk, OpenedSegment, check_dump};
pub use class::{Rule, Rules};
pub use digest::EntryDigest;
pub use dump::{
    DumpIndex, DumpPart, DumpPlace, DumpWriter, KeptDump, PartMaker, SealedPart, StoreCount,
    UnsealedPart,
};
pub use error::{Error, Result};
pub use fence::{Deposed, Fence, FenceProgress, Position, fence_name};
pub use fence_machine::{
    FenceAnswer, FenceMachine, FenceOutcome, FencePlan, Step, Takeover, furthest_fence,
};
pub use fence_plan::{CannotTakeOver, Claimant, TakeoverPlan, Verdict};
pub use fence_state::{FenceState, Gate, Quorum, Refusal};
pub use head::{Head, newest_head};
pub use history::{
    Ancestry, CloudMarks, Conditions, Finding, History, Put, Sighting, Suspicion, WriterMark,
};
pub use kv_core::Lag;
pub use log::EntryName;
pub use merge::{Conflict, Merged, Replaced};
pub use name::{BadObjectName, MAX_OBJECT_NAME_LEN, ObjectName};
pub use object::{
    Class, ObjectHash, ObjectId, ObjectRef, WriterId, class_prefix, wallet_prefix, writer_prefix,
};
pub use one_key::{KeyState, OneKey};
pub use others::Retired;
pub use pad::padme;
pub use recorder::{
    Cut, DumpChunk, DumpReader, HeldBack, Merger, NotYetReplicated, Recorder, RecorderSettings,
    Rejoin, WaitForCloud, Watch,
};
pub use replicated::{Policies, Policy, Replicated};
pub use restore::{Applied, NameSet, RestoreWorker, Restored, Restorer};
pub use run::Run;
pub use seal_segment::SealedSegment;
pub use sealed::Sealed;
pub use sealer::ObjectSealer;
pub use segment::{Content, Entry, Link, SegmentBody};
pub use spare::Spare;
pub use stamp::Stamp;
pub use state::{BackupState, Dumps};
