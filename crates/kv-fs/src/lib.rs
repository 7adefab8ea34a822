//! A durable key-value store in plain files.
#![doc = include_str!("../README.md")]

mod adopt;
mod batch_bytes;
mod block;
mod bytes;
mod cache;
mod changed_outside;
mod checkpoint;
mod crc_shift;
mod crew;
#[cfg(feature = "testing")]
pub mod disk;
#[cfg(not(feature = "testing"))]
#[expect(unreachable_pub, reason = "public with the feature `testing`")]
mod disk;
mod encode_names;
mod fault;
mod flush;
mod flusher;
mod fold;
mod frame;
#[cfg(feature = "testing")]
pub mod fuzz;
mod import_v1;
mod index;
mod index_bytes;
mod inspect;
mod layout;
mod ldk_folder;
mod log;
mod move_value;
mod mtime;
mod own;
mod pool;
mod queue;
mod recover;
mod replay;
mod rows;
mod segment;
mod settings;
mod sorted;
mod space;
mod store;
mod submit;
mod table;
#[cfg(feature = "testing")]
pub mod testing;
mod turns;

pub use import_v1::{Imported, import_v1};
pub use ldk_folder::{LdkFolder, LdkVersion};
pub use settings::{OutsideChanges, Settings};
pub use store::FsStore;
