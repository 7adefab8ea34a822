//! On LDK 0.3.

#![expect(clippy::duplicate_mod, reason = "one text for both versions of LDK")]

use crate::ldk_0_3::{Locator, async_monitors, ldk, ours, small};

#[path = "cases.rs"]
mod cases;
