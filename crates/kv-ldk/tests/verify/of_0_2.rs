//! On LDK 0.2.

use crate::common::ldk_0_2::{Locator, ldk, ours, small};

#[path = "damage.rs"]
mod damage;
#[path = "vectors.rs"]
mod vectors;
