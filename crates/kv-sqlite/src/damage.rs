//! What damage is called, where more than one place finds it.

use kv_core::Error;

use crate::fault;

/// The names are not those that were written.
pub(crate) fn sum_mismatch() -> Error {
    fault::corrupt("the names of the keys are not those that were written")
}
