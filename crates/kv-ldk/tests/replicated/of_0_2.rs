//! On LDK 0.2.

use crate::common::ldk_0_2::{ldk, ours, small};

#[path = "channels.rs"]
mod channels;
