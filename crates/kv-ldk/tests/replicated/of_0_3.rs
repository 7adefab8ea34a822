//! On LDK 0.3.

#![expect(clippy::duplicate_mod, reason = "one text for both versions of LDK")]

use crate::ldk_0_3::{ldk, ours, small};

#[path = "channels.rs"]
mod channels;
