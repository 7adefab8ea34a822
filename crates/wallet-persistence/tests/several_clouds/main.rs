//! Several clouds: none that is dead or slow holds up the others, and each catches up.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test panics")]

mod bed;
mod catch_up;
mod hold_up;
mod old_heads;
mod restores;
