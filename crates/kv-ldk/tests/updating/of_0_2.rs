//! On LDK 0.2.

use crate::common::ldk_0_2::{Locator, async_monitors, ldk, ours, small};

#[path = "cases.rs"]
mod cases;
