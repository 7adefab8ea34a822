//! LDK's key-value stores and persisters over a Strongroom store.
#![doc = include_str!("../README.md")]

mod ldk_0_2;
#[cfg(feature = "ldk-0-3")]
mod ldk_0_3;
mod replicated;
mod store;
mod trouble;
mod verify;

pub use replicated::ReplicatedPersister;
pub use store::StrongroomStore;
pub use trouble::OpenError;
pub use verify::{
    ChannelReport, ChannelsReport, ForceClose, ManagerVerdict, ReadArgs, Verdict, verify_channels,
};
