//! Every kind of data the wallet keeps: where it lies, whether it merges, whether it is backed up.

use backup::{Rule, Rules};
use kv_core::Namespace;

/// One kind of data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Kind {
    /// What it is.
    pub name: &'static str,
    /// Its primary namespace; `None` stands for every namespace that is not named elsewhere.
    pub primary: Option<&'static str>,
    /// How it is backed up.
    pub rule: Rule,
}

/// All kinds. What is not listed is `kv` data: single-writer and backed up.
pub const KINDS: &[Kind] = &[
    Kind { name: "records: accounts, transactions", primary: Some(RECORDS), rule: Rule::Mergeable },
    Kind { name: "profile fields", primary: Some("~fields"), rule: Rule::Mergeable },
    Kind { name: "settings of this device", primary: Some(SETTINGS), rule: Rule::LocalOnly },
    Kind { name: "key-value data of applications", primary: None, rule: Rule::SingleWriter },
];

/// The primary namespace of typed records.
pub(crate) const RECORDS: &str = "~records";

/// The primary namespace of this device's settings.
pub(crate) const SETTINGS: &str = "~settings";

pub(crate) fn rules() -> Rules {
    Rules::new(KINDS.iter().filter_map(|kind| Some((kind.primary?, kind.rule))))
}

/// Whether a namespace is user data: counted by the digest and by listings.
pub(crate) fn is_user_data(ns: &Namespace) -> bool {
    ns.primary() != SETTINGS
}
