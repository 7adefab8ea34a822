//! The stored form of a change set: the JSON that bdk's own serde implementation makes of it.

use bdk_wallet::ChangeSet;
use kv_core::{Error, Result};
use serde_json::error::Category;

/// How this layer is called in errors.
pub(crate) const STORE: &str = "bdk";

pub(crate) fn encode(change_set: &ChangeSet) -> Result<Vec<u8>> {
    serde_json::to_vec(change_set)
        .map_err(|e| Error::Refused { store: STORE, source: describe("no JSON", &e).into() })
}

pub(crate) fn decode(sequence: u64, bytes: &[u8]) -> Result<ChangeSet> {
    serde_json::from_slice(bytes)
        .map_err(|e| Error::corrupt(STORE, describe(&format!("entry {sequence}"), &e)))
}

/// What serde says without what it quotes: a message must not show whose wallet it is.
fn describe(what: &str, error: &serde_json::Error) -> Box<dyn std::error::Error + Send + Sync> {
    let kind = match error.classify() {
        Category::Io => "i/o failed",
        Category::Syntax => "not JSON",
        Category::Data => "not a change set",
        Category::Eof => "cut short",
    };
    format!("{what}: {kind} at line {}, column {}", error.line(), error.column()).into()
}
