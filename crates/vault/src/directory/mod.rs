//! The name directory: which true names there are, in memory and, sealed, on disk.
//!
//! On disk it is a journal of small entries, one per batch that adds or removes names, folded now
//! and then into pages. [`Names`] is what callers see, [`Journal`] is what is on disk; [`load`]
//! reads it at unlock.

mod entry;
mod format;
mod journal;
mod load;
mod names;
mod page;

use std::num::NonZeroU64;

use kv_core::{Key, Namespace};

#[cfg(feature = "testing")]
pub(crate) use format::decode_directory;
pub(crate) use format::{ENTRIES, PAGES, namespace_of, open_entry, open_page};
pub(crate) use journal::Journal;
pub(crate) use load::load;
pub(crate) use names::{NameChange, Names, Touched};

/// A true name.
pub(crate) type Name = (Namespace, Key);

/// Where a name lies in the pages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Home {
    /// Pages are numbered from 1.
    pub(crate) page: NonZeroU64,
    /// Its place in the page, counted from 0.
    pub(crate) slot: u32,
}
