//! Heads: each names its chain's newest objects and is never changed.

use serde::{Deserialize, Serialize};

use crate::{Link, ObjectRef};

/// The plaintext of a head.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Head {
    /// When it was put, in milliseconds since the Unix epoch, by the writer's clock.
    pub time: u64,
    /// The last sequence number that this restore point holds.
    pub sequence: u64,
    /// The index of the newest full dump.
    pub dump: ObjectRef,
    /// The newest segment; `None` while the dump holds everything.
    pub newest: Option<Link>,
    /// The head before, of the same writer.
    pub previous: Option<ObjectRef>,
    /// The newest heads seen of the other writers.
    pub seen: Vec<ObjectRef>,
    /// Reserved for what later versions add (the fence); readers of version 1 skip it.
    pub extensions: Vec<(u32, Vec<u8>)>,
}

/// Of several heads, the one to restore: the latest by its writer's clock, then by sequence, then by name.
pub fn newest_head(heads: &[(ObjectRef, Head)]) -> Option<&(ObjectRef, Head)> {
    heads.iter().max_by_key(|(object, head)| (head.time, head.sequence, *object))
}
