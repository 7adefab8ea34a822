//! The names under which everything is stored, ready for each contestant's own way of naming.

use kv_core::{InvalidName, Key, Namespace};

/// The one namespace of the benchmark.
pub(crate) const PRIMARY: &str = "bench";

/// A key, made once: making it is not what is measured.
#[derive(Debug, Clone)]
pub(crate) struct Name {
    pub(crate) text: String,
    pub(crate) key: Key,
}

impl Name {
    pub(crate) fn new(number: usize) -> Result<Self, InvalidName> {
        let text = format!("key-{number:09}");
        let key = Key::new(&text)?;
        Ok(Self { text, key })
    }

    /// The first `count` names.
    pub(crate) fn many(count: usize) -> Result<Vec<Self>, InvalidName> {
        (0..count).map(Self::new).collect()
    }
}

pub(crate) fn namespace() -> Result<Namespace, InvalidName> {
    Namespace::new(PRIMARY, "")
}
