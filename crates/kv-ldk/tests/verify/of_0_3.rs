//! On LDK 0.3.

#![expect(clippy::duplicate_mod, reason = "one text for both versions of LDK")]

use crate::ldk_0_3::{Locator, ldk, ours, small};

#[path = "damage.rs"]
mod damage;
#[path = "vectors.rs"]
mod vectors;
