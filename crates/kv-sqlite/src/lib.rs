//! A durable key-value store in one SQLite file.
#![doc = include_str!("../README.md")]

mod damage;
mod fault;
mod files;
mod flush;
mod flusher;
mod gate;
mod inspect;
mod ldk_node;
mod open;
mod queue;
mod read_many;
mod reader;
mod row;
mod schema;
mod settings;
mod store;
mod submit;
mod table;
#[cfg(feature = "testing")]
pub mod testing;
mod wal;
mod writer;

pub use ldk_node::LdkNodeFile;
pub use settings::Settings;
pub use store::SqliteStore;
