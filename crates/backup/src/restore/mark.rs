//! The mark of a restore under way: how far it has come, so that a second one can go on.

use kv_core::{KvStore, Value};
use serde::{Deserialize, Serialize};

use crate::{
    ObjectRef, Result, WriterId,
    digest::DigestSum,
    log::{self, Places},
};

const VERSION: u32 = 2;

/// Written in the order of the data, so whatever it counts is there when it is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Mark {
    pub(super) version: u32,
    /// The dump whose parts are counted; `None` while none is.
    pub(super) base: Option<ObjectRef>,
    /// So many of its parts are in the store.
    pub(super) parts: u64,
    /// What those parts fold into.
    pub(super) digest: DigestSum,
    /// The number of the last tombstone written.
    pub(super) tombstones: u64,
    /// The latest stamp seen.
    pub(super) last_stamp: (u64, u32),
    /// The restore point that leads there: whose, and its last change.
    pub(super) to: Option<(WriterId, u64)>,
}

impl Mark {
    /// That of a restore which has just begun.
    pub(super) fn leading(base: &ObjectRef, to: (WriterId, u64)) -> Self {
        Self { base: Some(*base), to: Some(to), ..Self::default() }
    }

    /// Whether a restore of this point may go on here. What the earlier one has written is undone by
    /// layers above the same dump only if they hold at least as much of the same chain.
    pub(super) fn leads_to(&self, base: &ObjectRef, (writer, sequence): (WriterId, u64)) -> bool {
        self.base == Some(*base)
            && self.to.is_some_and(|(begun, to)| begun == writer && to <= sequence)
    }

    pub(super) fn write(&self) -> Value {
        log::write(&Self { version: VERSION, ..self.clone() })
    }

    /// The mark in a store; one that this version does not know counts nothing.
    pub(super) fn read(store: &dyn KvStore, places: &Places) -> Result<Option<Self>> {
        let Some(bytes) = store.read(&places.state, &log::restoring())? else { return Ok(None) };
        let mark: Self = log::read("mark of a restore", &bytes).unwrap_or_default();
        Ok(Some(if mark.version == VERSION { mark } else { Self::default() }))
    }
}
