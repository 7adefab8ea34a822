//! On LDK 0.2.

use crate::common::ldk_0_2::{ldk, ours, small};

#[path = "vectors.rs"]
mod vectors;
