//! A durable key-value store in plain files.
#![doc = include_str!("../README.md")]

mod adopt;
mod batch_bytes;
mod bytes;
mod checkpoint;
#[cfg(feature = "testing")]
pub mod disk;
#[cfg(not(feature = "testing"))]
#[expect(unreachable_pub, reason = "public with the feature `testing`")]
mod disk;
mod fault;
mod flush;
mod flusher;
mod frame;
mod index;
mod inspect;
mod layout;
mod log;
mod own;
mod queue;
mod recover;
mod replay;
mod segment;
mod settings;
mod store;
mod submit;
mod table;
#[cfg(feature = "testing")]
pub mod testing;

pub use settings::Settings;
pub use store::FsStore;
