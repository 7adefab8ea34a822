//! What records promise, one file per behaviour.

mod common;
mod keys;
mod model;
mod object_store;
mod stored;
mod transaction;
mod unique;
mod visibility;
