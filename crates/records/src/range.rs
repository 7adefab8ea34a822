//! Ranges of keys.

use std::{
    fmt,
    ops::{Bound, RangeBounds},
};

use crate::{RecordKey, encoding::array_prefix};

/// Which keys a query wants. A range whose lower end lies above its upper end holds no key.
#[derive(Clone, PartialEq, Eq)]
pub struct KeyRange {
    /// The first encoding inside.
    lower: Vec<u8>,
    /// The first encoding beyond.
    upper: Option<Vec<u8>>,
}

impl KeyRange {
    /// Every key.
    pub fn all() -> Self {
        Self { lower: Vec::new(), upper: None }
    }

    /// One key.
    pub fn only(key: impl Into<RecordKey>) -> Self {
        let key = key.into();
        Self::within(&key..=&key)
    }

    /// The keys between two bounds: `KeyRange::within(&low..&high)`, `within(..=&high)` and so on.
    pub fn within(bounds: impl RangeBounds<RecordKey>) -> Self {
        let lower = match bounds.start_bound() {
            Bound::Included(key) => key.encode(),
            Bound::Excluded(key) => just_after(key),
            Bound::Unbounded => Vec::new(),
        };
        let upper = match bounds.end_bound() {
            Bound::Included(key) => Some(just_after(key)),
            Bound::Excluded(key) => Some(key.encode()),
            Bound::Unbounded => None,
        };
        Self { lower, upper }
    }

    /// The arrays that begin with these elements: `KeyRange::prefix((account,))` finds
    /// `(account, 1)` and `(account, 2, "x")`. A key that is no array counts as one element.
    pub fn prefix(elements: impl Into<RecordKey>) -> Self {
        let lower = match elements.into() {
            RecordKey::Array(keys) => array_prefix(&keys),
            key => array_prefix(&[key]),
        };
        let mut upper = lower.clone();
        upper.push(0xFF); // above every tag and above the end of an array
        Self { lower, upper: Some(upper) }
    }

    /// Whether the range holds the key.
    pub fn contains(&self, key: &RecordKey) -> bool {
        self.contains_encoded(&key.encode())
    }

    pub(crate) fn contains_encoded(&self, key: &[u8]) -> bool {
        self.lower.as_slice() <= key && self.upper.as_deref().is_none_or(|upper| key < upper)
    }

    /// The first bytes inside and the first beyond. They also bound rows of keys that begin with a
    /// key of the range, as an index has them: no bound lies between a key and what goes on from it.
    pub(crate) fn encoded(&self) -> (&[u8], Option<&[u8]>) {
        (&self.lower, self.upper.as_deref())
    }
}

/// Above the key and all that begins with it, and not above the next one: no encoding is the
/// beginning of another, and none has a byte above every tag where it begins.
fn just_after(key: &RecordKey) -> Vec<u8> {
    let mut bytes = key.encode();
    bytes.push(0xFF);
    bytes
}

// Keys are private: only the shape shows.
impl fmt::Debug for KeyRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyRange").field("upper", &self.upper.is_some()).finish_non_exhaustive()
    }
}
