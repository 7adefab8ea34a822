//! The record log of a wallet, and the encrypted backups made from it.
#![doc = include_str!("../README.md")]

mod name;
mod sealed;

pub use name::{BadObjectName, MAX_OBJECT_NAME_LEN, ObjectName};
pub use sealed::Sealed;
