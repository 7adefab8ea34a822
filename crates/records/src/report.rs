//! What was found when an object store was opened.

use kv_core::Key;

use crate::Error;

/// What an object store found at its opening. Show it when it is not clean.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct OpenReport {
    /// How many records are there and in the indexes.
    pub records: u64,
    /// How many of them were written by an older version and are upgraded as they are read.
    pub old: u64,
    /// What is stored but cannot be used: left as it is and out of every query.
    pub skipped: Vec<Skipped>,
    /// Unique indexes in which two records have the same key; queries find both.
    pub conflicts: Vec<UniqueConflict>,
}

/// A stored record that cannot be used.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Skipped {
    /// The name it is stored under.
    pub name: Key,
    /// Why: [`Error::Damaged`], [`Error::TooNew`] or what the store below says of it.
    pub why: Error,
}

/// Two records with one key in a unique index, as merged or damaged data can have them.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct UniqueConflict {
    /// Which index.
    pub index: &'static str,
    /// The names the two are stored under.
    pub names: [Key; 2],
}

impl OpenReport {
    /// Whether everything stored can be used.
    pub fn is_clean(&self) -> bool {
        self.skipped.is_empty() && self.conflicts.is_empty()
    }

    /// How many records were written by a newer version of the program.
    pub fn too_new(&self) -> usize {
        self.skipped.iter().filter(|skipped| skipped.is_too_new()).count()
    }
}

impl Skipped {
    /// Whether upgrading the program makes the record readable.
    pub fn is_too_new(&self) -> bool {
        is_too_new(&self.why)
    }
}

/// Whether an error says that upgrading the program helps.
pub(crate) fn is_too_new(why: &Error) -> bool {
    matches!(why, Error::TooNew { .. } | Error::Store { source: kv_core::Error::TooNew { .. }, .. })
}

/// Whether an error says something about one record only, so that the others can go on.
pub(crate) fn concerns_one_record(error: &Error) -> bool {
    use kv_core::Error as Below;
    match error {
        Error::Damaged { .. } | Error::TooNew { .. } => true,
        Error::Store { source, .. } => {
            matches!(
                source,
                Below::Corrupt { .. } | Below::TooNew { .. } | Below::ChangedOutside { .. }
            )
        }
        _ => false,
    }
}
