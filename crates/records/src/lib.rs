//! Typed object stores with indexes over any Strongroom store.
#![doc = include_str!("../README.md")]

mod codec;
mod cursor;
mod encoding;
mod error;
mod field;
mod follow;
mod key;
mod load;
mod numbers;
mod object_store;
mod open;
mod order;
mod parallel;
mod primary;
mod query;
mod range;
mod report;
mod row;
mod rows;
mod schema;
mod sort;
mod stage;
mod table;
mod transaction;
mod tree;
mod undecided;
mod view;

pub use cursor::Cursor;
pub use error::{Error, MalformedJson, Result};
pub use field::Fields;
pub use follow::Below;
pub use key::{NotANumber, Number, RecordKey};
pub use object_store::ObjectStore;
pub use query::{Direction, Query, Records};
pub use range::KeyRange;
pub use report::{OpenReport, Skipped, UniqueConflict};
pub use row::Found;
pub use schema::{Index, Record};
pub use transaction::Transaction;
