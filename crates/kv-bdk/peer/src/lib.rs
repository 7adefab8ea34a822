//! Nothing but tests: `kv-bdk` and bdk's own SQLite persister on the same change sets.
