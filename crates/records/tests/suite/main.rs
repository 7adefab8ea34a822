//! What records promise, one file per behaviour.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that panics has failed")]

mod common;
mod cursor;
mod follow;
mod indexes;
mod keys;
mod many;
mod model;
mod numbers;
mod object_store;
mod stored;
mod transaction;
mod unique;
mod visibility;
