//! Which data merges, which has a single writer, and which never leaves the device.

use std::{collections::BTreeMap, sync::Arc};

use kv_core::Namespace;

/// How the data of a namespace is backed up. Declared once; changing it is a migration.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Rule {
    /// Several devices may write; the last writer wins per key. Values carry a stamp.
    Mergeable,
    /// One device writes at a time (channel state). What is not declared is this.
    #[default]
    SingleWriter,
    /// Never backed up: settings of this installation.
    LocalOnly,
}

/// The rules by primary namespace.
#[derive(Debug, Clone, Default)]
pub struct Rules(Arc<BTreeMap<&'static str, Rule>>);

impl Rules {
    /// Declares each primary namespace with its rule.
    pub fn new(rules: impl IntoIterator<Item = (&'static str, Rule)>) -> Self {
        Self(Arc::new(rules.into_iter().collect()))
    }

    /// The rule for a namespace.
    pub fn of(&self, ns: &Namespace) -> Rule {
        self.of_primary(ns.primary())
    }

    /// The same, by the primary namespace alone.
    pub fn of_primary(&self, primary: &str) -> Rule {
        self.0.get(primary).copied().unwrap_or_default()
    }
}
