//! LDK's key-value stores and persisters over a Strongroom store.
#![doc = include_str!("../README.md")]

mod caught;
mod ldk_0_2;
#[cfg(feature = "ldk-0-3")]
pub mod ldk_0_3;
mod seed;
mod store;
mod trouble;

pub use ldk_0_2::{
    ChannelReport, ChannelsReport, ForceClose, ManagerVerdict, ReadArgs, ReplicatedPersister,
    Verdict, verify_channels,
};
pub use seed::SEED_KEY;
pub use store::StrongroomStore;
pub use trouble::OpenError;
