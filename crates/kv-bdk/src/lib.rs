//! Keeps the wallets of the Bitcoin Dev Kit in a Strongroom store.
#![doc = include_str!("../README.md")]

mod codec;
mod error;
mod fold;
mod persister;

pub use error::Error;
pub use persister::BdkPersister;
