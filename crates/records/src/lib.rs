//! Typed object stores with indexes over any Strongroom store.
#![doc = include_str!("../README.md")]

mod codec;
mod encoding;
mod error;
mod field;
mod follow;
mod key;
mod object_store;
mod query;
mod range;
mod report;
mod rows;
mod schema;
mod table;
mod transaction;
mod undecided;

pub use error::{Error, MalformedJson, Result};
pub use field::Fields;
pub use follow::Below;
pub use key::{NotANumber, Number, RecordKey};
pub use object_store::ObjectStore;
pub use query::{Direction, Found, Query};
pub use range::KeyRange;
pub use report::{OpenReport, Skipped, UniqueConflict};
pub use schema::{Index, Record};
pub use transaction::Transaction;
